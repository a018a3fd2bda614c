//! Kubernetes: `clusters`, the clusters listed at `/clusters`, and `staticClients[].kubernetes`, settings of a client that
//! is a cluster.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_config::{Environment, Section, Value, did_you_mean, read_text};
use countersign_core::kubernetes::{GroupClaims, Webhook};
use countersign_core::network::is_loopback_url;
use countersign_core::{Client, ClientId, Kubernetes, KubernetesCluster, Secret};
use url::Url;

use super::variable;

/// A certificate authority with its chain takes a few kilobytes.
const MAX_PEM_BYTES: usize = 64 * 1024;
/// Claims of our ID tokens that can be the user name.
const NAMES: [&str; 4] = ["sub", "email", "preferred_username", "name"];
/// Claims of our ID tokens that can be required.
const TEXTS: [&str; 9] =
    ["iss", "sub", "aud", "azp", "sid", "nonce", "email", "preferred_username", "name"];
/// Enough for 96 random bits in any encoding.
const SHORTEST_SECRET: usize = 16;

pub fn read_clusters(root: &Section<'_>, clients: &[Client]) -> Vec<KubernetesCluster> {
    let mut clusters: Vec<KubernetesCluster> = Vec::new();
    for section in root.sections("clusters") {
        let cluster = read_cluster(&section, clients);
        if let Some(cluster) = &cluster {
            check_against(&section, cluster, &clusters);
        }
        section.finish();
        clusters.extend(cluster);
    }
    clusters
}

/// Every key is read before an error is returned.
fn read_cluster(section: &Section<'_>, clients: &[Client]) -> Option<KubernetesCluster> {
    let name = section.required_text("name");
    if let Some(name) = &name
        && !is_name(name)
    {
        let reason =
            "has characters that are not allowed in a path, expected letters, digits, - . _";
        section.error("name", reason);
    }
    let server = section.required_text("server");
    if let Some(server) = &server {
        check_server(section, server);
    }
    let client = read_client(section, name.as_deref(), clients);
    let namespace = section.text("namespace").filter(|namespace| !namespace.is_empty());
    let cluster = KubernetesCluster {
        name: name.unwrap_or_default(),
        description: section.text("description").unwrap_or_default(),
        server: server.unwrap_or_default(),
        certificate_authority: read_certificate_authority(section),
        client: client.unwrap_or_default(),
        groups: section.texts("groups"),
        namespace,
    };
    (!cluster.name.is_empty()).then_some(cluster)
}

/// The name is used in paths and as a kubeconfig's context.
fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    name.len() <= 63 && name.bytes().all(fits) && !matches!(name, "." | "..")
}

fn check_server(section: &Section<'_>, server: &str) {
    let expected = "expected the URL of the API server, such as https://api.example.com:6443";
    match Url::parse(server) {
        Ok(url) if url.scheme() == "https" && url.host().is_some() => {}
        Ok(url) if url.scheme() == "http" && is_loopback_url(&url) => {}
        Ok(url) if url.scheme() == "http" => {
            section.error("server", "is http: tokens would travel in clear, expected https");
        }
        _ => section.error("server", format!("found {server:?}, {expected}")),
    }
}

/// The client whose ID tokens the API server accepts. Default: the client with the cluster's name.
fn read_client(section: &Section<'_>, name: Option<&str>, clients: &[Client]) -> Option<ClientId> {
    let id = section.text("clientID").or_else(|| name.map(str::to_owned))?;
    let Some(client) = clients.iter().find(|client| client.id.as_str() == id) else {
        let near = did_you_mean(&id, clients.iter().map(|client| client.id.as_str()));
        let key = if section.has("clientID") { "clientID" } else { "name" };
        section.error(key, format!("{id:?} is no client in this file{near}"));
        return None;
    };
    if !client.public {
        let reason =
            "is a client with a secret, which every engineer would need: expected a public one";
        section.warning("clientID", reason);
    }
    Some(client.id.clone())
}

/// A PEM file, or base64 of PEM.
fn read_certificate_authority(section: &Section<'_>) -> Option<String> {
    let (key, pem) =
        match (section.text("certificateAuthority"), section.text("certificateAuthorityData")) {
            (Some(_), Some(_)) => {
                let reason =
                    "is given together with certificateAuthority, expected only one of them";
                section.error("certificateAuthorityData", reason);
                return None;
            }
            (Some(file), None) => {
                let read = read_text(Path::new(&file), MAX_PEM_BYTES);
                ("certificateAuthority", read.map_err(|reason| format!("{file} {reason}")))
            }
            (None, Some(data)) => ("certificateAuthorityData", decoded(&data)),
            (None, None) => return None,
        };
    match pem {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Some(pem),
        Ok(_) => {
            section.error(key, "holds no certificate in PEM");
            None
        }
        Err(reason) => {
            section.error(key, reason);
            None
        }
    }
}

fn decoded(data: &str) -> Result<String, String> {
    let compact: String = data.split_whitespace().collect();
    let bytes = STANDARD.decode(compact).map_err(|_| "is not base64".to_owned())?;
    String::from_utf8(bytes).map_err(|_| "is not base64 of PEM".to_owned())
}

fn check_against(section: &Section<'_>, cluster: &KubernetesCluster, others: &[KubernetesCluster]) {
    if others.iter().any(|other| other.name == cluster.name) {
        let reason = format!("{} is the name of another cluster above", cluster.name);
        section.error("name", reason);
    }
    let same = |other: &&KubernetesCluster| {
        other.client == cluster.client && !cluster.client.as_str().is_empty()
    };
    if let Some(other) = others.iter().find(same) {
        let reason = format!(
            "{} is the client of the cluster {} too: a token stolen at one can be used at the other",
            cluster.client, other.name
        );
        section.warning("clientID", reason);
    }
}

/// `staticClients[].kubernetes`: settings of a client that is a cluster. `client` contains the keys read so far.
pub fn read_client_settings(
    section: &Section<'_>,
    client: &Client,
    env: Environment<'_>,
) -> Option<Kubernetes> {
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
