//! What must survive, as atomic verbs. The only room that sees sqlx.
//!
//! Each verb is one transaction with its event; no caller ever holds one. Time is a parameter.
//! Nothing here decides what may be done, hashes or seals: values come hashed and sealed, and whom
//! to refuse is told by `issuer`.
//!
//! Verbs by table: `keys`, `sign_in` and `sessions`, `codes`, `grants`, `consents`, `circuit_breakers`,
//! `events`, `logout_notifications`, `memberships`; across them `search` looks and `bulk` ends many;
//! `ends` is how things end, `collect` how they are forgotten.

mod bulk;
mod circuit_breakers;
mod codes;
mod collect;
mod consents;
mod desk;
mod device_requests;
mod ends;
mod engine;
mod error;
mod events;
mod grants;
mod issue_grant;
mod keys;
mod location;
mod logout_notifications;
mod matching;
mod memberships;
mod migrate;
mod names;
mod page;
mod rows;
mod search;
mod sessions;
mod sign_in;
mod snapshots;
mod traces;

use std::sync::Arc;

use countersign_core::Timestamp;

pub use bulk::{EndedBatch, GrantsEnded};
pub use circuit_breakers::{CircuitBreaker, CircuitBreakerState, Confirmed, OpenCircuitBreaker};
pub use codes::{IssueCodeOutcome, RedeemCodeOutcome, StoredCode};
pub use collect::{Collected, Retention};
pub use consents::{Consent, ConsentWithdrawn};
pub use desk::LogoutRules;
pub use device_requests::{
    AddDeviceRequestOutcome, DecideDeviceRequest, DecideDeviceRequestOutcome, DeviceRequestLimits,
    RedeemDeviceCodeOutcome,
};
pub use ends::{GrantEnd, SessionEnd};
pub use error::{OpenError, StoreError};
pub use events::{EventQuery, StoredEvent};
pub use grants::{Rotate, Rotation};
pub use keys::{SecretRow, SigningKeyRow};
pub use location::{Location, PostgresOptions, SslMode};
pub use logout_notifications::LogoutNotification;
pub use memberships::{Membership, MembershipPage, MembershipQuery};
pub use search::{FoundSession, Person, SessionCount, SessionPage};
pub use sessions::SignedOut;
pub use sign_in::{SignIn, SignInOutcome};
pub use snapshots::{Missing, Snapshot};

use engine::{Engine, Operation};

/// The database. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Store {
    engine: Arc<Engine>,
}

impl Store {
    /// Connects and brings the schema up to date. Needs a running tokio runtime, which must
    /// outlive the store.
    pub async fn open(location: &Location) -> Result<Self, OpenError> {
        let store = Self { engine: Arc::new(Engine::open(location).await?) };
        store.fill_names().await.map_err(|e| OpenError::Migrate {
            location: location.to_string(),
            cause: e.to_string(),
        })?;
        Ok(store)
    }

    /// Finishes what was begun and lets go. Verbs of any clone answer `Unavailable` afterwards.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// Asks the primary whether it is there; an answer comes within two seconds.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.engine.ping().await
    }

    /// The database's own clock; `None` where it is this machine's (SQLite).
    pub async fn database_time(&self) -> Result<Option<Timestamp>, StoreError> {
        self.engine.time().await
    }

    async fn write<V: Operation>(&self, operation: V) -> Result<V::Answer, StoreError> {
        let desk = self.engine.desk();
        let before = desk.written();
        let answer = self.engine.write(operation).await;
        // Only now is it committed. That another verb wrote it meanwhile does no harm.
        if answer.is_ok() && desk.written() != before {
            desk.wake.notify_one();
        }
        answer
    }

    async fn read<V: Operation>(&self, operation: V) -> Result<V::Answer, StoreError> {
        self.engine.read(operation).await
    }
}
