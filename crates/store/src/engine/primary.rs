//! Connections to the PostgreSQL server that is written to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::availability::{Availability, PAUSE};
use super::pool::{Pool, Pooled, close_soon};
use super::servers::Servers;
use crate::StoreError;

/// A connection that was idle for longer is pinged before it is used.
const MAX_IDLE_UNCHECKED: Duration = Duration::from_secs(1);
/// Between two attempts of [`Primary::connection_until`].
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Connections to the primary, and whether it answered last time.
#[derive(Clone)]
pub(super) struct Primary {
    pub(super) servers: Arc<Servers>,
    pub(super) pool: Pool<PgConnection>,
    /// For a connection, of the pool or a new one.
    pub(super) timeout: Duration,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) availability: Availability,
    /// Whether the server can be asked later if a transaction was committed: see `commit`.
    pub(super) has_transaction_ids: bool,
}

impl Primary {
    /// Waits up to the connect timeout, or fails at once while the primary is known to be unavailable.
    pub(super) async fn connection(&self) -> Result<Pooled<PgConnection>, StoreError> {
        let Some(attempt) = self.availability.attempt(Instant::now()) else {
            return Err(StoreError::Unavailable(format!(
                "the primary did not answer; it is tried again {PAUSE:?} after the last attempt"
            )));
        };
        let connecting = tokio::time::timeout(self.timeout, self.checked_connection());
        match connecting.await {
            Ok(Ok(Some(connection))) => {
                // New, or pinged just now, or used less than MAX_IDLE_UNCHECKED ago.
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

    /// The same, tried again until this instant.
    pub(super) async fn connection_until(
        &self,
        deadline: Instant,
    ) -> Result<Pooled<PgConnection>, StoreError> {
        loop {
            let connecting = tokio::time::timeout_at(deadline.into(), self.connection());
            match connecting.await {
                Ok(Err(_)) if Instant::now() + RETRY_PAUSE < deadline => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Ok(result) => return result,
                Err(_) => return Err(StoreError::Unavailable("no connection in time".into())),
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
