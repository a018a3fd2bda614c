//! `staticClients[].kubernetes`: settings of a client that is a cluster.

use countersign_config::{Environment, Section, Value, did_you_mean};
use countersign_core::kubernetes::{GroupClaims, Webhook};
use countersign_core::{Client, Kubernetes, Secret};

use super::variable;

/// Claims of our ID tokens that can be the user name.
const NAMES: [&str; 4] = ["sub", "email", "preferred_username", "name"];
/// Claims of our ID tokens that can be required.
const TEXTS: [&str; 9] =
    ["iss", "sub", "aud", "azp", "sid", "nonce", "email", "preferred_username", "name"];
/// Enough for 96 random bits in any encoding.
const SHORTEST_SECRET: usize = 16;

/// `client` contains the keys read so far.
pub fn read(section: &Section<'_>, client: &Client, env: Environment<'_>) -> Option<Kubernetes> {
    let section = section.section("kubernetes")?;
    let words = [("token", GroupClaims::Token), ("distributed", GroupClaims::Distributed)];
    let groups = section.choice("groups", &words).unwrap_or_default();
    let webhook = section.section("webhook").and_then(|webhook| {
        if !fits_in_a_path(client.id.as_str()) {
            let reason =
                "needs a client whose id is allowed in a path, expected letters, digits, - . _ ~";
            section.error("webhook", reason);
        }
        read_webhook(webhook, client, env)
    });
    section.finish();
    Some(Kubernetes { groups, webhook })
}

fn read_webhook(section: Section<'_>, client: &Client, env: Environment<'_>) -> Option<Webhook> {
    let secret = read_secret(&section, client, env);
    let username_claim = claim(&section, "usernameClaim", &NAMES);
    let username_prefix = section.text("usernamePrefix");
    let groups_claim = claim(&section, "groupsClaim", &["groups", "preferred_username", "name"]);
    let groups_prefix = section.text("groupsPrefix").unwrap_or_default();
    if groups_claim.is_some() && groups_prefix.is_empty() {
        let reason =
            "is missing: a group of an upstream may be called like one of the cluster's own";
        section.warning("groupsPrefix", reason);
    }
    let required_claims = read_required(&section);
    section.finish();
    Some(Webhook {
        secret: secret?,
        username_claim: username_claim.unwrap_or_else(|| "sub".to_owned()),
        username_prefix,
        groups_claim,
        groups_prefix,
        required_claims,
    })
}

fn read_secret(section: &Section<'_>, client: &Client, env: Environment<'_>) -> Option<Secret> {
    let (key, secret) = match (section.has("secret"), section.has("secretEnv")) {
        (true, true) => {
            section.error("secretEnv", "is given together with secret, expected only one of them");
            return None;
        }
        (false, true) => ("secretEnv", Secret::new(variable(section, "secretEnv", env)?)),
        _ => ("secret", section.required_secret("secret")?),
    };
    if secret.expose().chars().count() < SHORTEST_SECRET {
        section.error(key, format!("is too short, expected {SHORTEST_SECRET} characters or more"));
    }
    // The secret is sent in a header (RFC 6750 section 2.1).
    if !secret.expose().bytes().all(|b| b.is_ascii_graphic()) {
        section.error(key, "holds characters that a bearer token cannot, expected visible ASCII");
    }
    if client.secret.as_ref().is_some_and(|own| own.matches(secret.expose())) {
        let reason =
            "is the client's own secret, which others have: expected one for the API server";
        section.error(key, reason);
    }
    Some(secret)
}

/// `None` if absent. Claims that our ID tokens never contain are refused, because with them no token would be accepted.
fn claim(section: &Section<'_>, key: &'static str, known: &[&'static str]) -> Option<String> {
    let choices: Vec<(&str, &str)> = known.iter().map(|claim| (*claim, *claim)).collect();
    section.choice(key, &choices).map(str::to_owned)
}

fn read_required(section: &Section<'_>) -> Vec<(String, String)> {
    let Some(map) = section.section("requiredClaims") else { return Vec::new() };
    let mut required = Vec::new();
    for (key, node) in map.entries() {
        let claim = key.text.as_str();
        if !TEXTS.contains(&claim) {
            let near = did_you_mean(claim, TEXTS);
            map.error(claim, format!("is no claim of an ID token that is a text{near}"));
        }
        if claim == "azp" {
            let reason = "is only in tokens with several audiences: all other tokens are refused";
            map.warning(claim, reason);
        }
        match &node.value {
            Value::Scalar { text, .. } => required.push((claim.to_owned(), text.clone())),
            other => map.error(claim, format!("found {}, expected text", other.kind())),
        }
    }
    map.finish_open();
    required
}

/// Characters that need no encoding in a path (RFC 3986 section 2.3); API servers normalize `.` and `..`.
fn fits_in_a_path(id: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    id.bytes().all(unreserved) && !matches!(id, "." | "..")
}
