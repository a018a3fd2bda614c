//! Errors of operations, by what the caller may do about them.
//!
//! Causes are text without values: a driver's `Debug` may print a row, its `Display` does not.

use sqlx::postgres::PgDatabaseError;

/// Why an operation failed. Except for `OutcomeUnknown`, nothing of it was written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is unreachable, busy, full or read-only. Temporary: HTTP 503.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// COMMIT was sent and its result was lost: the operation may or may not have taken effect. Temporary:
    /// HTTP 503, with no claim about what was consumed.
    #[error("the database did not confirm the change, which may have been made: {0}")]
    OutcomeUnknown(String),
    /// The database returned invalid content: a bug, or a damaged file.
    #[error("unexpected database content or error: {0}")]
    Corrupt(String),
    /// The request contains a text that cannot be stored (a NUL character, or an id too long for an index): HTTP 400.
    #[error("this text cannot be stored: {0}")]
    Unstorable(String),
    /// The request's page cursor was not issued by this program: HTTP 400.
    #[error("invalid page cursor")]
    InvalidCursor,
}

/// Why a store could not be opened. The text names the file or host and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot use the database {location}: {cause}")]
    Connect { location: String, cause: String },
    #[error(
        "the database {location} was written by a newer version of this program \
         (it has migration {found}, this program does not): start that version, or restore a backup"
    )]
    Newer { location: String, found: i64 },
    #[error("cannot migrate the database {location}: {cause}")]
    Migrate { location: String, cause: String },
    #[error(
        "the database {location} is Dex's, and its data was not taken over yet. Run `countersign import dex` once \
         with this configuration file (it first shows what it would do), or give a new database in `storage`: see \
         docs/moving-from-dex.md"
    )]
    Dex { location: String },
    #[error("not a PostgreSQL URL: {0}")]
    Url(String),
    #[error("not a MySQL URL: {0}")]
    MySqlUrl(String),
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
            _ => Self::Corrupt(cause),
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
        _ => StoreError::Corrupt(cause),
    }
}

fn postgres(state: &str, cause: String) -> StoreError {
    match state {
        // Read-only, a conflict after all retries, a lock not acquired, no such database or one that accepts
        // no connections.
        "25006" | "25P03" | "40001" | "40P01" | "55P03" | "55000" | "3D000" => {
            StoreError::Unavailable(cause)
        }
        // Invalid UTF-8 or NUL; an index row too long.
        "22021" | "22P05" | "54000" => StoreError::Unstorable(cause),
        // Connection, resources, operator, system, authentication.
        _ if ["08", "53", "57", "58", "28"].iter().any(|class| state.starts_with(class)) => {
            StoreError::Unavailable(cause)
        }
        _ => StoreError::Corrupt(cause),
    }
}

/// A conflict with another transaction, after which the same operation may succeed (PostgreSQL only).
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    matches!(
        error.as_database_error().map(code_of),
        Some(DatabaseCode::Postgres(state)) if state == "40001" || state == "40P01"
    )
}

/// A writing statement on a read-only server (`read_only_sql_transaction`).
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    matches!(
        error.as_database_error().map(code_of),
        Some(DatabaseCode::Postgres(state)) if state == "25006"
    )
}

/// False when a failed COMMIT may have taken effect: the connection broke, or the server was shutting down.
pub(crate) fn is_outcome_known(error: &sqlx::Error) -> bool {
    match error.as_database_error().map(code_of) {
        Some(DatabaseCode::Postgres(state)) => {
            !["08", "57", "58", "XX"].iter().any(|class| state.starts_with(class))
        }
        Some(DatabaseCode::Sqlite(_)) => true,
        None => false,
    }
}

pub(crate) use countersign_core::text::error_chain as chain;

/// Content that the schema or the caller should have prevented.
pub(crate) fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(what.to_string())
}
