//! The start-up message: the login URL, and the account of the example configuration.

use std::path::Path;

use crate::config::Config;
use crate::logging;

/// The account of `config.example.yaml` and its password; shown only if that account exists.
const DEMO: (&str, &str) = ("alice@example.com", "countersign");

/// Prints it, unless the log is JSON: that must not be mixed with other output, in case standard output is collected with
/// it. The example configuration is for people, also where its output is redirected: there only a configured
/// `logger.format: json` suppresses the message.
pub fn print(config: &Config, file: &Path, has_example_app: bool) {
    if is_shown(config, file, logging::is_json(&config.logger)) {
        println!("{}", text(config, file, has_example_app));
    }
}

fn is_shown(config: &Config, file: &Path, is_json: bool) -> bool {
    !is_json || (config.logger.format.is_none() && is_demo(config, file))
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{is_shown, text};
    use crate::config;
    use crate::config::LogFormat;

    fn repository(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
    }

    #[test]
    fn the_demo_is_explained_also_where_its_output_is_redirected() {
        let file = repository("config.example.yaml");
        let mut config = config::load(&file, &|_| None, false).config.expect("it is valid");
        assert!(is_shown(&config, &file, true));
        let message = text(&config, &file, true);
        assert!(message.contains("open http://127.0.0.1:5555/"), "{message}");
        assert!(message.contains("alice@example.com with the password"), "{message}");
        // A configuration of one's own.
        assert!(!is_shown(&config, &repository("config.yaml"), true));
        assert!(is_shown(&config, &repository("config.yaml"), false));
        config.logger.format = Some(LogFormat::Json);
        assert!(!is_shown(&config, &file, true));
    }
}
