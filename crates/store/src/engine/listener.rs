//! Notifies replicas of changes to data they keep in memory: PostgreSQL's LISTEN and NOTIFY; on SQLite, within the process.
//!
//! A notification only makes a replica read again sooner. Data kept in memory is also read again periodically, because
//! notifications are lost with their connection, and not every database that speaks PostgreSQL's protocol supports
//! them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use tokio::sync::Notify;

use super::servers::Servers;
use crate::error::chain;
use crate::{Store, StoreError};

/// Data that replicas keep in memory has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Signing, sealing and MAC keys.
    Keys,
    CircuitBreakers,
    /// Clients, users and connectors of the database.
    StoredObjects,
    /// Possibly everything: notifications may have been lost, or are from another version of this program.
    Anything,
}

impl Change {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::CircuitBreakers => "circuit_breakers",
            Self::StoredObjects => "stored_objects",
            Self::Anything => "anything",
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        let all = [Self::Keys, Self::CircuitBreakers, Self::StoredObjects];
        all.into_iter().find(|change| change.as_str() == text).unwrap_or(Self::Anything)
    }
}

/// The changes announced by all replicas, including this one, from now on: a request that began before the configuration
/// was replaced changes the data in memory of the replaced one only.
pub struct Changes(Source);

enum Source {
    Replicas(Box<Listener>),
    Process(ProcessChanges),
}

impl From<Listener> for Changes {
    fn from(listener: Listener) -> Self {
        Self(Source::Replicas(Box::new(listener)))
    }
}

impl From<ProcessChanges> for Changes {
    fn from(changes: ProcessChanges) -> Self {
        Self(Source::Process(changes))
    }
}

impl Store {
    pub fn changes(&self) -> Changes {
        self.engine.changes()
    }
}

impl Changes {
    /// Waits for the next change; on SQLite, which has no replicas, for one by this process. On PostgreSQL it is
    /// [`Change::Anything`] whenever listening begins, because changes before it were not received.
    pub async fn next(&mut self) -> Change {
        match &mut self.0 {
            Source::Replicas(listener) => listener.next().await,
            Source::Process(changes) => changes.next().await,
        }
    }
}

/// The changes by this process that nobody has read, each once. Clones share them.
#[derive(Clone, Default)]
pub(super) struct ProcessChanges(Arc<State>);

#[derive(Default)]
struct State {
    waiting: Mutex<Vec<Change>>,
    added: Notify,
}

impl ProcessChanges {
    pub(super) fn add(&self, change: Change) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains(&change) {
            waiting.push(change);
        }
        drop(waiting);
        self.0.added.notify_one();
    }

    async fn next(&self) -> Change {
        loop {
            if let Some(change) = self.pop() {
                return change;
            }
            self.0.added.notified().await;
        }
    }

    fn pop(&self) -> Option<Change> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

const CHANNEL: &str = "countersign";
/// Pause after a failure; doubled up to `LONGEST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A connection outside the pool, used only for listening.
pub(crate) struct Listener {
    servers: Arc<Servers>,
    listening: Option<PgListener>,
    pause: Duration,
}

impl Listener {
    pub(super) const fn new(servers: Arc<Servers>) -> Self {
        Self { servers, listening: None, pause: FIRST_PAUSE }
    }

    pub(crate) async fn next(&mut self) -> Change {
        loop {
            let Some(listening) = &mut self.listening else {
                if self.listen().await {
                    return Change::Anything;
                }
                continue;
            };
            match listening.try_recv().await {
                Ok(Some(notification)) => return Change::parse(notification.payload()),
                // The connection was lost.
                Ok(None) | Err(_) => self.listening = None,
            }
        }
    }

    /// Returns true once it listens, and false after a pause if it could not connect.
    async fn listen(&mut self) -> bool {
        match self.connect().await {
            Ok(listening) => {
                (self.listening, self.pause) = (Some(listening), FIRST_PAUSE);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "changes of other replicas are not noticed at once");
                tokio::time::sleep(self.pause).await;
                self.pause = LONGEST_PAUSE.min(self.pause * 2);
                false
            }
        }
    }

    async fn connect(&self) -> Result<PgListener, StoreError> {
        // Determines the server that is the primary now.
        let _closed = self.servers.connect_once().await?.close().await;
        let none = || StoreError::Unavailable("no server is configured".into());
        let options = self.servers.last().ok_or_else(none)?;
        // sqlx's listener takes its one connection from a pool.
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.connect_with(options).await?;
        let mut listening = PgListener::connect_with(&pool).await?;
        listening.eager_reconnect(false);
        listening.listen(CHANNEL).await?;
        Ok(listening)
    }
}

/// Notifies all listeners. Not sent in the transaction of the change, because a database without notifications would
/// refuse the whole transaction.
pub(super) async fn announce(connection: &mut PgConnection, change: Change) -> bool {
    let notify = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(change.as_str());
    match notify.execute(connection).await {
        Ok(_) => true,
        Err(error) => {
            let error = chain(&error);
            tracing::debug!(error, "other replicas were not notified of a change");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_core::{ConnectorId, Timestamp};

    use super::Change;
    use crate::{Location, OpenCircuitBreaker, Store};

    #[tokio::test]
    async fn a_change_by_this_process_is_announced_on_sqlite() {
        let store = Store::open(&Location::Memory).await.unwrap();
        let mut changes = store.changes();
        let now = Timestamp::from_secs(1_795_000_000);
        let opened = OpenCircuitBreaker {
            connector: ConnectorId::new("ldap"),
            refused: 21,
            total: 30,
            missing_since: now,
            grace_period: Duration::ZERO,
            now,
        };
        store.open_circuit_breaker(opened).await.unwrap();
        let change = tokio::time::timeout(Duration::from_secs(10), changes.next()).await;
        assert_eq!(change, Ok(Change::CircuitBreakers));
    }
}
