//! Notifies replicas of changes to data they keep in memory: PostgreSQL's LISTEN and NOTIFY.
//!
//! A notification only makes a replica read again sooner. Data kept in memory is also read again periodically, because
//! notifications are lost with their connection, and not every database that speaks PostgreSQL's protocol supports
//! them.

use crate::Store;
use crate::change::Change;
use crate::engine::Listener;

/// The changes announced by all replicas, including this one, from now on.
pub struct Changes(Option<Listener>);

impl Store {
    pub fn changes(&self) -> Changes {
        Changes(self.engine.listener())
    }
}

impl Changes {
    /// Waits for the next change; forever on SQLite, which has no replicas. Returns [`Change::Anything`] whenever it
    /// begins to listen.
    pub async fn next(&mut self) -> Change {
        match &mut self.0 {
            Some(listener) => listener.next().await,
            None => std::future::pending().await,
        }
    }
}
