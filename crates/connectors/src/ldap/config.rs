//! The validated configuration of an LDAP connector, and reading the hosts of the directory.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use countersign_config::Section;
use countersign_core::Secret;
use countersign_core::network::is_loopback_host;
use ldap3::Scope;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

mod read;

pub(super) use read::read;

pub(super) struct Config {
    /// Tried in this order; never empty.
    pub hosts: Vec<Host>,
    pub security: Security,
    /// `None`: anonymous bind.
    pub bind: Option<(String, Secret)>,
    pub prompt: String,
    pub users: UserSearch,
    /// `None`: no groups are read.
    pub groups: Option<GroupSearch>,
    /// Time limit of one login or refresh with all its requests.
    pub timeout: Duration,
    /// Maximum number of concurrent logins and refreshes.
    pub pool_size: usize,
}

impl Config {
    /// Fingerprint of the directory: the first host, the base DN of the users, and the attribute of the user id.
    /// Failover hosts do not change it.
    pub fn fingerprint(&self) -> String {
        let first = self.hosts.first().map(ToString::to_string).unwrap_or_default();
        let base = super::entry::folded(&self.users.base);
        format!("ldap:{}/{base}/{}", first.to_lowercase(), self.users.id.to_lowercase())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Host {
    /// A name or an IP address without brackets.
    pub name: String,
    pub port: u16,
    /// The name the certificate must be valid for; `None` only without TLS.
    pub server_name: Option<ServerName<'static>>,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port, .. } = self;
        if name.contains(':') { write!(f, "[{name}]:{port}") } else { write!(f, "{name}:{port}") }
    }
}

#[derive(Clone)]
pub(super) enum Security {
    /// `insecureNoSSL`: passwords are sent unencrypted.
    Clear,
    StartTls(Tls),
    Tls(Tls),
}

#[derive(Clone)]
pub(super) struct Tls {
    pub config: Arc<ClientConfig>,
    /// False with `insecureSkipVerify`: the certificate is not verified.
    pub verified: bool,
}

impl Security {
    /// For the trace.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Clear => "no TLS",
            Self::StartTls(Tls { verified: true, .. }) => "StartTLS, certificate verified",
            Self::StartTls(_) => "StartTLS, certificate NOT verified",
            Self::Tls(Tls { verified: true, .. }) => "TLS, certificate verified",
            Self::Tls(_) => "TLS, certificate NOT verified",
        }
    }
}

pub(super) struct UserSearch {
    pub base: String,
    /// A filter in parentheses, or empty.
    pub filter: String,
    /// Attributes that the login name is compared with; never empty.
    pub username: Vec<String>,
    pub scope: Scope,
    pub id: String,
    pub name: Option<String>,
    pub preferred_username: Option<String>,
    pub email: Email,
}

pub(super) enum Email {
    Attribute(String),
    /// The value of `nameAttr`, followed by `@` and this suffix.
    Suffix(String),
}

pub(super) struct GroupSearch {
    pub base: String,
    pub filter: String,
    pub scope: Scope,
    pub name: String,
    pub matchers: Vec<Matcher>,
}

pub(super) struct Matcher {
    pub user: String,
    pub group: String,
    /// Compared with the same attribute of each group found, for nested groups.
    pub recursion: Option<String>,
}

/// Reads `host`, which may be several separated by commas, or the list `hosts`. `None`, with problems recorded, if one
/// is invalid. `security` is `None` if that part of the configuration is invalid.
fn read_hosts(section: &Section<'_>, security: Option<&Security>) -> Option<Vec<Host>> {
    let host = section.text("host");
    let list = section.texts("hosts");
    let (key, texts) = match (host, section.has("hosts")) {
        (Some(_), true) => {
            section.error("hosts", "cannot be given together with host");
            return None;
        }
        (Some(host), false) => ("host", host.split(',').map(str::to_owned).collect()),
        (None, true) => ("hosts", list),
        (None, false) => {
            if !section.has("host") {
                section.error("host", "is missing");
            }
            return None;
        }
    };
    let clear = matches!(security, Some(Security::Clear));
    let port = if clear || matches!(security, Some(Security::StartTls(_))) { 389 } else { 636 };
    let mut hosts = Vec::new();
    let mut sound = true;
    for text in &texts {
        match parse_host(text.trim(), port, !clear) {
            Ok(host) => hosts.push(host),
            Err(reason) => {
                section.error(key, format!("{:?} {reason}", text.trim()));
                sound = false;
            }
        }
    }
    if texts.is_empty() {
        section.error(key, "is empty");
        return None;
    }
    if matches!(security, Some(Security::Tls(_))) && hosts.iter().any(|host| host.port == 389) {
        let instead = "give startTLS: true or another port";
        section
            .warning(key, format!("port 389 is for connections that begin without TLS: {instead}"));
    }
    if clear && !hosts.iter().all(|host| is_loopback_host(&host.name)) {
        section.warning("insecureNoSSL", "sends every password over the network in clear");
    }
    sound.then_some(hosts)
}

fn parse_host(text: &str, default_port: u16, tls: bool) -> Result<Host, &'static str> {
    if text.is_empty() {
        return Err("is not a host");
    }
    if text.contains("://") {
        return Err("is a URL, expected host or host:port");
    }
    let (name, port) = split_port(text)?;
    let port = match port {
        None => default_port,
        Some(digits) => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err("has a port that is not a number from 1 to 65535"),
        },
    };
    let server_name = ServerName::try_from(name.to_owned());
    if server_name.is_err() {
        return Err("is not a host name or an IP address");
    }
    Ok(Host { name: name.to_owned(), port, server_name: server_name.ok().filter(|_| tls) })
}

/// Splits into name or address, and port. IPv6 is in brackets, or without them if there is no port.
fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or("lacks a closing bracket")?;
        if name.parse::<Ipv6Addr>().is_err() {
            return Err("is not an IPv6 address in brackets");
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if rest.is_empty() => Ok((name, None)),
            None => Err("has something behind the bracket that is not a port"),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    Ok(text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))))
}
