//! `clusters`: the Kubernetes clusters listed at `/clusters`.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_config::{Section, did_you_mean, read_text};
use countersign_core::network::is_loopback_url;
use countersign_core::{Client, ClientId, KubernetesCluster};
use url::Url;

/// A certificate authority with its chain takes a few kilobytes.
const MAX_PEM_BYTES: usize = 64 * 1024;

pub fn read(root: &Section<'_>, clients: &[Client]) -> Vec<KubernetesCluster> {
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
