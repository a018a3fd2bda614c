//! How a verb reaches its database: SQLite through one writer, PostgreSQL through a pool.
//!
//! Knows connections, transactions and retries; knows no table and no meaning.

pub(crate) mod conn;
mod postgres;
mod reach;
mod sqlite;
mod sqlite_writer;
mod temporary;

use std::future::Future;
use std::time::Duration;

use countersign_core::Timestamp;

use self::conn::Conn;
use self::postgres::PostgresEngine;
use self::sqlite::SqliteEngine;
use crate::desk::Desk;
use crate::{Location, OpenError, StoreError};

/// How long anything waits for the database before it says unavailable.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the question "are you there" waits.
const PING_PATIENCE: Duration = Duration::from_secs(2);

/// One atomic effect, as a value. `run` may be called again after a conflict or a failed COMMIT,
/// always in a fresh transaction.
pub(crate) trait Operation: Send + Sync + 'static {
    type Answer: Send + 'static;
    fn run(
        &self,
        conn: &mut Conn<'_>,
    ) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

pub(crate) enum Engine {
    Sqlite(SqliteEngine),
    Postgres(PostgresEngine),
}

impl Engine {
    pub(crate) async fn open(location: &Location) -> Result<Self, OpenError> {
        Ok(match location {
            Location::Sqlite { file } => Self::Sqlite(SqliteEngine::open(file).await?),
            Location::Memory => Self::Sqlite(SqliteEngine::open_temporary().await?),
            Location::Postgres(options) => Self::Postgres(PostgresEngine::open(options).await?),
        })
    }

    /// What the verbs of this engine share about notices.
    pub(crate) fn desk(&self) -> &Desk {
        match self {
            Self::Sqlite(engine) => engine.desk(),
            Self::Postgres(engine) => engine.desk(),
        }
    }

    /// Once begun it is finished, whether or not anybody still waits for the answer.
    pub(crate) async fn write<V: Operation>(&self, operation: V) -> Result<V::Answer, StoreError> {
        match self {
            Self::Sqlite(engine) => engine.write(operation).await,
            Self::Postgres(engine) => engine.write(operation).await,
        }
    }

    /// Sees every write that was answered before it.
    pub(crate) async fn read<V: Operation>(&self, operation: V) -> Result<V::Answer, StoreError> {
        match self {
            Self::Sqlite(engine) => engine.read(&operation).await,
            Self::Postgres(engine) => engine.read(&operation).await,
        }
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let asked = async {
            match self {
                Self::Sqlite(engine) => engine.ping().await,
                Self::Postgres(engine) => engine.ping().await,
            }
        };
        within(PING_PATIENCE, asked).await
    }

    pub(crate) async fn time(&self) -> Result<Option<Timestamp>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(engine) => within(PATIENCE, engine.time()).await.map(Some),
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
    patience: Duration,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(patience, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {patience:?}"))),
    }
}
