//! PostgreSQL: each write is one transaction in a task of its own, tried again after a conflict.
//!
//! READ COMMITTED with the locks the UPDATEs take: every verb that decides first locks the row it
//! decides on, so nothing stronger is needed. Only a primary is spoken to.

use std::time::{Duration, Instant};

use countersign_core::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Postgres};

use super::conn::{Conn, Told};
use super::reach::{PAUSE, Reach};
use super::{Operation, PATIENCE, within};
use crate::desk::Desk;
use crate::error::{broken, chain, is_conflict};
use crate::{Location, OpenError, PostgresOptions, StoreError, migrate};

/// How often one verb is tried when it loses against others, or finds its connection dead.
const TRIES: u32 = 6;
/// A connection that rested longer is asked whether it still lives.
const TRUSTED_REST: Duration = Duration::from_secs(1);

pub(crate) struct PostgresEngine {
    primary: Primary,
    told: Told,
}

/// The connections, and whether there is any use in asking for one.
#[derive(Clone)]
struct Primary {
    pool: PgPool,
    reach: Reach,
}

impl Primary {
    /// Waits up to the connect timeout, or says at once that the primary did not answer a moment
    /// ago: the pool would try again for the whole timeout, each verb for itself and in vain.
    async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        let Some(attempt) = self.reach.attempt(Instant::now()) else {
            return Err(StoreError::Unavailable(format!(
                "the primary did not answer; it is asked again {PAUSE:?} after the last time"
            )));
        };
        match self.pool.acquire().await {
            Ok(connection) => {
                // New, asked just now, or asked when it came back less than TRUSTED_REST ago.
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
    pub(super) async fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
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
        migrate::postgres(&mut first, &location).await?;
        if let Err(error) = first.close().await {
            tracing::debug!(%error, "the first connection did not close nicely");
        }

        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(1))
            .max_lifetime(options.max_lifetime)
            .acquire_timeout(options.connect_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, rest| {
                Box::pin(async move {
                    if rest.idle_for > TRUSTED_REST {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(|connection, _| Box::pin(must_be_primary(connection)))
            .connect_lazy_with(driver);
        let primary = Primary { pool, reach: Reach::default() };
        Ok(Self { primary, told: Told::default() })
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.told.desk
    }

    pub(super) async fn write<V: Operation>(&self, operation: V) -> Result<V::Answer, StoreError> {
        let (primary, told) = (self.primary.clone(), self.told.clone());
        // A task of its own: a client that goes away drops the waiting, not the verb.
        let task =
            tokio::spawn(async move { write_until_decided(&primary, &operation, &told).await });
        task.await.unwrap_or_else(|error| {
            if error.is_cancelled() {
                return Err(StoreError::Unavailable("the program is stopping".into()));
            }
            Err(broken(format!("a verb stopped: {error}")))
        })
    }

    /// Looking changes nothing, so a connection that died while it rested costs only another look.
    pub(super) async fn read<V: Operation>(&self, operation: &V) -> Result<V::Answer, StoreError> {
        let looking = async {
            let mut tried = 0;
            loop {
                tried += 1;
                let mut connection = self.primary.connection().await?;
                let mut conn = Conn::postgres(&mut connection, &self.told);
                match operation.run(&mut conn).await {
                    Err(StoreError::Unavailable(_)) if tried < TRIES => connection.close_on_drop(),
                    Err(error) => {
                        connection.close_on_drop();
                        return Err(error);
                    }
                    answer => return answer,
                }
            }
        };
        within(PATIENCE, looking).await
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

/// A standby would answer "still signed in" from the past.
async fn must_be_primary(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let standby: bool =
        sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await?;
    if standby {
        let cause = "this server is a standby, and only a primary knows who is still signed in";
        return Err(sqlx::Error::Io(std::io::Error::other(cause)));
    }
    Ok(())
}

async fn write_until_decided<V: Operation>(
    primary: &Primary,
    operation: &V,
    told: &Told,
) -> Result<V::Answer, StoreError> {
    let mut tried = 0;
    loop {
        tried += 1;
        let mut connection = primary.connection().await?;
        let attempt =
            tokio::time::timeout(PATIENCE, attempt(&mut connection, operation, told)).await;
        let undecided = match attempt {
            Ok(Attempt::Decided(answer)) => return answer,
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
                return Err(StoreError::Unavailable(format!("no answer within {PATIENCE:?}")));
            }
        };
        if tried == TRIES {
            return Err(undecided);
        }
        drop(connection);
        // The others finish sooner when the losers step aside for a moment.
        tokio::time::sleep(Duration::from_millis(5) * tried).await;
    }
}

enum Attempt<A> {
    /// Committed, or refused by the verb itself and rolled back.
    Decided(Result<A, StoreError>),
    /// Rolled back by a conflict; worth another try.
    Lost(StoreError),
    /// No statement of the verb ran; worth another try on another connection.
    NotBegun(StoreError),
    /// The connection is in an unknown state.
    Failed(StoreError),
}

async fn attempt<V: Operation>(
    connection: &mut PgConnection,
    operation: &V,
    told: &Told,
) -> Attempt<V::Answer> {
    let begun = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await;
    let mut transaction = match begun {
        Ok(transaction) => transaction,
        Err(error) => return Attempt::NotBegun(error.into()),
    };
    let mut conn = Conn::postgres(&mut transaction, told);
    let answer = operation.run(&mut conn).await;
    let conflict = conn.conflict;
    match answer {
        Ok(answer) => match transaction.commit().await {
            Ok(()) => Attempt::Decided(Ok(answer)),
            Err(error) if is_conflict(&error) => Attempt::Lost(error.into()),
            Err(error) => Attempt::Failed(error.into()),
        },
        Err(error) => match transaction.rollback().await {
            Ok(()) if conflict => Attempt::Lost(error),
            Ok(()) => Attempt::Decided(Err(error)),
            Err(_) => Attempt::Failed(error),
        },
    }
}
