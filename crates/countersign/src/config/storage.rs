//! `storage`: SQLite, in memory or PostgreSQL; and instructions for a file that names a storage that only Dex supports.

use std::path::PathBuf;
use std::time::Duration;

use countersign_config::Section;
use countersign_import::Source;
use countersign_store::dex::MySqlOptions;
use countersign_store::{Location, PostgresHost, PostgresOptions, SslMode};

/// Connections are replaced after this time, so that they are distributed over the servers behind one name.
const CONNECTION_LIFETIME: Duration = Duration::from_mins(30);

pub fn read(root: &Section<'_>) -> Option<Location> {
    if !root.has("storage") {
        root.error("storage", "is missing");
        return None;
    }
    let section = root.section("storage")?;
    let kind = section.required_text("type");
    let config = section.section("config");
    let storage = kind.and_then(|kind| match kind.as_str() {
        "memory" => {
            if let Some(config) = config {
                config.finish();
            }
            Some(Location::Memory)
        }
        "sqlite3" => read_sqlite(&section, config),
        "postgres" => read_postgres(&section, config),
        "mysql" | "etcd" | "kubernetes" => {
            section.error("type", steps(&kind, config.as_ref()));
            None
        }
        _ => {
            section.error("type", format!("found {kind:?}, expected sqlite3, postgres or memory"));
            None
        }
    });
    section.finish();
    storage
}

/// Reads the storage of a configuration file of Dex, to import from it.
pub fn read_dex(root: &Section<'_>) -> Option<Source> {
    if let Some(section) = root.section("storage")
        && section.text("type").as_deref() == Some("mysql")
    {
        let options = read_mysql(&section, section.section("config"));
        section.finish();
        return options.map(Source::MySql);
    }
    let location = read(root)?;
    if matches!(location, Location::Memory) {
        root.error("storage", "is in memory, from which nothing can be read");
        return None;
    }
    Some(Source::Database(location))
}

/// Reads Dex's keys, with Dex's defaults.
fn read_mysql(section: &Section<'_>, config: Option<Section<'_>>) -> Option<MySqlOptions> {
    let Some(config) = config else {
        section.error("config", "is missing");
        return None;
    };
    let database = config.required_text("database");
    let user = config.required_text("user");
    let host = config.text("host").filter(|host| !host.is_empty());
    let port = config.number("port", 0, 65_535).and_then(|n| u16::try_from(n).ok());
    let ssl = config.section("ssl");
    let file = |key| {
        let text = ssl.as_ref().and_then(|ssl| ssl.text(key));
        text.filter(|text| !text.is_empty()).map(PathBuf::from)
    };
    // The names of Dex's driver. With files of its own Dex ignores the mode and verifies.
    let modes = [
        ("", SslMode::VerifyFull),
        ("true", SslMode::VerifyFull),
        ("custom", SslMode::VerifyFull),
        ("preferred", SslMode::Prefer),
        ("skip-verify", SslMode::Require),
        ("false", SslMode::Disable),
    ];
    let mode = ssl.as_ref().and_then(|ssl| ssl.choice("mode", &modes));
    let (root, cert, key) = (file("caFile"), file("certFile"), file("keyFile"));
    let has_files = root.is_some() || cert.is_some() || key.is_some();
    if let Some(ssl) = ssl {
        ssl.finish();
    }
    for key in ["connectionTimeout", "maxOpenConns", "maxIdleConns", "connMaxLifetime", "params"] {
        config.ignored(key, "it is not used for an import");
    }
    let password = config.secret("password").unwrap_or_default();
    config.finish();
    let defaults = MySqlOptions::default();
    Some(MySqlOptions {
        host: host.unwrap_or(defaults.host),
        port: port.filter(|port| *port > 0).unwrap_or(defaults.port),
        user: user?,
        password,
        database: database?,
        ssl_mode: mode.filter(|_| !has_files).unwrap_or_default(),
        ssl_root_cert: root,
        ssl_cert: cert,
        ssl_key: key,
    })
}

fn read_sqlite(section: &Section<'_>, config: Option<Section<'_>>) -> Option<Location> {
    let Some(config) = config else {
        section.error("config", "is missing");
        return None;
    };
    let file = config.required_text("file");
    config.finish();
    let file = file?;
    if file == ":memory:" {
        return Some(Location::Memory);
    }
    Some(Location::Sqlite { file: PathBuf::from(file) })
}

fn read_postgres(section: &Section<'_>, config: Option<Section<'_>>) -> Option<Location> {
    let Some(config) = config else {
        section.error("config", "is missing");
        return None;
    };
    let database = config.required_text("database");
    let user = config.required_text("user");
    let seconds = |key| config.number(key, 0, 86_400).filter(|n| *n > 0).map(Duration::from_secs);
    let count = |key, default| {
        let found = config.number(key, 0, 10_000).filter(|n| *n > 0);
        found.and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
    };
    let port = config.number("port", 1, 65_535).and_then(|n| u16::try_from(n).ok());
    let ssl = config.section("ssl");
    let file = |key| {
        let text = ssl.as_ref().and_then(|ssl| ssl.text(key));
        text.filter(|text| !text.is_empty()).map(PathBuf::from)
    };
    let modes = [
        ("disable", SslMode::Disable),
        ("require", SslMode::Require),
        ("verify-ca", SslMode::VerifyCa),
        ("verify-full", SslMode::VerifyFull),
    ];
    let mut postgres = PostgresOptions {
        database: String::new(),
        user: String::new(),
        password: config.secret("password").unwrap_or_default(),
        hosts: read_hosts(&config, port.unwrap_or(5432)),
        connect_timeout: seconds("connectionTimeout").unwrap_or(Duration::from_secs(10)),
        max_connections: count("maxOpenConns", 5),
        max_lifetime: match config.number("connMaxLifetime", 0, 86_400) {
            Some(0) => None,
            found => Some(found.map_or(CONNECTION_LIFETIME, Duration::from_secs)),
        },
        ssl_mode: ssl
            .as_ref()
            .and_then(|ssl| ssl.choice("mode", &modes))
            .unwrap_or(SslMode::VerifyFull),
        ssl_root_cert: file("caFile"),
        ssl_key: file("keyFile"),
        ssl_cert: file("certFile"),
    };
    if let Some(ssl) = ssl {
        if postgres.ssl_key.is_some() != postgres.ssl_cert.is_some() {
            ssl.error("certFile", "certFile and keyFile belong together, one of them is missing");
        }
        ssl.finish();
    }
    config.ignored("maxIdleConns", "a connection that is idle for ten minutes is closed");
    config.finish();
    (postgres.database, postgres.user) = (database?, user?);
    Some(Location::Postgres(postgres))
}

/// Reads `hosts`, each with its own port or `port`; or the single `host`.
fn read_hosts(config: &Section<'_>, port: u16) -> Vec<PostgresHost> {
    let one = config.text("host");
    if !config.is_set("hosts") {
        let name = one.unwrap_or_else(|| "localhost".to_owned());
        return vec![PostgresHost { name, port }];
    }
    if one.is_some() {
        config.error("hosts", "host and hosts are both given, expected one of them");
    }
    let (mut hosts, items) = (Vec::new(), config.items("hosts"));
    if items.is_empty() {
        config.error("hosts", "names no server");
    }
    for item in items {
        let Some(text) = item.text() else { continue };
        match parse_host(&text, port) {
            Some(host) => hosts.push(host),
            None => item.error(format!("found {text:?}, expected a host name or host:port")),
        }
    }
    hosts
}

/// Parses `name`, `name:port`, `[IPv6]`, `[IPv6]:port`, or the directory of a socket.
fn parse_host(text: &str, default_port: u16) -> Option<PostgresHost> {
    let host = |name: &str, port| {
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        is_name.then(|| PostgresHost { name: name.to_owned(), port })
    };
    if text.starts_with('/') {
        return host(text, default_port);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => host(address, port.parse().ok().filter(|port| *port > 0)?),
            None => rest.is_empty().then(|| host(address, default_port))?,
        };
    }
    match text.split_once(':') {
        None => host(text, default_port),
        // Several colons: an IPv6 address without brackets, which has no port.
        Some((_, rest)) if rest.contains(':') => host(text, default_port),
        Some((name, port)) => host(name, port.parse().ok().filter(|port| *port > 0)?),
    }
}

/// What was found, and the exact steps for importing its data, with the values of this file.
pub fn steps(kind: &str, config: Option<&Section<'_>>) -> String {
    let run = |export: &str| format!("run `{export} > dex.json`");
    let (export, file) = match kind {
        "mysql" => (copy_or_dump(config), "dex.yaml"),
        "etcd" => (run(&etcdctl(config)), "dex.json"),
        _ => (run(KUBECTL), "dex.json"),
    };
    format!(
        "found {kind:?}, which is a storage of Dex that is not served from, only taken over. 1. Stop Dex and \
         {export}. 2. Write instead of this block `storage: {{type: sqlite3, config: {{file: \
         /var/lib/countersign/countersign.db}}}}`, or `type: postgres` for several replicas. 3. Run `countersign \
         import dex --from {file} --config` with this file, then `countersign serve` with it: see \
         docs/moving-from-dex.md"
    )
}

const KUBECTL: &str = "kubectl get -n NAMESPACE_OF_DEX -o json \
     oauth2clients.dex.coreos.com,passwords.dex.coreos.com,connectors.dex.coreos.com,signingkeies.dex.coreos.com,\
     refreshtokens.dex.coreos.com,offlinesessionses.dex.coreos.com";

/// The database is read over the network, as this block says; or from a dump.
fn copy_or_dump(config: Option<&Section<'_>>) -> String {
    let dump = mysqldump(config);
    format!(
        "keep a copy of this file as `dex.yaml`, which names the database; or, if that is not reachable from here, run \
         `{dump} > dex.sql` and give `--from dex.sql` in step 3"
    )
}

fn mysqldump(config: Option<&Section<'_>>) -> String {
    let text = |key| config.and_then(|config| config.text(key)).filter(|text| !text.is_empty());
    let option = |flag: &str, value: Option<String>| {
        value.map(|value| format!(" {flag} {value}")).unwrap_or_default()
    };
    let host = option("-h", text("host"));
    let port = config.and_then(|config| config.number("port", 1, 65_535));
    let port = option("-P", port.map(|port| port.to_string()));
    let user = option("-u", text("user"));
    let database = text("database").unwrap_or_else(|| "DATABASE".to_owned());
    format!("mysqldump --hex-blob --single-transaction{host}{port}{user} -p {database}")
}

fn etcdctl(config: Option<&Section<'_>>) -> String {
    let namespace = config.and_then(|config| config.text("namespace"));
    let namespace = namespace.filter(|text| !text.is_empty()).unwrap_or_else(|| "\"\"".to_owned());
    format!("etcdctl get --prefix {namespace} -w json")
}
