//! Kubernetes settings of a client that is a cluster.

use crate::{ClientId, Secret};

/// Settings of a cluster's client. Without them its tokens are like those of any client.
#[derive(Clone, Debug, Default)]
pub struct Kubernetes {
    pub groups: GroupClaims,
    /// The TokenReview webhook of this cluster; `None`: no webhook.
    pub webhook: Option<Webhook>,
}

/// Where groups are provided for tokens with this client in `aud`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupClaims {
    /// In the token.
    #[default]
    Token,
    /// At our groups endpoint, to which the token refers (OpenID Connect Core 1.0 section 5.6.2).
    Distributed,
}

/// The TokenReview webhook of one cluster: its credential, and how claims are mapped to a user. All fields except the
/// secret have the meaning of kube-apiserver's flag `--oidc-…` of that name, including absent ones.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The API server's credential. Not the client secret, which may be on users' laptops.
    pub secret: Secret,
    pub username_claim: String,
    /// `-` means no prefix; for `None` see [`Webhook::username_prefix`].
    pub username_prefix: Option<String>,
    /// `None`: no groups.
    pub groups_claim: Option<String>,
    pub groups_prefix: String,
    /// Claims that must have this value.
    pub required_claims: Vec<(String, String)>,
}

impl Webhook {
    /// The prefix of user names. By default it distinguishes users of different issuers, except for e-mail addresses,
    /// which are globally unique.
    pub fn username_prefix(&self, issuer: &str) -> String {
        match self.username_prefix.as_deref() {
            Some("-") => String::new(),
            None | Some("") if self.username_claim != "email" => format!("{issuer}#"),
            prefix => prefix.unwrap_or_default().to_owned(),
        }
    }
}

/// A cluster that is listed at `/clusters` (the configuration's `clusters`).
#[derive(Clone, Debug)]
pub struct KubernetesCluster {
    /// The name in kubeconfigs and paths.
    pub name: String,
    pub description: String,
    /// URL of the API server.
    pub server: String,
    /// PEM; `None` if users' computers trust the API server's certificate already.
    pub certificate_authority: Option<String>,
    /// The client whose ID tokens the API server accepts.
    pub client: ClientId,
    /// Groups whose members see the cluster; empty: all signed-in users.
    pub groups: Vec<String>,
    /// The default namespace of kubeconfigs.
    pub namespace: Option<String>,
}

impl KubernetesCluster {
    /// Whether a user with these groups sees the cluster. This grants no access to it.
    pub fn is_visible_to(&self, groups: &[String]) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|group| groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use super::Webhook;
    use crate::Secret;

    #[test]
    fn the_default_username_prefix_is_that_of_kube_apiserver() {
        for (claim, prefix, expected) in [
            ("sub", None, "https://id.example.com#"),
            ("sub", Some(""), "https://id.example.com#"),
            ("name", None, "https://id.example.com#"),
            ("email", None, ""),
            ("email", Some("oidc:"), "oidc:"),
            ("sub", Some("-"), ""),
            ("email", Some("-"), ""),
            ("sub", Some("oidc:"), "oidc:"),
        ] {
            let webhook = Webhook {
                secret: Secret::default(),
                username_claim: claim.to_owned(),
                username_prefix: prefix.map(str::to_owned),
                groups_claim: None,
                groups_prefix: String::new(),
                required_claims: Vec::new(),
            };
            let found = webhook.username_prefix("https://id.example.com");
            assert_eq!(found, expected, "{claim} {prefix:?}");
        }
    }
}
