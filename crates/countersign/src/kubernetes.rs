//! `countersign kubernetes`: prints the configuration of an API server (`webhook-config`, and in a module of its own
//! `config`) or checks it, using only the configuration file.

mod cluster_config;
mod lint;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use countersign_core::kubernetes::Webhook;
use countersign_core::{Client, ClientId, KubernetesCluster};
use countersign_issuer::settings::IssuerUrl;

use crate::cli::{KubernetesCommand, WebhookConfigArguments};
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
        KubernetesCommand::WebhookConfig(arguments) => print_webhook_config(&config, arguments),
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

/// The file for `--authentication-token-webhook-config-file`.
fn print_webhook_config(
    config: &Config,
    arguments: &WebhookConfigArguments,
) -> Result<ExitCode, String> {
    print!("{}", webhook_config(config, arguments)?);
    Ok(ExitCode::SUCCESS)
}

fn webhook_config(config: &Config, arguments: &WebhookConfigArguments) -> Result<String, String> {
    let issuer = IssuerUrl::new(config.issuer.as_str()).map_err(|e| format!("issuer: {e}"))?;
    let client = ClientId::new(arguments.client.as_str());
    let webhook = webhook_of(config, &client)?;
    if !issuer.is_https() {
        eprintln!("warning: {} is not https: tokens would be sent unencrypted", issuer.as_str());
    }
    let server = issuer.endpoint(&format!("/kubernetes/tokenreview/{client}"));
    let authority = match &arguments.certificate_authority {
        Some(path) => format!("certificate-authority: {}", quoted(path)),
        None => "# certificate-authority: /etc/kubernetes/pki/countersign-ca.crt   # unless the machine \
                 trusts it"
            .to_owned(),
    };
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = write!(
        text,
        r"# Webhook token authentication of kube-apiserver, for its flags
#   --authentication-token-webhook-config-file=<this file>
#   --authentication-token-webhook-version=v1
#   --authentication-token-webhook-cache-ttl=0s
# cache-ttl, 2m by default, is how long beyond its own 10 seconds a token of an ended session is still accepted.
# The API server accepts a token as soon as one authenticator does: --oidc-* flags or a jwt entry for this issuer
# beside this webhook would keep tokens of ended sessions valid. See docs/kubernetes.md.
# This file contains a credential: mode 0600.
apiVersion: v1
kind: Config
clusters:
  - name: countersign
    cluster:
      server: {server}
      {authority}
users:
  - name: kube-apiserver
    user:
      token: {token}
contexts:
  - name: webhook
    context:
      cluster: countersign
      user: kube-apiserver
current-context: webhook
",
        server = quoted(&server),
        token = quoted(webhook.secret.expose()),
    );
    Ok(text)
}

fn webhook_of<'a>(config: &'a Config, id: &ClientId) -> Result<&'a Webhook, String> {
    let webhook = |client: &'a Client| client.kubernetes.as_ref()?.webhook.as_ref();
    let client = config.clients.iter().find(|client| client.id == *id);
    let Some(client) = client else { return Err(format!("--client: there is no client {id}")) };
    webhook(client).ok_or_else(|| format!("--client: the client {id} has no kubernetes.webhook"))
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
    /// `None`: the key in Vault decides it (`signer.type: vault`).
    pub algorithm: Option<&'static str>,
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
            algorithm: match (&config.signer.external, config.signer.algorithm) {
                (Some(_), _) => None,
                (None, Algorithm::Rs256) => Some("RS256"),
                (None, Algorithm::Es256) => Some("ES256"),
            },
        }
    }

    /// Whether every token for the cluster's client has `azp`. Without a `kubernetes` block a token for a single
    /// audience lacks it, as in Dex (OpenID Connect Core 2).
    pub fn always_has_azp(&self) -> bool {
        self.client.is_some_and(|client| client.kubernetes.is_some())
    }

    /// Whether the API server is to have tokens reviewed here (`kubernetes.webhook`).
    pub fn has_webhook(&self) -> bool {
        let kubernetes = self.client.and_then(|client| client.kubernetes.as_ref());
        kubernetes.is_some_and(|kubernetes| kubernetes.webhook.is_some())
    }

    /// The other clients that may obtain tokens for this cluster. Their tokens always have `azp`.
    pub fn trusted_peers(&self) -> Vec<&'a str> {
        let peers = self.client.map(|client| client.trusted_peers.as_slice()).unwrap_or_default();
        let own = &self.cluster.client;
        peers.iter().filter(|peer| *peer != own).map(ClientId::as_str).collect()
    }
}
