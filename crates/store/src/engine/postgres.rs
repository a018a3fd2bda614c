<<<<<<< HEAD
//! PostgreSQL: opening it, and reading. `postgres_writer` runs the writing operations.
=======
//! PostgreSQL: each write operation is one transaction in a task of its own, run again after a conflict.
//!
//! READ COMMITTED suffices, because every operation first locks the row it decides on by an UPDATE. Connections to a
//! standby are rejected.
>>>>>>> trunk

use std::sync::Arc;

use countersign_core::Timestamp;
use sqlx::Connection;

use super::availability::Availability;
use super::commit::has_transaction_ids;
use super::conn::Conn;
use super::listener::{Listener, announce};
use super::pool::Pool;
use super::postgres_writer::{TRIES, Writing};
use super::primary::Primary;
use super::servers::{Need, Servers, check};
use super::{DexTables, Operation, WAIT_TIMEOUT, within};
<<<<<<< HEAD
use crate::change::Change;
use crate::error::{chain, corrupt};
use crate::shared::Shared;
use crate::{Location, OpenError, PostgresOptions, StoreError, dex, migrate};

=======
use crate::changes::Change;
use crate::error::{chain, corrupt, is_conflict, is_outcome_known};
use crate::shared::Shared;
use crate::{Location, OpenError, PostgresOptions, StoreError, dex, migrate};

/// Maximum number of attempts of one operation after conflicts or broken connections.
const TRIES: u32 = 6;
/// A connection that was idle for longer is pinged before it is used.
const MAX_IDLE_UNCHECKED: Duration = Duration::from_secs(1);

>>>>>>> trunk
pub(crate) struct PostgresEngine {
    primary: Primary,
    shared: Shared,
}

<<<<<<< HEAD
=======
/// Connections to the primary, and whether it responded last time.
#[derive(Clone)]
struct Primary {
    servers: Arc<Servers>,
    pool: Pool<PgConnection>,
    /// Time limit for obtaining a connection, pooled or new.
    timeout: Duration,
    max_lifetime: Option<Duration>,
    availability: Availability,
}

impl Primary {
    /// Waits up to the connect timeout; fails immediately while the primary is known to be unavailable.
    async fn connection(&self) -> Result<Pooled<PgConnection>, StoreError> {
        let Some(attempt) = self.availability.attempt(Instant::now()) else {
            return Err(StoreError::Unavailable(format!(
                "the primary did not answer; it is tried again {PAUSE:?} after the last attempt"
            )));
        };
        let connecting = tokio::time::timeout(self.timeout, self.checked_connection());
        match connecting.await {
            Ok(Ok(Some(connection))) => {
                // The connection is new, was just pinged, or was used less than MAX_IDLE_UNCHECKED ago.
                attempt.answered(Instant::now());
                Ok(connection)
            }
            Ok(Ok(None)) => Err(StoreError::Unavailable("the store is closed".into())),
            Ok(Err(error)) => {
                attempt.failed(Instant::now());
                Err(error)
            }
            Err(_) => {
                attempt.failed(Instant::now());
                let cause = format!("no connection within {:?}", self.timeout);
                Err(StoreError::Unavailable(cause))
            }
        }
    }

    /// `None`: the store is closed.
    async fn checked_connection(&self) -> Result<Option<Pooled<PgConnection>>, StoreError> {
        let Some(mut slot) = self.pool.slot().await else { return Ok(None) };
        if let Some((mut connection, age, idle)) = slot.take() {
            let is_old = self.max_lifetime.is_some_and(|max| age > max);
            let is_usable =
                !is_old && (idle <= MAX_IDLE_UNCHECKED || connection.ping().await.is_ok());
            if is_usable {
                return Ok(Some(slot.filled(connection, age)));
            }
            close_soon(connection);
        }
        let connection = self.servers.connect().await?;
        Ok(Some(slot.filled(connection, Duration::ZERO)))
    }
}

>>>>>>> trunk
impl PostgresEngine {
    pub(super) async fn open(
        options: &PostgresOptions,
        shared: Shared,
        tables: DexTables,
    ) -> Result<Self, OpenError> {
        let location = Location::Postgres(options.clone()).to_string();
        let refused = |cause: String| OpenError::Connect { location: location.clone(), cause };
        let servers = Arc::new(Servers::new(options));
        let mut first = servers.connect_once().await.map_err(|none| refused(none.cause))?;
        let is_dex = dex::is_unclaimed_postgres(&mut first).await;
        if tables == DexTables::Refused && is_dex.map_err(|e| refused(chain(&e)))? {
            return Err(OpenError::Dex { location });
        }
        migrate::postgres(&mut first, &location).await?;
        let has_transaction_ids = has_transaction_ids(&mut first).await;
        if let Err(error) = first.close().await {
            tracing::debug!(%error, "the first connection was not closed cleanly");
        }
        let primary = Primary {
            servers,
            pool: Pool::new(options.max_connections),
            timeout: options.connect_timeout,
            max_lifetime: options.max_lifetime,
            availability: Availability::default(),
            has_transaction_ids,
        };
        Ok(Self { primary, shared })
    }

    pub(super) async fn write<V: Operation>(&self, operation: V) -> Result<V::Output, StoreError> {
        let (primary, shared) = (self.primary.clone(), self.shared.clone());
        // In its own task, so that a caller that stops waiting does not cancel the operation.
        let task =
            tokio::spawn(async move { Writing::new(&primary, &operation, &shared).run().await });
        task.await.unwrap_or_else(|error| {
            if error.is_cancelled() {
                return Err(StoreError::OutcomeUnknown("the program is stopping".into()));
            }
            Err(corrupt(format!("an operation panicked: {error}")))
        })
    }

    /// A read may be repeated, so a broken idle connection only costs another attempt.
    pub(super) async fn read<V: Operation>(&self, operation: &V) -> Result<V::Output, StoreError> {
        let reading = async {
            let mut attempts = 0;
            loop {
                attempts += 1;
                let mut pooled = self.primary.connection().await?;
                let mut conn = Conn::postgres(&mut pooled.connection, &self.shared);
                match operation.run(&mut conn).await {
                    // The connection was closed.
                    Err(StoreError::Unavailable(_)) if attempts < TRIES => {}
                    Err(error) => return Err(error),
                    result => {
                        pooled.release();
                        return result;
                    }
                }
            }
        };
        within(WAIT_TIMEOUT, reading).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let mut pooled = self.primary.connection().await?;
        check(&mut pooled.connection, Need::Writable)
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        pooled.release();
        Ok(())
    }

    pub(super) async fn time(&self) -> Result<Timestamp, StoreError> {
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
        let mut pooled = self.primary.connection().await?;
        let millis: i64 = sqlx::query_scalar(sql).fetch_one(&mut pooled.connection).await?;
        pooled.release();
        Ok(Timestamp::from_millis(millis))
    }

    pub(super) fn listener(&self) -> Listener {
        Listener::new(Arc::clone(&self.primary.servers))
    }

    pub(super) async fn announce(&self, change: Change) {
        let Ok(mut pooled) = self.primary.connection().await else { return };
        if announce(&mut pooled.connection, change).await {
            pooled.release();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.primary.pool.is_closed()
    }

    pub(super) async fn close(&self) {
        self.primary.pool.close().await;
    }
}
<<<<<<< HEAD
=======

async fn write_with_retries<V: Operation>(
    primary: &Primary,
    operation: &V,
    shared: &Shared,
) -> Result<V::Output, StoreError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let mut pooled = primary.connection().await?;
        let mut commit_sent = false;
        let running = attempt(&mut pooled.connection, operation, shared, &mut commit_sent);
        let attempt = tokio::time::timeout(WAIT_TIMEOUT, running).await;
        let error = match attempt {
            Ok(Attempt::Decided(result)) => {
                pooled.release();
                return result;
            }
            Ok(Attempt::Lost(error)) => {
                pooled.release();
                error
            }
            // In these cases the connection has been closed.
            Ok(Attempt::Failed(error)) => return Err(error),
            Ok(Attempt::NotBegun(error)) => error,
            Err(_) => {
                let cause = format!("no answer within {WAIT_TIMEOUT:?}");
                return Err(match commit_sent {
                    true => StoreError::OutcomeUnknown(cause),
                    false => StoreError::Unavailable(cause),
                });
            }
        };
        if attempts == TRIES {
            return Err(error);
        }
        // A short pause lets the conflicting transactions finish.
        tokio::time::sleep(Duration::from_millis(5) * attempts).await;
    }
}

enum Attempt<A> {
    /// Committed, or refused by the operation itself and rolled back.
    Decided(Result<A, StoreError>),
    /// Rolled back by a conflict; may be run again.
    Lost(StoreError),
    /// Nothing of the operation was written; may be run again on another connection.
    NotBegun(StoreError),
    /// The connection is in an unknown state and must be closed.
    Failed(StoreError),
}

async fn attempt<V: Operation>(
    connection: &mut PgConnection,
    operation: &V,
    shared: &Shared,
    commit_sent: &mut bool,
) -> Attempt<V::Output> {
    if operation.has_one_statement() {
        // The statement commits itself.
        *commit_sent = true;
        if let Some(decided) = attempt_in_one_statement(connection, operation, shared).await {
            return decided;
        }
        *commit_sent = false;
    }
    let begun = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await;
    let mut transaction = match begun {
        Ok(transaction) => transaction,
        Err(error) => return Attempt::NotBegun(error.into()),
    };
    let mut conn = Conn::postgres(&mut transaction, shared);
    let result = operation.run(&mut conn).await;
    let (conflict, is_read_only) = (conn.has_conflict, conn.is_read_only);
    match result {
        Ok(output) => match commit(transaction, commit_sent).await {
            Ok(()) => {
                shared.count_commit();
                Attempt::Decided(Ok(output))
            }
            Err(error) if is_conflict(&error) => Attempt::Lost(error.into()),
            Err(error) if is_outcome_known(&error) => Attempt::Failed(error.into()),
            Err(error) => Attempt::Failed(StoreError::OutcomeUnknown(chain(&error))),
        },
        // The primary has become a standby or read-only; another server may have taken over.
        Err(error) if is_read_only => Attempt::NotBegun(error),
        Err(error) => match transaction.rollback().await {
            Ok(()) if conflict => Attempt::Lost(error),
            Ok(()) => Attempt::Decided(Err(error)),
            Err(_) => Attempt::Failed(error),
        },
    }
}

/// `None`: the statement had no effect.
async fn attempt_in_one_statement<V: Operation>(
    connection: &mut PgConnection,
    operation: &V,
    shared: &Shared,
) -> Option<Attempt<V::Output>> {
    let mut conn = Conn::postgres(connection, shared);
    let error = match operation.run_in_one_statement(&mut conn).await {
        Ok(None) => return None,
        Ok(Some(output)) => {
            shared.count_commit();
            return Some(Attempt::Decided(Ok(output)));
        }
        Err(error) => error,
    };
    Some(match error {
        error if conn.has_conflict => Attempt::Lost(error),
        error if conn.is_read_only => Attempt::NotBegun(error),
        error if conn.has_lost_result => {
            Attempt::Failed(StoreError::OutcomeUnknown(error.to_string()))
        }
        error => Attempt::Failed(error),
    })
}

async fn commit(
    transaction: Transaction<'_, Postgres>,
    commit_sent: &mut bool,
) -> Result<(), sqlx::Error> {
    *commit_sent = true;
    transaction.commit().await
}
>>>>>>> trunk
