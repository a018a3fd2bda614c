//! Migrates the schema exactly once, even if several processes start concurrently.

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, SqlStr};
use std::time::Duration;

use crate::OpenError;
use crate::error::chain;

/// How long a start waits for another process that is migrating.
const WAIT_TIMEOUT: Duration = Duration::from_mins(2);

/// Number, name and text of each migration.
pub(crate) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "sessions", include_str!("../../../migrations/0001_sessions.sql")),
    (2, "search", include_str!("../../../migrations/0002_search.sql")),
    (3, "brakes", include_str!("../../../migrations/0003_brakes.sql")),
    (4, "notices", include_str!("../../../migrations/0004_notices.sql")),
    (5, "traces", include_str!("../../../migrations/0005_traces.sql")),
    (6, "standard_names", include_str!("../../../migrations/0006_standard_names.sql")),
    (7, "device_requests", include_str!("../../../migrations/0007_device_requests.sql")),
    (8, "stored_objects", include_str!("../../../migrations/0008_stored_objects.sql")),
    (9, "used_assertions", include_str!("../../../migrations/0009_used_assertions.sql")),
    (10, "access_token_keys", include_str!("../../../migrations/0010_access_token_keys.sql")),
    (11, "repeated_generation", include_str!("../../../migrations/0011_repeated_generation.sql")),
    (12, "superseded_keys", include_str!("../../../migrations/0012_superseded_keys.sql")),
];

fn migrator() -> Migrator {
    let migration = |(number, name, sql): &(i64, &'static str, &'static str)| {
        let sql = SqlStr::from_static(sql);
        Migration::new(*number, (*name).into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}

/// sqlx has no lock for SQLite, so all migrations run in one IMMEDIATE transaction.
pub(crate) async fn sqlite(
    connection: &mut SqliteConnection,
    location: &str,
) -> Result<(), OpenError> {
    let locked = async {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        run(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    };
    locked.await.map_err(|error| explained(error, location))
}

/// sqlx uses an advisory lock held by the connection.
pub(crate) async fn postgres(
    connection: &mut PgConnection,
    location: &str,
) -> Result<(), OpenError> {
    let migration = async {
        run(connection).await?;
        leave_room_for_updates(connection).await.map_err(MigrateError::Execute)
    };
    match tokio::time::timeout(WAIT_TIMEOUT, migration).await {
        Ok(done) => done.map_err(|error| explained(error, location)),
        Err(_) => Err(OpenError::Migrate {
            location: location.to_owned(),
            cause: format!("another process has been migrating for {WAIT_TIMEOUT:?}"),
        }),
    }
}

/// Reserves space in each page, so that an updated row fits into the page of its previous version (heap-only tuples,
/// which change no index).
async fn leave_room_for_updates(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for table in ["sessions", "grants"] {
        let sql = "SELECT reloptions IS NULL FROM pg_class WHERE oid = CAST($1 AS regclass)";
        let is_unset: bool =
            sqlx::query_scalar(sql).bind(table).fetch_one(&mut *connection).await?;
        if is_unset {
            let sql = format!("ALTER TABLE {table} SET (fillfactor = 80)");
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn run<C: Migrate>(connection: &mut C) -> Result<(), MigrateError> {
    migrator().run_direct(None, connection, false).await
}

fn explained(error: MigrateError, location: &str) -> OpenError {
    let location = location.to_owned();
    match error {
        MigrateError::VersionMissing(found) => OpenError::Newer { location, found },
        other => OpenError::Migrate { location, cause: chain(&other) },
    }
}
