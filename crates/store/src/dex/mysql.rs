//! Dex's tables on MySQL or MariaDB, which are only read: no data of ours is stored there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use countersign_core::Secret;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row as _};
use url::Url;

use super::read::wanted;
use super::{DexDatabase, DexRow};
use crate::error::chain;
use crate::location::decoded;
use crate::{OpenError, SslMode};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Of reading all tables: a lock of the server may hold them back.
const READ_TIMEOUT: Duration = Duration::from_mins(10);

/// A database of Dex and the options of a connection to it.
#[derive(Clone, Debug)]
pub struct MySqlOptions {
    /// A host name, an address, or, if it begins with `/`, the file of a Unix socket, as in Dex.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Secret,
    pub database: String,
    /// `VerifyFull` is the default, as in Dex.
    pub ssl_mode: SslMode,
    /// PEM files.
    pub ssl_root_cert: Option<PathBuf>,
    pub ssl_cert: Option<PathBuf>,
    pub ssl_key: Option<PathBuf>,
}

impl Default for MySqlOptions {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 3306,
            user: String::new(),
            password: Secret::default(),
            database: String::new(),
            ssl_mode: SslMode::default(),
            ssl_root_cert: None,
            ssl_cert: None,
            ssl_key: None,
        }
    }
}

impl MySqlOptions {
    /// `mysql://user:password@host:port/database?ssl-mode=…&ssl-ca=…&ssl-cert=…&ssl-key=…&socket=/file`: the parameters
    /// have the names and values of MySQL's own programs.
    pub fn from_url(text: &str) -> Result<Self, OpenError> {
        let failed = OpenError::MySqlUrl;
        let url = Url::parse(text).map_err(|e| failed(e.to_string()))?;
        if !matches!(url.scheme(), "mysql" | "mariadb") {
            return Err(failed("the scheme must be mysql".to_owned()));
        }
        let mut options = Self {
            user: decoded(url.username()),
            password: Secret::new(decoded(url.password().unwrap_or_default())),
            database: decoded(url.path().trim_start_matches('/')),
            ..Self::default()
        };
        if options.database.is_empty() {
            return Err(failed("it names no database".to_owned()));
        }
        if let Some(host) = url.host_str().filter(|host| !host.is_empty()) {
            options.host = decoded(host.trim_start_matches('[').trim_end_matches(']'));
        }
        options.port = url.port().unwrap_or(options.port);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "socket" => options.host = value.into_owned(),
                "ssl-mode" => {
                    options.ssl_mode = parse_ssl_mode(&value)
                        .ok_or_else(|| failed(format!("unknown ssl-mode {value}")))?;
                }
                "ssl-ca" => options.ssl_root_cert = Some(value.into_owned().into()),
                "ssl-cert" => options.ssl_cert = Some(value.into_owned().into()),
                "ssl-key" => options.ssl_key = Some(value.into_owned().into()),
                other => return Err(failed(format!("{other} is not supported"))),
            }
        }
        Ok(options)
    }

    fn for_driver(&self) -> MySqlConnectOptions {
        let mut options = MySqlConnectOptions::new()
            .username(&self.user)
            .database(&self.database)
            .ssl_mode(match self.ssl_mode {
                SslMode::Disable => MySqlSslMode::Disabled,
                SslMode::Allow | SslMode::Prefer => MySqlSslMode::Preferred,
                SslMode::Require => MySqlSslMode::Required,
                SslMode::VerifyCa => MySqlSslMode::VerifyCa,
                SslMode::VerifyFull => MySqlSslMode::VerifyIdentity,
            });
        options = match self.host.starts_with('/') {
            true => options.socket(&self.host),
            false => options.host(&self.host).port(self.port),
        };
        if !self.password.is_empty() {
            options = options.password(self.password.expose());
        }
        if let Some(file) = &self.ssl_root_cert {
            options = options.ssl_ca(file);
        }
        if let Some(file) = &self.ssl_cert {
            options = options.ssl_client_cert(file);
        }
        if let Some(file) = &self.ssl_key {
            options = options.ssl_client_key(file);
        }
        options.disable_statement_logging()
    }
}

/// For messages; without the password.
impl fmt::Display for MySqlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, host, port, user, .. } = self;
        match (host.starts_with('/'), host.contains(':')) {
            (true, _) => write!(f, "{database} on {host} as {user}"),
            (false, true) => write!(f, "{database} on [{host}]:{port} as {user}"),
            (false, false) => write!(f, "{database} on {host}:{port} as {user}"),
        }
    }
}

/// The values of `--ssl-mode` of MySQL's programs, in any case.
fn parse_ssl_mode(text: &str) -> Option<SslMode> {
    Some(match text.to_ascii_uppercase().as_str() {
        "DISABLED" => SslMode::Disable,
        "PREFERRED" => SslMode::Prefer,
        "REQUIRED" => SslMode::Require,
        "VERIFY_CA" => SslMode::VerifyCa,
        "VERIFY_IDENTITY" => SslMode::VerifyFull,
        _ => return None,
    })
}

/// Reads a database; `None` if it is not Dex's.
pub async fn read_mysql(options: &MySqlOptions) -> Result<Option<DexDatabase>, OpenError> {
    let failed = |cause: String| OpenError::Connect { location: options.to_string(), cause };
    let driver = options.for_driver();
    let attempt = tokio::time::timeout(CONNECT_TIMEOUT, driver.connect()).await;
    let attempt = attempt.map_err(|_| failed(format!("no answer within {CONNECT_TIMEOUT:?}")))?;
    let mut connection = attempt.map_err(|e| failed(connect_cause(&e)))?;
    let read = tokio::time::timeout(READ_TIMEOUT, read_tables(&mut connection)).await;
    let read =
        read.map_err(|_| failed(format!("its tables were not read within {READ_TIMEOUT:?}")))?;
    let found = read.map_err(|e| failed(chain(&e)));
    let _closed = connection.close().await;
    found
}

/// sqlx's feature `mysql-rsa` is off: it encrypts the password with a key that the server sends without proof that it is
/// the server's, so that whoever is between them can read the password.
fn connect_cause(error: &sqlx::Error) -> String {
    let cause = chain(error);
    match matches!(error, sqlx::Error::Configuration(_)) && cause.contains("RSA") {
        true => "the server takes the password of this account (caching_sha2_password) over TLS only: use an \
                 ssl-mode other than DISABLED"
            .to_owned(),
        false => cause,
    }
}

/// In one transaction, which sees the rows of one moment and may not write.
async fn read_tables(connection: &mut MySqlConnection) -> Result<Option<DexDatabase>, sqlx::Error> {
    // It holds for the next transaction only. With another level the snapshot is not consistent.
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .execute(&mut *connection)
        .await?;
    let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
    let mut transaction = connection.begin_with(begin).await?;
    let sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()";
    let found = sqlx::query(sql).fetch_all(&mut *transaction).await?;
    let names = found.iter().map(|row| text(row, 0).map(Option::unwrap_or_default));
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    let mut rows = BTreeMap::new();
    for table in wanted(&names) {
        rows.insert(table.to_owned(), read_table(&mut transaction, table).await?);
    }
    transaction.rollback().await?;
    Ok(DexDatabase::new(&names, rows))
}

/// `table` is a name from our own list, since it becomes part of a statement.
async fn read_table(
    connection: &mut MySqlConnection,
    table: &'static str,
) -> Result<Vec<DexRow>, sqlx::Error> {
    let sql = "SELECT column_name, data_type FROM information_schema.columns \
               WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position";
    let found = sqlx::query(sql).bind(table).fetch_all(&mut *connection).await?;
    let (mut columns, mut list) = (Vec::new(), Vec::new());
    for row in &found {
        let name = text(row, 0)?.unwrap_or_default();
        let kind = text(row, 1)?.unwrap_or_default();
        list.push(as_text(&name, &kind));
        columns.push(name);
    }
    let sql = format!("SELECT {} FROM `{table}`", list.join(", "));
    let found = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
    let read = found.iter().map(|row| {
        let values = columns.iter().enumerate();
        let values = values.map(|(index, name)| Ok((name.clone(), text(row, index)?)));
        values.collect::<Result<DexRow, sqlx::Error>>()
    });
    read.collect()
}

/// The expression that reads a column as text in UTF-8. Dex stores JSON as binary strings, in UTF-8 already.
fn as_text(name: &str, kind: &str) -> String {
    let name = name.replace('`', "``");
    match kind.to_ascii_lowercase().as_str() {
        "tinyblob" | "blob" | "mediumblob" | "longblob" | "binary" | "varbinary" => {
            format!("`{name}`")
        }
        _ => format!("CONVERT(`{name}` USING utf8mb4)"),
    }
}

/// A value, whichever of the types of strings the server gives it: MySQL 8 and MariaDB differ in that for their
/// information schema.
fn text(row: &MySqlRow, index: usize) -> Result<Option<String>, sqlx::Error> {
    let bytes: Option<Vec<u8>> = row.try_get_unchecked(index)?;
    let text = bytes.map(String::from_utf8).transpose();
    text.map_err(|e| sqlx::Error::Decode(Box::new(e.utf8_error())))
}

#[cfg(test)]
mod tests {
    use super::MySqlOptions;
    use crate::SslMode;

    #[test]
    fn a_url_is_read_whole() {
        let url =
            "mysql://a%40b:p%2B+%26&x@db.example:3307/name%20x?ssl-mode=required&ssl-ca=/ca.pem";
        let options = MySqlOptions::from_url(url).unwrap();
        assert_eq!(options.user, "a@b");
        assert_eq!(options.password.expose(), "p++&&x");
        assert_eq!(options.to_string(), "name x on db.example:3307 as a@b");
        assert_eq!(options.ssl_mode, SslMode::Require);
        assert_eq!(options.ssl_root_cert.as_deref(), Some(std::path::Path::new("/ca.pem")));
        assert!(!format!("{options:?}").contains("p++"));
    }

    #[test]
    fn the_defaults_are_those_of_dex() {
        let options = MySqlOptions::from_url("mariadb://u@[::1]/dex").unwrap();
        assert_eq!(options.to_string(), "dex on [::1]:3306 as u");
        assert_eq!(options.ssl_mode, SslMode::VerifyFull);
        let options = MySqlOptions::from_url("mysql://u@localhost/dex?socket=/run/m.sock").unwrap();
        assert_eq!(options.to_string(), "dex on /run/m.sock as u");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for url in [
            "postgres://h/d",
            "mysql://h/d?ssl-mode=maybe",
            "mysql://h/d?sslmode=DISABLED",
            "mysql://h",
            "mysql://h:port/d",
            "nonsense",
        ] {
            assert!(MySqlOptions::from_url(url).is_err(), "{url}");
        }
    }
}
