//! PostgreSQL: each write operation is one transaction in a task of its own, run again after a conflict.
//!
//! READ COMMITTED is enough, because every operation that decides something first locks the row it
//! decides on by an UPDATE. Connections to a standby are rejected.

use std::time::{Duration, Instant};

use countersign_core::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Postgres, Transaction};

use super::availability::{Availability, PAUSE};
use super::conn::Conn;
use super::{DexTables, Operation, WAIT_TIMEOUT, within};
use crate::error::{chain, corrupt, is_conflict, is_outcome_known};
use crate::shared::Shared;
use crate::{Location, OpenError, PostgresOptions, StoreError, dex, migrate};

/// Most attempts of one operation after conflicts or dead connections.
const TRIES: u32 = 6;
/// A connection that was idle for longer is pinged before it is used.
const MAX_IDLE_UNCHECKED: Duration = Duration::from_secs(1);

pub(crate) struct PostgresEngine {
    primary: Primary,
    shared: Shared,
}

/// The pool, and whether the primary answered last time.
#[derive(Clone)]
struct Primary {
    pool: PgPool,
    availability: Availability,
}

impl Primary {
    /// Waits up to the connect timeout, or fails at once while the primary is known to be unavailable:
    /// the pool would retry for the whole timeout, for each operation separately.
    async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        let Some(attempt) = self.availability.attempt(Instant::now()) else {
            return Err(StoreError::Unavailable(format!(
                "the primary did not answer; it is tried again {PAUSE:?} after the last attempt"
            )));
        };
        match self.pool.acquire().await {
            Ok(connection) => {
                // New, or pinged just now, or used less than MAX_IDLE_UNCHECKED ago.
                attempt.answered(Instant::now());
                Ok(connection)
            }
            Err(error) => {
                if !matches!(error, sqlx::Error::PoolClosed) {
                    attempt.failed(Instant::now());
                }
                Err(error.into())
            }
        }
    }
}

impl PostgresEngine {
    pub(super) async fn open(
        options: &PostgresOptions,
        shared: Shared,
        tables: DexTables,
    ) -> Result<Self, OpenError> {
        let location = Location::Postgres(options.clone()).to_string();
        let driver: PgConnectOptions = options.for_driver().disable_statement_logging();
        let refused = |cause: String| OpenError::Connect { location: location.clone(), cause };

        let connected = tokio::time::timeout(options.connect_timeout, driver.connect()).await;
        let mut first = match connected {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(refused(chain(&error))),
            Err(_) => {
                return Err(refused(format!("no answer within {:?}", options.connect_timeout)));
            }
        };
        must_be_primary(&mut first).await.map_err(|e| refused(chain(&e)))?;
        let is_dex = dex::is_unclaimed_postgres(&mut first).await;
        if tables == DexTables::Refused && is_dex.map_err(|e| refused(chain(&e)))? {
            return Err(OpenError::Dex { location });
        }
        migrate::postgres(&mut first, &location).await?;
        if let Err(error) = first.close().await {
            tracing::debug!(%error, "the first connection was not closed cleanly");
        }

        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(1))
            .max_lifetime(options.max_lifetime)
            .acquire_timeout(options.connect_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| {
                Box::pin(async move {
                    if metadata.idle_for > MAX_IDLE_UNCHECKED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(|connection, _| Box::pin(must_be_primary(connection)))
            .connect_lazy_with(driver);
        let primary = Primary { pool, availability: Availability::default() };
        Ok(Self { primary, shared })
    }

    pub(super) async fn write<V: Operation>(&self, operation: V) -> Result<V::Output, StoreError> {
        let (primary, shared) = (self.primary.clone(), self.shared.clone());
        // A task of its own, so that a caller that stops waiting does not cancel the operation.
        let task =
            tokio::spawn(async move { write_with_retries(&primary, &operation, &shared).await });
        task.await.unwrap_or_else(|error| {
            if error.is_cancelled() {
                return Err(StoreError::OutcomeUnknown("the program is stopping".into()));
            }
            Err(corrupt(format!("an operation panicked: {error}")))
        })
    }

    /// A read may be repeated, so a connection that died while it was idle costs only another attempt.
    pub(super) async fn read<V: Operation>(&self, operation: &V) -> Result<V::Output, StoreError> {
        let reading = async {
            let mut attempts = 0;
            loop {
                attempts += 1;
                let mut connection = self.primary.connection().await?;
                let mut conn = Conn::postgres(&mut connection, &self.shared);
                match operation.run(&mut conn).await {
                    Err(StoreError::Unavailable(_)) if attempts < TRIES => {
                        connection.close_on_drop();
                    }
                    Err(error) => {
                        connection.close_on_drop();
                        return Err(error);
                    }
                    result => return result,
                }
            }
        };
        within(WAIT_TIMEOUT, reading).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.primary.connection().await?;
        Ok(must_be_primary(&mut connection).await?)
    }

    pub(super) async fn time(&self) -> Result<Timestamp, StoreError> {
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
        let mut connection = self.primary.connection().await?;
        let millis: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
        Ok(Timestamp::from_millis(millis))
    }

    pub(super) async fn close(&self) {
        self.primary.pool.close().await;
    }
}

/// A standby may lag behind: it could report a session as live that has ended.
async fn must_be_primary(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let standby: bool =
        sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await?;
    if standby {
        let cause = "this server is a standby; only the primary knows which sessions are live";
        return Err(sqlx::Error::Io(std::io::Error::other(cause)));
    }
    Ok(())
}

async fn write_with_retries<V: Operation>(
    primary: &Primary,
    operation: &V,
    shared: &Shared,
) -> Result<V::Output, StoreError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let mut connection = primary.connection().await?;
        let mut commit_sent = false;
        let running = attempt(&mut connection, operation, shared, &mut commit_sent);
        let attempt = tokio::time::timeout(WAIT_TIMEOUT, running).await;
        let error = match attempt {
            Ok(Attempt::Decided(result)) => return result,
            Ok(Attempt::Lost(error)) => error,
            Ok(Attempt::Failed(error)) => {
                connection.close_on_drop();
                return Err(error);
            }
            Ok(Attempt::NotBegun(error)) => {
                connection.close_on_drop();
                error
            }
            Err(_) => {
                connection.close_on_drop();
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
        drop(connection);
        // A short pause lets the transactions that won finish.
        tokio::time::sleep(Duration::from_millis(5) * attempts).await;
    }
}

enum Attempt<A> {
    /// Committed, or failed by the operation itself and rolled back.
    Decided(Result<A, StoreError>),
    /// Rolled back by a conflict; may be run again.
    Lost(StoreError),
    /// No statement of the operation ran; may be run again on another connection.
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
    let begun = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await;
    let mut transaction = match begun {
        Ok(transaction) => transaction,
        Err(error) => return Attempt::NotBegun(error.into()),
    };
    let mut conn = Conn::postgres(&mut transaction, shared);
    let result = operation.run(&mut conn).await;
    let conflict = conn.has_conflict;
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
        Err(error) => match transaction.rollback().await {
            Ok(()) if conflict => Attempt::Lost(error),
            Ok(()) => Attempt::Decided(Err(error)),
            Err(_) => Attempt::Failed(error),
        },
    }
}

async fn commit(
    transaction: Transaction<'_, Postgres>,
    commit_sent: &mut bool,
) -> Result<(), sqlx::Error> {
    *commit_sent = true;
    transaction.commit().await
}
