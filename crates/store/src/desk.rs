//! What all verbs of one store share about the ends of sessions: which clients are told of them, and that
//! there is something to tell. Touches no database.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use countersign_core::{Client, ClientId};
use tokio::sync::Notify;

/// What the ends of sessions mean to clients, as configured.
#[derive(Clone, Debug, Default)]
pub struct LogoutRules {
    /// They are told.
    pub told: BTreeSet<ClientId>,
    /// Their grants with a refresh token end with the browser's half, as those without one do.
    pub end_with_browser: BTreeSet<ClientId>,
}

impl LogoutRules {
    pub fn of<'a>(clients: impl IntoIterator<Item = &'a Client>) -> Self {
        let mut rules = Self::default();
        for client in clients {
            if client.backchannel_logout_uri.is_some() {
                rules.told.insert(client.id.clone());
            }
            if client.ends_with_browser {
                rules.end_with_browser.insert(client.id.clone());
            }
        }
        rules
    }
}

/// What the verbs of one store share about notices.
#[derive(Default)]
pub(crate) struct Desk {
    rules: RwLock<Arc<LogoutRules>>,
    written: AtomicU64,
    pub(crate) wake: Notify,
}

impl Desk {
    pub(crate) fn rules(&self) -> Arc<LogoutRules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn follow(&self, rules: LogoutRules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    pub(crate) fn wrote_one(&self) {
        self.written.fetch_add(1, Ordering::AcqRel);
    }

    /// Grows with every notice, whether or not its transaction comes to be.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }
}
