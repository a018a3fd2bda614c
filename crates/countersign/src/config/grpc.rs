//! `grpc`: Dex's gRPC API.

use std::path::PathBuf;

use countersign_config::{Environment, Section};

use super::web::TlsVersion;
use super::{Addresses, Listen, listen};

/// As in Dex: enables the calls about connectors, which read and write upstream secrets.
const CONNECTORS: &str = "DEX_API_CONNECTORS_CRUD";

#[derive(Clone, Debug)]
pub struct Grpc {
    pub listen: Listen,
    /// `None`: not encrypted.
    pub tls: Option<GrpcTls>,
    /// Whether gRPC server reflection is enabled, for tools such as grpcurl.
    pub reflection: bool,
    /// Whether connectors can be listed and changed.
    pub has_connectors: bool,
}

#[derive(Clone, Debug)]
pub struct GrpcTls {
    /// PEM; the leaf first.
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// Clients must have a certificate from one of these authorities; `None`: no client certificates.
    pub client_ca_file: Option<PathBuf>,
    pub min_version: TlsVersion,
    /// `None`: the newest supported version.
    pub max_version: Option<TlsVersion>,
}

/// `None`: the API is not served. The address from the command line takes precedence over that of the file, as in Dex.
pub fn read(root: &Section<'_>, addresses: &Addresses, env: Environment<'_>) -> Option<Grpc> {
    let flag = addresses.grpc.clone();
    let has_connectors = read_switch(root, env);
    let Some(section) = root.section("grpc") else {
        let listen = flag?;
        return Some(Grpc { listen, tls: None, reflection: false, has_connectors });
    };
    let listen = flag.or(listen::read(&section, "addr"));
    let tls = read_tls(&section);
    if listen.is_none() && !section.is_set("addr") {
        match tls {
            Some(_) => section.error("addr", "is missing: host:port such as 127.0.0.1:5557"),
            None => section.warning("addr", "is missing: the API is not served"),
        }
    }
    let reflection = section.flag("reflection").unwrap_or(false);
    if let Some(listen) = listen.as_ref().filter(|listen| !listen.is_loopback()) {
        let is_open = tls.as_ref().is_none_or(|tls| tls.client_ca_file.is_none());
        if is_open {
            let reason = "whoever can connect can read client secrets and create clients and users: give \
                       tlsClientCA, or listen on this machine only";
            section.warning("addr", format!("{listen} requires no client certificate: {reason}"));
        }
    }
    section.finish();
    Some(Grpc { listen: listen?, tls, reflection, has_connectors })
}

/// Accepts the values that Dex accepts: those of Go's `strconv.ParseBool`.
fn read_switch(root: &Section<'_>, env: Environment<'_>) -> bool {
    let Some(value) = env(CONNECTORS).filter(|value| !value.is_empty()) else { return false };
    match value.as_str() {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => true,
        "0" | "f" | "F" | "FALSE" | "false" | "False" => false,
        _ => {
            root.warning(
                "grpc",
                format!("the environment variable {CONNECTORS} is neither true nor false"),
            );
            false
        }
    }
}

fn read_tls(section: &Section<'_>) -> Option<GrpcTls> {
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let file = |key: &'static str| section.text(key).filter(|text| !text.is_empty());
    let (cert, key, client_ca) = (file("tlsCert"), file("tlsKey"), file("tlsClientCA"));
    let min_version = section.choice("tlsMinVersion", &versions).unwrap_or(TlsVersion::Tls12);
    let max_version = section.choice("tlsMaxVersion", &versions);
    if max_version.is_some_and(|max| max < min_version) {
        section.error("tlsMaxVersion", "is lower than tlsMinVersion");
    }
    match (&cert, &key) {
        (Some(_), None) => section.error("tlsKey", "is missing, and tlsCert needs it"),
        (None, Some(_)) => section.error("tlsCert", "is missing, and tlsKey needs it"),
        (None, None) if client_ca.is_some() => {
            section.error("tlsClientCA", "has no effect without tlsCert and tlsKey");
        }
        _ => {}
    }
    let readable = |key: &'static str, file: Option<String>| {
        let file = file?;
        if let Err(error) = section.files().check_readable(&file) {
            section.error(key, format!("the file {file:?} cannot be read: {error}"));
        }
        Some(PathBuf::from(file))
    };
    let (cert, key) = (readable("tlsCert", cert), readable("tlsKey", key));
    let client_ca_file = readable("tlsClientCA", client_ca);
    let (cert_file, key_file) = cert.zip(key)?;
    Some(GrpcTls { cert_file, key_file, client_ca_file, min_version, max_version })
}
