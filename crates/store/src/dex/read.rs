//! Reads Dex's tables from SQLite and PostgreSQL, and recognizes whose tables a database contains.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row as _};

use super::{COUNTED, DatabaseState, DexDatabase, DexRow, READ, layout};
use crate::error::chain;
use crate::{Location, OpenError, PostgresHost, PostgresOptions};

/// sqlx's table of migrations: a database that has it belongs to this program, whatever else it contains.
const OURS: &str = "_sqlx_migrations";

/// Reads a database; `None` if it is not Dex's.
pub async fn read(location: &Location) -> Result<Option<DexDatabase>, OpenError> {
    let failed = |error: sqlx::Error| OpenError::Connect {
        location: location.to_string(),
        cause: chain(&error),
    };
    match location {
        Location::Memory => Ok(None),
        Location::Sqlite { file } => {
            let mut connection = read_only(file).await.map_err(failed)?;
            let found = read_sqlite(&mut connection).await.map_err(failed);
            connection.close().await.map_err(failed)?;
            found
        }
        Location::Postgres(options) => {
            let mut connection = connected(location, options).await?;
            let found = read_postgres(&mut connection).await.map_err(failed);
            connection.close().await.map_err(failed)?;
            found
        }
    }
}

async fn read_only(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .read_only(true)
        .disable_statement_logging()
        .connect()
        .await
}

/// Whether the file has Dex's tables and none of ours. The file is opened read-only, so that not even its journal mode
/// changes. A file that does not exist, is empty or is not SQLite's is not Dex's.
pub(crate) async fn is_unclaimed_sqlite(file: &Path) -> bool {
    let Ok(mut connection) = read_only(file).await else { return false };
    let names = sqlite_tables(&mut connection).await.unwrap_or_default();
    let _closed = connection.close().await;
    is_unclaimed(&names)
}

pub(crate) async fn is_unclaimed_postgres(
    connection: &mut PgConnection,
) -> Result<bool, sqlx::Error> {
    Ok(is_unclaimed(&postgres_tables(connection).await?))
}

fn is_unclaimed(names: &[String]) -> bool {
    state_of(names) == DatabaseState::Dex
}

fn state_of(names: &[String]) -> DatabaseState {
    match (names.iter().any(|name| name == OURS), layout(names)) {
        (true, _) => DatabaseState::Ours,
        (false, Some(_)) => DatabaseState::Dex,
        (false, None) => DatabaseState::Other,
    }
}

/// Whose tables a database contains. Changes nothing and creates no file.
pub async fn state(location: &Location) -> Result<DatabaseState, OpenError> {
    let failed = |error: sqlx::Error| OpenError::Connect {
        location: location.to_string(),
        cause: chain(&error),
    };
    match location {
        Location::Memory => Ok(DatabaseState::Other),
        Location::Sqlite { file } if !file.exists() => Ok(DatabaseState::Other),
        Location::Sqlite { file } => {
            let mut connection = read_only(file).await.map_err(failed)?;
            let names = sqlite_tables(&mut connection).await.map_err(failed)?;
            let _closed = connection.close().await;
            Ok(state_of(&names))
        }
        Location::Postgres(options) => {
            let mut connection = connected(location, options).await?;
            let names = postgres_tables(&mut connection).await.map_err(failed)?;
            let _closed = connection.close().await;
            Ok(state_of(&names))
        }
    }
}

/// Of several servers the first that is no standby, as for a database of ours. One server alone may be a standby: it is
/// read, and whoever names it knows how far it lags behind.
async fn connected(
    location: &Location,
    options: &PostgresOptions,
) -> Result<PgConnection, OpenError> {
    let mut causes = Vec::new();
    for host in &options.hosts {
        let attempt = connected_to(host, options, options.hosts.len() > 1);
        let cause = match tokio::time::timeout(options.connect_timeout, attempt).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(cause)) => cause,
            Err(_) => format!("no answer within {:?}", options.connect_timeout),
        };
        causes.push(match options.hosts.len() {
            1 => cause,
            _ => format!("{host}: {cause}"),
        });
    }
    Err(OpenError::Connect { location: location.to_string(), cause: causes.join("; ") })
}

async fn connected_to(
    host: &PostgresHost,
    options: &PostgresOptions,
    is_primary_needed: bool,
) -> Result<PgConnection, String> {
    let failed = |error: sqlx::Error| chain(&error);
    let driver = options.for_driver(host).disable_statement_logging();
    let mut connection = driver.connect().await.map_err(failed)?;
    if is_primary_needed {
        let sql = "SELECT pg_is_in_recovery()";
        let is_standby: bool =
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.map_err(failed)?;
        if is_standby {
            let _closed = connection.close().await;
            return Err("this server is a standby".to_owned());
        }
    }
    Ok(connection)
}

async fn sqlite_tables(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table'";
    sqlx::query_scalar(sql).fetch_all(connection).await
}

async fn postgres_tables(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let sql = "SELECT table_name::text FROM information_schema.tables \
               WHERE table_schema = ANY (current_schemas(false))";
    sqlx::query_scalar(sql).fetch_all(connection).await
}

async fn read_sqlite(
    connection: &mut SqliteConnection,
) -> Result<Option<DexDatabase>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let names = sqlite_tables(&mut transaction).await?;
    let mut rows = BTreeMap::new();
    for table in wanted(&names) {
        let sql = format!("SELECT name FROM pragma_table_info('{table}')");
        let columns: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *transaction).await?;
        let list = columns.iter().map(|c| format!("CAST(\"{c}\" AS TEXT) AS \"{c}\""));
        let sql = format!("SELECT {} FROM \"{table}\"", list.collect::<Vec<_>>().join(", "));
        let found = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *transaction).await?;
        let read = found.iter().map(|row| {
            let values = columns.iter().map(|c| Ok((c.clone(), row.try_get(c.as_str())?)));
            values.collect::<Result<DexRow, sqlx::Error>>()
        });
        rows.insert(table.to_owned(), read.collect::<Result<_, _>>()?);
    }
    transaction.rollback().await?;
    Ok(DexDatabase::new(&names, rows))
}

async fn read_postgres(connection: &mut PgConnection) -> Result<Option<DexDatabase>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *transaction)
        .await?;
    let names = postgres_tables(&mut transaction).await?;
    let mut rows = BTreeMap::new();
    for table in wanted(&names) {
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT column_name::text, data_type::text FROM information_schema.columns \
             WHERE table_name = $1 AND table_schema = ANY (current_schemas(false))",
        )
        .bind(table)
        .fetch_all(&mut *transaction)
        .await?;
        let list = columns.iter().map(|(name, kind)| postgres_text(name, kind));
        let sql = format!("SELECT {} FROM \"{table}\"", list.collect::<Vec<_>>().join(", "));
        let found = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *transaction).await?;
        let read = found.iter().map(|row| {
            let values = columns.iter().map(|(c, _)| Ok((c.clone(), row.try_get(c.as_str())?)));
            values.collect::<Result<DexRow, sqlx::Error>>()
        });
        rows.insert(table.to_owned(), read.collect::<Result<_, _>>()?);
    }
    transaction.rollback().await?;
    Ok(DexDatabase::new(&names, rows))
}

/// The expression that reads a column as text.
fn postgres_text(name: &str, kind: &str) -> String {
    let value = match kind {
        "bytea" => format!("convert_from(\"{name}\", 'UTF8')"),
        "timestamp with time zone" => {
            format!("to_char(\"{name}\" AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        }
        _ => format!("\"{name}\"::text"),
    };
    format!("{value} AS \"{name}\"")
}

/// Only names from our own list, since they become part of a statement.
pub(super) fn wanted(names: &[String]) -> Vec<&'static str> {
    let Some(is_ent) = layout(names) else { return Vec::new() };
    let tables = READ.iter().chain(COUNTED.iter().map(|(table, _)| table));
    tables
        .map(|table| table.in_layout(is_ent))
        .chain(["migrations"])
        .filter(|table| names.iter().any(|name| name == table))
        .collect()
}
