//! PostgreSQL: opening it, and reading. `postgres_writer` runs the writing operations.

use std::sync::Arc;

use countersign_core::Timestamp;
use sqlx::Connection;

use super::commit::has_transaction_ids;
use super::conn::Conn;
use super::listener::{Listener, announce};
use super::pool::Pool;
use super::postgres_writer::{TRIES, Writing};
use super::primary::{Availability, Primary};
use super::servers::{ConnectError, Need, Servers, check};
use super::{DexTables, Operation, WAIT_TIMEOUT, within};
use crate::engine::Change;
use crate::error::{chain, corrupt};
use crate::shared::Shared;
use crate::{Location, OpenError, PostgresOptions, StoreError, dex, migrate};

pub(crate) struct PostgresEngine {
    primary: Primary,
    shared: Shared,
}

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

    pub(super) async fn write<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
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
    pub(super) async fn read<O: Operation>(&self, operation: &O) -> Result<O::Output, StoreError> {
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
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut pooled = self.primary.connection().await?;
            match check(&mut pooled.connection, Need::Writable).await {
                Ok(()) => {
                    pooled.release();
                    return Ok(());
                }
                // The server ended it while it was idle, as a restarted one does. It is closed now.
                Err(ConnectError::Driver(_)) if attempts < TRIES => {}
                Err(error) => return Err(StoreError::Unavailable(error.to_string())),
            }
        }
    }

    /// The reason for which the last connection was refused; empty if it was not.
    pub(super) fn last_refusal(&self) -> String {
        self.primary.servers.last_refusal()
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

    pub(super) async fn close(&self) {
        self.primary.pool.close().await;
    }
}
