//! The location of a database and the options of a connection to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use countersign_core::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::OpenError;

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file for one process, in an existing directory. Created with mode 0600.
    Sqlite { file: PathBuf },
    /// A private temporary SQLite file, deleted with the last [`crate::Store`] that uses it.
    Memory,
    /// A server, for several replicas.
    Postgres(PostgresOptions),
}

/// A PostgreSQL database and the options of connections to it.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// One server, or a primary with its standbys, in any order: the writable one is determined at connection.
    pub hosts: Vec<PostgresHost>,
    pub user: String,
    pub password: Secret,
    pub database: String,
    /// How long an operation waits for a connection, and a connection attempt for the server.
    pub connect_timeout: Duration,
    /// Of the pool of one replica; the connection for notifications is in addition.
    pub max_connections: u32,
    /// After this time a connection is replaced; `None`: never.
    pub max_lifetime: Option<Duration>,
    pub ssl_mode: SslMode,
    /// PEM files.
    pub ssl_root_cert: Option<PathBuf>,
    pub ssl_cert: Option<PathBuf>,
    pub ssl_key: Option<PathBuf>,
}

/// One PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresHost {
    /// A host name, an address, or, if it begins with `/`, the directory of a Unix socket.
    pub name: String,
    pub port: u16,
}

impl Default for PostgresHost {
    fn default() -> Self {
        Self { name: "localhost".into(), port: 5432 }
    }
}

impl fmt::Display for PostgresHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// The modes of libpq. `VerifyFull` is the default, because the connection carries a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    #[default]
    VerifyFull,
}

impl SslMode {
    /// `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    const fn for_driver(self) -> PgSslMode {
        match self {
            Self::Disable => PgSslMode::Disable,
            Self::Allow => PgSslMode::Allow,
            Self::Prefer => PgSslMode::Prefer,
            Self::Require => PgSslMode::Require,
            Self::VerifyCa => PgSslMode::VerifyCa,
            Self::VerifyFull => PgSslMode::VerifyFull,
        }
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            hosts: vec![PostgresHost::default()],
            user: String::new(),
            password: Secret::default(),
            database: String::new(),
            connect_timeout: Duration::from_secs(5),
            max_connections: 10,
            max_lifetime: Some(Duration::from_mins(30)),
            ssl_mode: SslMode::default(),
            ssl_root_cert: None,
            ssl_cert: None,
            ssl_key: None,
        }
    }
}

impl PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…&host=/socket/folder`; as in libpq there may
    /// be several servers, `host-1:port,host-2:port`.
    pub fn from_url(text: &str) -> Result<Self, OpenError> {
        let (text, others) = split_servers(text);
        let url = Url::parse(&text).map_err(|e| OpenError::Url(e.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(OpenError::Url("the scheme must be postgres".into()));
        }
        let mut options = Self {
            user: decoded(url.username()),
            password: Secret::new(decoded(url.password().unwrap_or_default())),
            database: decoded(url.path().trim_start_matches('/')),
            ..Self::default()
        };
        let mut host = PostgresHost::default();
        if let Some(name) = url.host_str().filter(|name| !name.is_empty()) {
            host.name = decoded(name.trim_start_matches('[').trim_end_matches(']'));
        }
        if let Some(port) = url.port() {
            host.port = port;
        }
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "host" => host.name = value.into_owned(),
                "sslmode" => {
                    options.ssl_mode = SslMode::parse(&value)
                        .ok_or_else(|| OpenError::Url(format!("unknown sslmode {value}")))?;
                }
                "sslrootcert" => options.ssl_root_cert = Some(value.into_owned().into()),
                "sslcert" => options.ssl_cert = Some(value.into_owned().into()),
                "sslkey" => options.ssl_key = Some(value.into_owned().into()),
                other => return Err(OpenError::Url(format!("{other} is not supported"))),
            }
        }
        options.hosts = vec![host];
        for other in others {
            // As the authority of a URL of its own.
            let one = Self::from_url(&format!("postgres://{other}/"))?;
            options.hosts.extend(one.hosts);
        }
        Ok(options)
    }

    pub(crate) fn for_driver(&self, host: &PostgresHost) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&host.name)
            .port(host.port)
            .username(&self.user)
            .database(&self.database)
            .ssl_mode(self.ssl_mode.for_driver())
            .application_name("countersign");
        if !self.password.is_empty() {
            options = options.password(self.password.expose());
        }
        if let Some(file) = &self.ssl_root_cert {
            options = options.ssl_root_cert(file);
        }
        if let Some(file) = &self.ssl_cert {
            options = options.ssl_client_cert(file);
        }
        if let Some(file) = &self.ssl_key {
            options = options.ssl_client_key(file);
        }
        options
    }
}

/// For messages; without the password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { file } => write!(f, "{}", file.display()),
            Self::Memory => f.write_str("in memory"),
            Self::Postgres(at) => {
                let hosts: Vec<String> = at.hosts.iter().map(PostgresHost::to_string).collect();
                write!(f, "{} on {} as {}", at.database, hosts.join(", "), at.user)
            }
        }
    }
}

/// The URL with the first of its servers alone, and the others: such a list is not an authority of RFC 3986.
fn split_servers(text: &str) -> (String, Vec<&str>) {
    let Some((scheme, rest)) = text.split_once("://") else { return (text.to_owned(), vec![]) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let from = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, servers) = authority.split_at(from);
    let mut servers = servers.split(',');
    let first = servers.next().unwrap_or_default();
    (format!("{scheme}://{user}{first}{path}"), servers.collect())
}

/// Percent-decoding of a URL's user information, in which a plus is a plus.
pub(crate) fn decoded(text: &str) -> String {
    let form = format!("v={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(form.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{PostgresHost, PostgresOptions, SslMode};

    #[test]
    fn a_url_is_read_whole() {
        let url = "postgres://a%40b:p%2B+%26&x@db.example:6543/name%20x?sslmode=require";
        let options = PostgresOptions::from_url(url).unwrap();
        assert_eq!(options.user, "a@b");
        assert_eq!(options.password.expose(), "p++&&x");
        assert_eq!(options.hosts, [PostgresHost { name: "db.example".into(), port: 6543 }]);
        assert_eq!(options.database, "name x");
        assert_eq!(options.ssl_mode, SslMode::Require);
        assert!(!format!("{options:?}").contains("p++"));
    }

    #[test]
    fn a_url_may_name_several_servers() {
        let hosts = |url: &str| {
            let hosts = PostgresOptions::from_url(url).unwrap().hosts;
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let url = "postgres://u:p,q@db-1:6543,db-2,[::1]:7000/dex?sslmode=disable";
        assert_eq!(hosts(url), "db-1:6543 db-2:5432 [::1]:7000");
        assert_eq!(PostgresOptions::from_url(url).unwrap().password.expose(), "p,q");
        assert_eq!(hosts("postgres://db-1/a,b?host=/run/pg"), "/run/pg:5432");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for url in [
            "mysql://h/d",
            "postgres://h/d?sslmode=maybe",
            "postgres://h/d?x=1",
            "postgres://h,h:port/d",
            "nonsense",
        ] {
            assert!(PostgresOptions::from_url(url).is_err(), "{url}");
        }
    }
}
