//! The values that an API server's configuration must match: the issuer and one cluster of our configuration file.

use countersign_core::{Client, KubernetesCluster};

use crate::config::{Algorithm, Config};

/// The values that the configuration of this cluster's API server must match.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub cluster: &'a KubernetesCluster,
    pub client: Option<&'a Client>,
    /// Other clusters, whose clients must not be an audience here.
    pub other_clusters: Vec<&'a KubernetesCluster>,
    pub algorithm: &'static str,
}

impl<'a> Expected<'a> {
    pub fn new(config: &'a Config, cluster: &'a KubernetesCluster) -> Self {
        Self {
            issuer: config.issuer.as_str(),
            cluster,
            client: config.clients.iter().find(|client| client.id == cluster.client),
            other_clusters: config
                .clusters
                .iter()
                .filter(|other| other.name != cluster.name && other.client != cluster.client)
                .collect(),
            algorithm: match config.signer.algorithm {
                Algorithm::Rs256 => "RS256",
                Algorithm::Es256 => "ES256",
            },
        }
    }

    /// Whether every token for the cluster's client has `azp`. Without a `kubernetes` block a token for a single
    /// audience lacks it, as in Dex (OpenID Connect Core 2).
    pub fn always_has_azp(&self) -> bool {
        self.client.is_some_and(|client| client.kubernetes.is_some())
    }

    /// Whether another client may obtain tokens for this cluster.
    pub fn has_trusted_peers(&self) -> bool {
        self.client.is_some_and(|client| !client.trusted_peers.is_empty())
    }
}
