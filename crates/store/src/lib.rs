//! Persistence, as atomic operations. The only crate that uses sqlx.
//!
//! Each operation and its event are one transaction; callers never hold a transaction. Time is a parameter. This crate
//! makes no permission decisions, and neither hashes nor seals: values arrive hashed and sealed.
//!
//! By table: `sign_in`, `sessions` and `snapshots` (sessions; `sign_in` also writes login traces and used SAML
//! assertions), `codes`, `device_requests`, `grants` and `issue_grant`, `consents`, `keys`, `circuit_breakers`,
//! `blocked_users`, `events`, `memberships`, `logout_notifications`. Across them: `search`, `people` and `counts` read,
//! `ends` and `bulk` end sessions and grants, `collect` deletes expired rows. `stored_objects` holds what the
//! configuration file does not, `import` writes what came from Dex, `dex` reads Dex's own tables. `unconfirmed` reverts
//! uses that were committed without an answer.
//!
//! What they use: `rows` (structs from rows), `matching` (a filter as SQL), `names` (normalized text for searching),
//! `page_cursor`, `shared` (what a store keeps in memory), `location` and `error`. `engine` runs an operation on SQLite
//! or PostgreSQL; its `listener` notifies replicas of what they keep in memory. `migrate` creates the schema.

mod blocked_users;
mod bulk;
mod circuit_breakers;
mod codes;
mod collect;
mod consents;
mod counts;
mod device_requests;
pub mod dex;
mod ends;
mod engine;
mod error;
mod events;
mod grants;
mod import;
mod issue_grant;
mod keys;
mod location;
mod logout_notifications;
mod matching;
mod memberships;
mod migrate;
mod names;
mod page_cursor;
mod people;
#[cfg(test)]
mod query_plans;
mod rows;
mod search;
mod sessions;
mod shared;
mod sign_in;
mod snapshots;
mod stored_objects;
mod unconfirmed;

use std::sync::Arc;

use countersign_core::Timestamp;

pub use blocked_users::{BlockUser, BlockedUser, BlockedUserPage};
pub use bulk::{EndedBatch, GrantsEnded};
pub use circuit_breakers::{
    CircuitBreaker, CircuitBreakerState, CircuitClosed, OpenCircuitBreaker,
};
pub use codes::{IssueCodeOutcome, RedeemCodeOutcome, StoredCode};
pub use collect::{Collected, Retention};
pub use consents::{Consent, ConsentWithdrawn, StoredConsent};
pub use counts::{ClientCount, ConnectorCount};
pub use device_requests::{
    AddDeviceRequestOutcome, DecideDeviceRequest, DecideDeviceRequestOutcome,
    RedeemDeviceCodeOutcome,
};
pub use ends::{GrantEnd, SessionEnd};
pub use engine::{Change, Changes, backup_sqlite};
pub use error::{OpenError, StoreError};
pub use events::{EventQuery, StoredEvent};
pub use grants::{Rotate, Rotation};
pub use import::{
    Import, ImportSummary, ImportedConsent, ImportedGrant, ImportedKey, ImportedSession,
    ImportedToken,
};
pub use keys::{DropSigningKeyNow, DroppedSigningKey, SecretRow, SigningKeyRow, Successor};
pub use location::{Location, PostgresHost, PostgresOptions, SslMode};
pub use logout_notifications::LogoutNotification;
pub use memberships::{Membership, MembershipPage, MembershipQuery};
pub use people::Person;
pub use search::{FoundSession, SessionCount, SessionPage};
pub use sessions::SignedOut;
pub use shared::{LogoutRules, StatementCounts};
pub use sign_in::UsedAssertion;
pub use sign_in::{SignIn, SignInOutcome};
pub use snapshots::{Missing, Snapshot};
pub use stored_objects::{ObjectChange, ObjectKind, StoredObject};

use engine::{DexTables, Engine, Operation};
use shared::Shared;
use unconfirmed::UnconfirmedList;

/// The database. Clones share one connection pool.
#[derive(Clone)]
pub struct Store {
    engine: Arc<Engine>,
    shared: Shared,
    unconfirmed: Arc<UnconfirmedList>,
}

impl Store {
    /// Connects and migrates the schema. Needs a running tokio runtime, which must outlive the store.
    ///
    /// A database that has Dex's tables and none of ours is refused.
    pub async fn open(location: &Location) -> Result<Self, OpenError> {
        Self::open_with(location, DexTables::Refused).await
    }

    /// Like [`Store::open`], but also opens a database of Dex, to which our tables are added.
    pub async fn open_beside_dex(location: &Location) -> Result<Self, OpenError> {
        Self::open_with(location, DexTables::Accepted).await
    }

    async fn open_with(location: &Location, tables: DexTables) -> Result<Self, OpenError> {
        let shared = Shared::default();
        let engine = Arc::new(Engine::open(location, shared.clone(), tables).await?);
        let store = Self { engine, shared, unconfirmed: Arc::default() };
        store.fill_search_columns().await.map_err(|e| OpenError::Migrate {
            location: location.to_string(),
            cause: e.to_string(),
        })?;
        Ok(store)
    }

    /// Reverts uses whose outcome nobody learned, completes running operations and closes all connections. Operations
    /// of any clone fail with `Unavailable` afterwards.
    pub async fn close(&self) {
        self.revert_before_close().await;
        self.engine.close().await;
    }

    /// Whether the primary responds; fails after two seconds.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.engine.ping().await
    }

    /// The database's clock; `None` for SQLite, whose clock is this machine's.
    pub async fn database_time(&self) -> Result<Option<Timestamp>, StoreError> {
        self.engine.time().await
    }

    /// Statements and commits sent to the database since this store was opened.
    pub fn statement_counts(&self) -> StatementCounts {
        self.shared.statement_counts()
    }

    async fn write<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        let before = self.shared.notifications();
        let result = self.engine.write(operation).await;
        // After COMMIT. A notification of a concurrent operation only wakes the dispatcher once more.
        if result.is_ok() && self.shared.notifications() != before {
            self.shared.wake_dispatcher();
        }
        if let (Ok(_), Some(change)) = (&result, O::CHANGES) {
            self.engine.announce(change).await;
        }
        result
    }

    async fn read<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        self.engine.read(operation).await
    }
}
