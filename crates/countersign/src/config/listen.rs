//! Listeners: addresses to listen on, and the blocks that configure one beside `web`: `telemetry`, and `grpc`, Dex's gRPC
//! API.

use std::fmt;
use std::path::PathBuf;

use countersign_config::{Environment, Section};

use super::Addresses;

/// `host:port`. With port 0 the system chooses a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// A host name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

impl Listen {
    /// Parses an address; `:5556` means every address of this machine, as in Go.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok())??;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().ok().map(|_| ip)?,
            None if host.is_empty() => "::",
            None => host,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let known = bracketed.is_some() || host == "::" || host.chars().all(plain);
        known.then(|| Self { host: host.to_owned(), port })
    }
}

impl Listen {
    /// Whether only this machine can connect.
    pub fn is_loopback(&self) -> bool {
        let ip = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// The address at a key; `None` if absent or empty.
pub fn read(section: &Section<'_>, key: &'static str) -> Option<Listen> {
    let text = section.text(key).filter(|text| !text.is_empty())?;
    let listen = Listen::parse(&text);
    if listen.is_none() {
        section.error(key, format!("found {text:?}, expected host:port such as 127.0.0.1:5556"));
    }
    listen
}

/// The address, without which health and metrics are not served, and whether CPU profiles are served there.
pub fn read_telemetry(root: &Section<'_>) -> (Option<Listen>, bool) {
    let Some(section) = root.section("telemetry") else { return (None, false) };
    let listen = read(&section, "http");
    let enable_profiling = section.flag("enableProfiling").unwrap_or(false);
    section.finish();
    (listen, enable_profiling)
}

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
pub fn read_grpc(root: &Section<'_>, addresses: &Addresses, env: Environment<'_>) -> Option<Grpc> {
    let flag = addresses.grpc.clone();
    let has_connectors = read_switch(root, env);
    let Some(section) = root.section("grpc") else {
        let listen = flag?;
        return Some(Grpc { listen, tls: None, reflection: false, has_connectors });
    };
    let listen = flag.or(read(&section, "addr"));
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

#[cfg(test)]
mod tests {
    use super::Listen;

    #[test]
    fn addresses_are_those_of_go() {
        for (text, shown) in [
            ("127.0.0.1:5556", "127.0.0.1:5556"),
            (":5556", "[::]:5556"),
            ("[::1]:0", "[::1]:0"),
            ("localhost:80", "localhost:80"),
            ("0.0.0.0:65535", "0.0.0.0:65535"),
        ] {
            let listen = Listen::parse(text).unwrap();
            assert_eq!(listen.to_string(), shown);
        }
        for text in ["", "5556", "localhost", "a:b", "1.2.3.4:65536", "::1:80", "http://x:80", "a:"]
        {
            assert_eq!(Listen::parse(text), None, "{text}");
        }
    }
}
