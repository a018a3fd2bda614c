//! `countersign kubernetes webhook-config`: the file for `--authentication-token-webhook-config-file`.

use std::fmt::Write as _;
use std::process::ExitCode;

use countersign_core::kubernetes::Webhook;
use countersign_core::{Client, ClientId};
use countersign_issuer::settings::IssuerUrl;

use super::quoted;
use crate::cli::WebhookConfigArguments;
use crate::config::Config;

pub fn print(config: &Config, arguments: &WebhookConfigArguments) -> Result<ExitCode, String> {
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
