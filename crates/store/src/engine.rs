//! How an operation reaches its database: SQLite through one writer task, PostgreSQL through a pool. Connections,
//! transactions and retries; no tables are known here. Each operation has a span for an OpenTelemetry collector.

mod commit;
pub(crate) mod conn;
mod listener;
mod pool;
mod postgres;
mod postgres_writer;
mod primary;
mod row;
mod servers;
pub(crate) mod sql;
mod sqlite;
mod sqlite_file;
mod sqlite_writer;

use std::future::Future;
use std::time::Duration;

use countersign_core::Timestamp;
use countersign_core::trace::EXPORTED_SPANS;
use tracing::Span;
use tracing::field::Empty;

use self::conn::Conn;
pub use self::listener::{Change, Changes};
use self::postgres::PostgresEngine;
use self::sqlite::SqliteEngine;
pub use self::sqlite::backup_sqlite;
use crate::shared::Shared;
use crate::{Location, OpenError, StoreError, dex};

/// How long an operation waits for the database before it fails with `Unavailable`.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// One atomic effect, as a value. `run` may be called again after a conflict or a failed COMMIT, always in a new
/// transaction.
pub(crate) trait Operation: Send + Sync + 'static {
    type Output: Send + 'static;

    /// What this operation changes of the data that replicas keep in memory; they are notified after COMMIT.
    const CHANGES: Option<Change> = None;

    /// The path of the type that the operation is named after in traces.
    fn type_name() -> &'static str {
        std::any::type_name::<Self>()
    }

    fn run(
        &self,
        conn: &mut Conn<'_>,
    ) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;

    /// The operation's usual case as a single PostgreSQL statement, which is atomic without BEGIN and COMMIT. `None`:
    /// the statement had no effect, and [`Operation::run`] decides. When its result was lost it is sent again, with
    /// [`Conn::may_have_run`]: `run` must then recognise an effect that the first one had.
    fn run_in_one_statement(
        &self,
        _conn: &mut Conn<'_>,
    ) -> impl Future<Output = Result<Option<Self::Output>, StoreError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Whether [`Operation::run_in_one_statement`] should be attempted.
    fn has_one_statement(&self) -> bool {
        false
    }
}

/// Whether a database that has only Dex's tables may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DexTables {
    Refused,
    Accepted,
}

pub(crate) enum Engine {
    Sqlite(Box<SqliteEngine>),
    Postgres(PostgresEngine),
}

impl Engine {
    pub(crate) async fn open(
        location: &Location,
        shared: Shared,
        tables: DexTables,
    ) -> Result<Self, OpenError> {
        Ok(match location {
            Location::Sqlite { file } => {
                // Checked before the writer opens the file, which changes its journal mode.
                if tables == DexTables::Refused && dex::is_unclaimed_sqlite(file).await {
                    return Err(OpenError::Dex { location: location.to_string() });
                }
                Self::Sqlite(Box::new(SqliteEngine::open(file, shared).await?))
            }
            Location::Memory => Self::Sqlite(Box::new(SqliteEngine::open_temporary(shared).await?)),
            Location::Postgres(options) => {
                Self::Postgres(PostgresEngine::open(options, shared, tables).await?)
            }
        })
    }

    /// Runs to completion even if the caller stops waiting for the result.
    pub(crate) async fn write<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        let span = self.span::<O>();
        let result = match self {
            Self::Sqlite(engine) => engine.write(operation).await,
            Self::Postgres(engine) => engine.write(operation).await,
        };
        end_span(&span, &result);
        result
    }

    /// Sees every write whose result was returned before the call.
    pub(crate) async fn read<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        let span = self.span::<O>();
        let result = match self {
            Self::Sqlite(engine) => engine.read(&operation).await,
            Self::Postgres(engine) => engine.read(&operation).await,
        };
        end_span(&span, &result);
        result
    }

    /// An error if the database does not respond in time or is known not to be writable.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let ping = async {
            match self {
                Self::Sqlite(engine) => engine.ping().await,
                Self::Postgres(engine) => engine.ping().await,
            }
        };
        let result = within(PING_TIMEOUT, ping).await;
        let (Err(StoreError::Unavailable(cause)), Self::Postgres(engine)) = (&result, self) else {
            return result;
        };
        // A server that refuses connections for a while is tried again for longer than a ping may take.
        let refusal = engine.last_refusal();
        if refusal.is_empty() || cause.contains(&refusal) {
            return result;
        }
        Err(StoreError::Unavailable(format!("{cause}; {refusal}")))
    }

    /// The clock of the database server; `None` on SQLite.
    pub(crate) async fn time(&self) -> Result<Option<Timestamp>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(engine) => within(WAIT_TIMEOUT, engine.time()).await.map(Some),
        }
    }

    pub(crate) fn changes(&self) -> Changes {
        match self {
            Self::Sqlite(engine) => engine.changes(),
            Self::Postgres(engine) => engine.listener().into(),
        }
    }

    /// Notifies the other replicas, if that is possible, and this one.
    pub(crate) async fn announce(&self, change: Change) {
        match self {
            Self::Sqlite(engine) => engine.announce(change),
            Self::Postgres(engine) => engine.announce(change).await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(engine) => engine.close().await,
            Self::Postgres(engine) => engine.close().await,
        }
    }
}

async fn within<T>(
    timeout: Duration,
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(timeout, operation).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {timeout:?}"))),
    }
}

impl Engine {
    /// The span of an operation, named after its type; its parent is the current span. Disabled without a collector.
    fn span<O: Operation>(&self) -> Span {
        tracing::info_span!(
            target: EXPORTED_SPANS,
            "database",
            otel.name = operation_name(O::type_name()),
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = self.system_name(),
            db.operation.name = operation_name(O::type_name()),
            "error.type" = Empty,
        )
    }

    /// As OpenTelemetry's semantic conventions name them.
    const fn system_name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }
}

/// Ends the span with the kind of the failure. The cause is only in the log: it may name hosts and files.
fn end_span<T>(span: &Span, result: &Result<T, StoreError>) {
    if let Err(error) = result {
        span.record("otel.status_code", "ERROR").record("error.type", kind(error));
    }
}

const fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::OutcomeUnknown(_) => "outcome_unknown",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::Unstorable(_) => "unstorable",
        StoreError::InvalidCursor => "invalid_cursor",
    }
}

/// Module and name of the type of an operation: `codes::RedeemCode`.
fn operation_name(path: &'static str) -> &'static str {
    let path = path.split_once('<').map_or(path, |(path, _)| path);
    path.split_once("::").map_or(path, |(_, path)| path)
}

#[cfg(test)]
mod tests {
    use std::any::type_name;

    use super::operation_name;

    struct Generic<T>(std::marker::PhantomData<T>);

    #[test]
    fn an_operation_is_named_without_crate_and_parameters() {
        let name = operation_name(type_name::<Generic<Vec<String>>>());
        assert_eq!(name, "engine::tests::Generic");
    }
}
