//! The start-up message on a terminal: the login URL, and the account of the example configuration.

use std::path::Path;

use crate::config::Config;

/// The account of `config.example.yaml` and its password; shown only if that account exists.
const DEMO: (&str, &str) = ("alice@example.com", "countersign");

pub fn print(config: &Config, file: &Path, has_example_app: bool) {
    println!("{}", text(config, file, has_example_app));
}

fn text(config: &Config, file: &Path, has_example_app: bool) -> String {
    let issuer = config.issuer.as_str();
    let mut lines = vec![
        String::new(),
        format!("  Countersign serves {issuer}"),
        String::new(),
        format!("  discovery   {issuer}/.well-known/openid-configuration"),
    ];
    if let Some(listen) = &config.telemetry {
        lines.push(format!("  telemetry   http://{listen}/healthz and /metrics"));
    }
    if let Some(grpc) = &config.grpc {
        lines.push(format!("  gRPC        {}", grpc.listen));
    }
    let example = config.example_app.as_ref().filter(|_| has_example_app);
    let example = example.and_then(|example| example.redirect_uri.join("/").ok());
    lines.push(String::new());
    match &example {
        Some(url) => lines.push(format!("  Try it: open {url} and press \"Sign in\"")),
        None => lines.extend(authorization_request(config)),
    }
    if is_demo(config, file) {
        let (login, password) = DEMO;
        lines.push(format!("  as {login} with the password {password}"));
        lines.push(String::new());
        if example.is_some() {
            lines.push(
                "  The example application then shows the tokens it got, with each claim explained."
                    .to_owned(),
            );
            lines.push(String::new());
        }
        lines.push(
            "  Then look at your sessions, and as an administrator at everybody's:".to_owned(),
        );
        lines.push(format!("  {issuer}/ and {issuer}/admin"));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// An authorization request for the first client that has a redirect URI.
fn authorization_request(config: &Config) -> Vec<String> {
    let client = config.clients.iter().find(|c| !c.public && !c.redirect_uris.is_empty());
    let Some((client, redirect)) = client.and_then(|c| Some((c, c.redirect_uris.first()?))) else {
        return Vec::new();
    };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", client.id.as_str())
        .append_pair("redirect_uri", redirect)
        .append_pair("response_type", "code")
        .append_pair("scope", "openid email profile groups")
        .finish();
    let issuer = config.issuer.as_str();
    vec![format!("  Try it: sign in to {} at", client.name), format!("  {issuer}/auth?{query}")]
}

fn is_demo(config: &Config, file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "config.example.yaml")
        && config
            .password_db
            .as_ref()
            .is_some_and(|db| db.users.iter().any(|user| user.email == DEMO.0))
}
