//! `--from`: selects and reads Dex's storage.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use countersign_store::dex::{self, DexDatabase, MySqlOptions};
use countersign_store::{Location, OpenError, PostgresOptions};

use crate::dex::{DexData, KINDS};
use crate::record::Record;
use crate::{ReadError, json, sql_dump};

/// Larger files are refused: a refresh token takes about a kilobyte, so this suffices for hundreds of thousands of
/// users.
const MAX_FILE_BYTES: u64 = 1 << 30;
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// Where Dex's data is.
#[derive(Debug)]
pub enum Source {
    Database(Location),
    /// MySQL or MariaDB.
    MySql(MySqlOptions),
    /// A dump of MySQL or PostgreSQL.
    Dump(String),
    /// The output of `kubectl` or `etcdctl`.
    Json(String),
}

impl Source {
    /// A file, whose format is detected from its content, `postgres://…` or `mysql://…`.
    pub fn open(from: &str) -> Result<Self, ReadError> {
        if from.starts_with("postgres://") || from.starts_with("postgresql://") {
            let options = PostgresOptions::from_url(from);
            let options = options.map_err(|e| ReadError::Database(e.to_string()))?;
            return Ok(Self::Database(Location::Postgres(options)));
        }
        if from.starts_with("mysql://") || from.starts_with("mariadb://") {
            let options = MySqlOptions::from_url(from);
            let options = options.map_err(|e| ReadError::Database(e.to_string()))?;
            return Ok(Self::MySql(options));
        }
        if from.starts_with("http://") || from.starts_with("https://") {
            return Err(ReadError::Instruction(ETCD.to_owned()));
        }
        let path = from.strip_prefix("file:").unwrap_or(from);
        let path = path.split('?').next().unwrap_or(path);
        Self::of_file(Path::new(path))
    }

    fn of_file(path: &Path) -> Result<Self, ReadError> {
        let failed = |cause: String| ReadError::File { file: path.display().to_string(), cause };
        let mut file = File::open(path).map_err(|e| failed(e.to_string()))?;
        let mut head = Vec::new();
        let magic = u64::try_from(SQLITE_MAGIC.len()).unwrap_or(16);
        file.by_ref().take(magic).read_to_end(&mut head).map_err(|e| failed(e.to_string()))?;
        if head == SQLITE_MAGIC {
            return Ok(Self::Database(Location::Sqlite { file: PathBuf::from(path) }));
        }
        let mut bytes = head;
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            failed("it is not text; make the dump with --hex-blob, in UTF-8".to_owned())
        })?;
        match text.trim_start().starts_with('{') {
            true => Ok(Self::Json(text)),
            false => Ok(Self::Dump(text)),
        }
    }
}

/// Reads the whole storage. Databases are read in one read-only transaction.
pub async fn read(source: &Source) -> Result<DexData, ReadError> {
    match source {
        Source::Json(text) => json::read(text),
        Source::Dump(text) => Ok(of_database(sql_dump::read(text)?)),
        Source::Database(location) => of_server(dex::read(location).await, location),
        Source::MySql(options) => of_server(dex::read_mysql(options).await, options),
    }
}

fn of_server(
    found: Result<Option<DexDatabase>, OpenError>,
    place: &impl fmt::Display,
) -> Result<DexData, ReadError> {
    let found = found.map_err(|e| ReadError::Database(e.to_string()))?;
    let none = || ReadError::Database(format!("{place} has none of Dex's tables"));
    Ok(of_database(found.ok_or_else(none)?))
}

fn of_database(database: DexDatabase) -> DexData {
    let layout = if database.is_ent { "tables of Dex's ent storage" } else { "SQL tables of Dex" };
    let migration = database.migration.map(|number| format!(" (migration {number})"));
    let mut data = DexData {
        source: format!("{layout}{}", migration.unwrap_or_default()),
        left_behind: database.left_behind,
        ..DexData::default()
    };
    let mut tables = database.tables;
    for kind in KINDS {
        for row in tables.remove(kind).unwrap_or_default() {
            data.add(kind, &Record::of_row(row));
        }
    }
    data
}

/// Instructions for storages that are not read directly.
pub const KUBERNETES: &str = "custom resources are read from a file: run `kubectl get -n NAMESPACE -o json oauth2clients.dex.coreos.com,\
    passwords.dex.coreos.com,connectors.dex.coreos.com,signingkeies.dex.coreos.com,refreshtokens.dex.coreos.com,\
    offlinesessionses.dex.coreos.com > dex.json` and give --from dex.json";
pub const ETCD: &str = "etcd is read from a file: run `etcdctl get --prefix NAMESPACE -w json > dex.json` with the \
    namespace of Dex's configuration (\"\" if it has none) and give --from dex.json";
