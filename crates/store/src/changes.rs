//! What replicas keep in memory, and how they notice that another one changed it: LISTEN and NOTIFY of PostgreSQL.
//!
//! A notification only makes a replica read again sooner. Whoever keeps something in memory also reads it again from
//! time to time, because notifications are lost with their connection, and because not every engine that speaks
//! PostgreSQL's protocol has them.

use crate::Store;
use crate::engine::Listener;

/// The changes that any replica, also this one, announces from now on.
pub struct Changes(Option<Listener>);

impl Store {
    pub fn changes(&self) -> Changes {
        Changes(self.engine.listener())
    }
}

impl Changes {
    /// Waits for the next change; for ever on SQLite, where there are no replicas. [`Change::Anything`] whenever it
    /// begins to listen.
    pub async fn next(&mut self) -> Change {
        match &mut self.0 {
            Some(listener) => listener.next().await,
            None => std::future::pending().await,
        }
    }
}

/// Something that replicas keep in memory has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Signing, sealing and MAC keys.
    Keys,
    CircuitBreakers,
    /// Clients, users and connectors of the database.
    StoredObjects,
    /// Perhaps everything: notifications may have been lost, or are of another version of this program.
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
