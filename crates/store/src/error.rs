//! What can go wrong between a verb and its database, told by what the caller may do about it.
//!
//! Causes are text without values: a driver's `Debug` may print a row, its `Display` does not.

use sqlx::postgres::PgDatabaseError;

/// Why a verb has no answer. Nothing of it was written, unless the connection broke during COMMIT.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be asked now: gone, busy, full or read-only. The caller says 503.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database answered something it must never answer: a fault of ours, or a damaged file.
    #[error("the database broke a promise: {0}")]
    Broken(String),
    /// A text that no engine keeps (a NUL character, or an id too long for an index).
    /// The request that brought it is at fault: the caller says 400.
    #[error("this text cannot be stored: {0}")]
    Unstorable(String),
    /// What was brought as the name of the next page is none that was ever given. The request is at
    /// fault: the caller says 400.
    #[error("there is no such page")]
    NoSuchPage,
}

/// Why a store did not open. The text names the file or host and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot use the database {location}: {cause}")]
    Connect { location: String, cause: String },
    #[error(
        "the database {location} was written by a newer version of this program \
         (it has migration {found}, this program does not): start that version, or restore a backup"
    )]
    Newer { location: String, found: i64 },
    #[error("cannot bring the database {location} up to date: {cause}")]
    Migrate { location: String, cause: String },
    #[error("this is not a PostgreSQL URL: {0}")]
    Url(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let cause = chain(&error);
        match &error {
            E::Io(_)
            | E::Tls(_)
            | E::PoolTimedOut
            | E::PoolClosed
            | E::WorkerCrashed
            | E::BeginFailed => Self::Unavailable(cause),
            E::Database(database) => match code_of(database.as_ref()) {
                DatabaseCode::Sqlite(code) => sqlite(code, cause),
                DatabaseCode::Postgres(state) => postgres(&state, cause),
            },
            _ => Self::Broken(cause),
        }
    }
}

enum DatabaseCode {
    /// The primary result code.
    Sqlite(i32),
    /// SQLSTATE.
    Postgres(String),
}

fn code_of(error: &dyn sqlx::error::DatabaseError) -> DatabaseCode {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<PgDatabaseError>().is_some() {
        DatabaseCode::Postgres(code.into_owned())
    } else {
        DatabaseCode::Sqlite(code.parse::<i32>().unwrap_or(1) & 0xff)
    }
}

fn sqlite(primary_code: i32, cause: String) -> StoreError {
    match primary_code {
        // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL
        5..=10 | 13..=15 => StoreError::Unavailable(cause),
        // TOOBIG
        18 => StoreError::Unstorable(cause),
        _ => StoreError::Broken(cause),
    }
}

fn postgres(state: &str, cause: String) -> StoreError {
    match state {
        // Read-only, conflicts that outlived their retries, a lock not got, a database not there or
        // closed to everybody.
        "25006" | "25P03" | "40001" | "40P01" | "55P03" | "55000" | "3D000" => {
            StoreError::Unavailable(cause)
        }
        // A text that is no UTF-8 without NUL; an index row too long.
        "22021" | "22P05" | "54000" => StoreError::Unstorable(cause),
        // Connection, resources, operator, system, authentication.
        _ if ["08", "53", "57", "58", "28"].iter().any(|class| state.starts_with(class)) => {
            StoreError::Unavailable(cause)
        }
        _ => StoreError::Broken(cause),
    }
}

/// A conflict with another transaction, after which the same verb may succeed (PostgreSQL only).
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    matches!(
        error.as_database_error().map(code_of),
        Some(DatabaseCode::Postgres(state)) if state == "40001" || state == "40P01"
    )
}

pub(crate) use countersign_core::text::error_chain as chain;

/// A promise the schema or a caller has broken.
pub(crate) fn broken(what: impl std::fmt::Display) -> StoreError {
    StoreError::Broken(what.to_string())
}
