//! The configuration of an LDAP connector, after it was read and checked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::Secret;
use ldap3::Scope;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

mod read;

pub(super) use read::read;

pub(super) struct Config {
    /// Asked in this order; never empty.
    pub hosts: Vec<Host>,
    pub security: Security,
    /// `None`: anonymous.
    pub bind: Option<(String, Secret)>,
    pub prompt: String,
    pub users: UserSearch,
    /// `None`: nobody has groups.
    pub groups: Option<GroupSearch>,
    /// One login or refresh, everything in it included.
    pub timeout: Duration,
    /// Logins and refreshes that talk to the directory at the same time.
    pub pool_size: usize,
}

impl Config {
    /// Fingerprint of the directory: the first host, the base DN of the users,
    /// and the attribute of their id. A failover host after the first changes nothing.
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
    /// What its certificate must be for; `None` only without TLS.
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
    /// `insecureNoSSL`: passwords travel in clear.
    Clear,
    StartTls(Tls),
    Tls(Tls),
}

#[derive(Clone)]
pub(super) struct Tls {
    pub config: Arc<ClientConfig>,
    /// False with `insecureSkipVerify`.
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
    /// In parentheses, or empty.
    pub filter: String,
    /// Attributes that a typed name is compared with; never empty.
    pub username: Vec<String>,
    pub scope: Scope,
    pub id: String,
    pub name: Option<String>,
    pub preferred_username: Option<String>,
    pub email: Email,
}

pub(super) enum Email {
    Attribute(String),
    /// The value of `nameAttr`, an `@` and this.
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
    /// Compared with the same attribute of each group found, for groups of groups.
    pub recursion: Option<String>,
}
