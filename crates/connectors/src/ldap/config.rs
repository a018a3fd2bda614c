//! The validated configuration of an LDAP connector.

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
