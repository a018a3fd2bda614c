//! `countersign kubernetes`: what to give to an API server. Asks nobody and changes nothing.

use std::fmt::Write as _;
use std::process::ExitCode;

use countersign_core::kubernetes::Webhook;
use countersign_core::{Client, ClientId};
use countersign_issuer::settings::IssuerUrl;

use crate::cli::{KubernetesCommand, WebhookConfigArguments};
use crate::config::{self, Config};
use crate::serve::BAD_CONFIGURATION;

pub fn run(command: &KubernetesCommand) -> ExitCode {
    let KubernetesCommand::WebhookConfig(arguments) = command;
    let env = |name: &str| std::env::var(name).ok();
    let loaded = config::load(&arguments.file, &env, arguments.lenient);
    eprint!("{loaded}");
    let Some(config) = loaded.config else { return ExitCode::from(BAD_CONFIGURATION) };
    match webhook_config(&config, arguments) {
        // The credential is in it: to standard output and nowhere else.
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("countersign: {why}");
            ExitCode::FAILURE
        }
    }
}

fn webhook_config(config: &Config, arguments: &WebhookConfigArguments) -> Result<String, String> {
    let issuer = IssuerUrl::new(config.issuer.as_str()).map_err(|e| format!("issuer: {e}"))?;
    let client = ClientId::new(arguments.client.as_str());
    let webhook = webhook_of(config, &client)?;
    if !issuer.is_https() {
        eprintln!("warning: {} is not https: tokens would travel in clear", issuer.as_str());
    }
    let server = issuer.endpoint(&format!("/kubernetes/tokenreview/{client}"));
    let authority = match &arguments.certificate_authority {
        Some(path) => format!("certificate-authority: {}", quoted(path)),
        None => "# certificate-authority: /etc/kubernetes/pki/countersign-ca.crt   # unless the machine \
                 trusts it"
            .to_owned(),
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        r#"# What kube-apiserver asks about tokens, for its flags
#   --authentication-token-webhook-config-file=<this file>
#   --authentication-token-webhook-version=v1
#   --authentication-token-webhook-cache-ttl=0s
# cache-ttl, 2m by default, is how much longer than its own 10 seconds it believes a token whose session has ended.
# It takes the first authenticator that says yes: with --oidc-* or a jwt entry for this issuer beside this one,
# tokens would live on. docs/kubernetes.md has the rest.
# The file holds a credential: mode 0600.
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
"#,
        server = quoted(&server),
        token = quoted(webhook.secret.expose()),
    );
    Ok(text)
}

fn webhook_of<'a>(config: &'a Config, id: &ClientId) -> Result<&'a Webhook, String> {
    let webhook = |client: &'a Client| client.kubernetes.as_ref()?.webhook.as_ref();
    let client = config.clients.iter().find(|client| client.id == *id);
    let Some(client) = client else { return Err(format!("no client is called {id}")) };
    webhook(client).ok_or_else(|| format!("the client {id} has no kubernetes.webhook"))
}

/// JSON's strings are YAML's double-quoted ones.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
