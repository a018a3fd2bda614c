//! State shared by all operations of one store: the order of events, the clients that receive logout tokens, the signal
//! that one is queued, and counters of statements and commits. Does not access the database.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use countersign_core::{Client, ClientId};
use tokio::sync::Notify;

/// Which clients are affected when a session ends or its browser signs out, from the configuration.
#[derive(Clone, Debug, Default)]
pub struct LogoutRules {
    /// Clients with a `backchannel_logout_uri` (OpenID Connect Back-Channel Logout 1.0 section 2.2).
    pub notified: BTreeSet<ClientId>,
    /// Clients whose grants end with the browser session even when they have a refresh token.
    pub end_with_browser: BTreeSet<ClientId>,
}

impl LogoutRules {
    pub fn of<'a>(clients: impl IntoIterator<Item = &'a Client>) -> Self {
        let mut rules = Self::default();
        for client in clients {
            if client.backchannel_logout_uri.is_some() {
                rules.notified.insert(client.id.clone());
            }
            if client.ends_with_browser {
                rules.end_with_browser.insert(client.id.clone());
            }
        }
        rules
    }
}

/// How many statements and transactions a store has sent to its database since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatementCounts {
    /// SELECTs.
    pub reads: u64,
    /// INSERT, UPDATE and DELETE statements, including those of attempts that were rolled back.
    pub writes: u64,
    /// Committed operations. SQLite may commit several of them in one transaction.
    pub commits: u64,
    /// Messages that carried these statements: to the thread of a SQLite connection, or to the server. BEGIN, COMMIT
    /// and savepoints are not counted.
    pub messages: u64,
    /// SQLite only: messages with BEGIN, COMMIT, ROLLBACK and savepoints, which several operations may share.
    pub transaction_messages: u64,
}

/// Clones share the same state.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<State>);

#[derive(Default)]
struct State {
    events: AtomicU32,
    rules: RwLock<Arc<LogoutRules>>,
    notifications: AtomicU64,
    notification_queued: Notify,
    reads: AtomicU64,
    writes: AtomicU64,
    commits: AtomicU64,
    messages: AtomicU64,
    transaction_messages: AtomicU64,
    #[cfg(test)]
    plans: std::sync::Mutex<Option<Vec<Plan>>>,
}

/// A SELECT that was sent, and its query plan.
#[cfg(test)]
pub(crate) struct Plan {
    pub(crate) sql: String,
    pub(crate) lines: Vec<String>,
}

#[cfg(test)]
impl Shared {
    /// Makes each SELECT be explained before it runs.
    pub(crate) fn record_plans(&self) {
        *self.0.plans.lock().unwrap() = Some(Vec::new());
    }

    pub(crate) fn records_plans(&self) -> bool {
        self.0.plans.lock().unwrap().is_some()
    }

    pub(crate) fn record_plan(&self, plan: Plan) {
        self.0.plans.lock().unwrap().as_mut().unwrap().push(plan);
    }

    /// The plans since the last call.
    pub(crate) fn take_plans(&self) -> Vec<Plan> {
        self.0.plans.lock().unwrap().replace(Vec::new()).unwrap()
    }
}

impl Shared {
    /// A number that grows with every event, so that events of one millisecond keep their order.
    pub(crate) fn next_event(&self) -> u32 {
        self.0.events.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn rules(&self) -> Arc<LogoutRules> {
        Arc::clone(&self.0.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_rules(&self, rules: LogoutRules) {
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    pub(crate) fn count_notification(&self) {
        self.0.notifications.fetch_add(1, Ordering::AcqRel);
    }

    /// Number of notifications written by operations, whether or not they were committed.
    pub(crate) fn notifications(&self) -> u64 {
        self.0.notifications.load(Ordering::Acquire)
    }

    pub(crate) fn wake_dispatcher(&self) {
        self.0.notification_queued.notify_one();
    }

    pub(crate) async fn notification_queued(&self) {
        self.0.notification_queued.notified().await;
    }

    pub(crate) fn count_read(&self) {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_write(&self) {
        self.0.writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_commit(&self) {
        self.0.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_message(&self) {
        self.0.messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_transaction_message(&self) {
        self.0.transaction_messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn statement_counts(&self) -> StatementCounts {
        StatementCounts {
            reads: self.0.reads.load(Ordering::Relaxed),
            writes: self.0.writes.load(Ordering::Relaxed),
            commits: self.0.commits.load(Ordering::Relaxed),
            messages: self.0.messages.load(Ordering::Relaxed),
            transaction_messages: self.0.transaction_messages.load(Ordering::Relaxed),
        }
    }
}
