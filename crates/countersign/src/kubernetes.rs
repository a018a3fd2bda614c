//! `countersign kubernetes`: prints or checks the configuration of an API server, using only the configuration file.

mod cluster_config;
mod lint;
mod webhook_config;

use std::path::Path;
use std::process::ExitCode;

use countersign_core::{Client, KubernetesCluster};

use crate::cli::KubernetesCommand;
use crate::config::{self, Algorithm, Config};
use crate::serve::BAD_CONFIGURATION;

pub fn run(command: &KubernetesCommand) -> ExitCode {
    let (file, lenient) = match command {
        KubernetesCommand::WebhookConfig(arguments) => (&arguments.file, arguments.lenient),
        KubernetesCommand::Config(arguments) => (&arguments.file, arguments.lenient),
    };
    let Some(config) = load(file, lenient) else { return ExitCode::from(BAD_CONFIGURATION) };
    let result = match command {
        // The output contains the credential, so it is written only to standard output.
        KubernetesCommand::WebhookConfig(arguments) => webhook_config::print(&config, arguments),
        KubernetesCommand::Config(arguments) => cluster_config::run(&config, arguments),
    };
    match result {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("countersign: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn load(file: &Path, lenient: bool) -> Option<Config> {
    let env = crate::environment::variable;
    let loaded = config::load(file, &env, lenient);
    eprint!("{loaded}");
    loaded.config
}

/// Quotes a text for YAML: a JSON string is a valid double-quoted YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

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
