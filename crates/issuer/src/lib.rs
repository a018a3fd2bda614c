//! What it all means: to sign in, to be granted, to refresh, to end.
//!
//! One operation is written once here, in terms of the domain, for every caller: a form, JSON, the
//! command line or Kubernetes. No HTTP, no SQL and no cryptography of its own.
//!
//! Where to look: [`login`] from request to code, [`token`] from code to tokens, [`userinfo`],
//! [`sessions`] for freshness and the ways of ending, [`account`] and [`admin`] for who may end what,
//! [`logout`] and [`logout_notifications`] for logout requests and back-channel logout, [`kubernetes`] for what clusters
//! ask, [`circuit_breakers`] for when an upstream is not believed, [`keyring`] for keys, [`discovery`].

pub mod account;
pub mod admin;
pub mod circuit_breakers;
pub mod clients;
pub mod connectors;
pub mod device_authorization;
pub mod discovery;
pub mod housekeeping;
pub mod keyring;
pub mod kubernetes;
pub mod lifetimes;
pub mod login;
pub mod logout;
pub mod logout_notifications;
pub mod sessions;
pub mod settings;
pub mod stored;
pub mod token;
pub mod upstream_health;
pub mod userinfo;

use std::sync::Arc;

use countersign_core::Clock;
use countersign_core::Timestamp;
use countersign_core::connector::ConnectorError;
use countersign_core::ids::NoRandomness;
use countersign_jose::{JoseError, RootKeys};
use countersign_store::{Store, StoreError};

pub use circuit_breakers::CircuitBreakers;
pub use clients::Clients;
pub use connectors::Connectors;
pub use keyring::Keyring;
pub use login::LoginAttempts;
pub use settings::Settings;
pub use stored::StoredObjects;
pub use upstream_health::{ConnectorHealth, ConnectorStatus};

/// Everything an act needs, put together once by the program.
pub struct Issuer {
    pub settings: Settings,
    pub clients: Clients,
    pub connectors: Connectors,
    pub stored: StoredObjects,
    pub keyring: Keyring,
    /// These three are shared by all generations of the configuration that a process serves.
    pub attempts: Arc<LoginAttempts>,
    pub circuit_breakers: Arc<CircuitBreakers>,
    pub upstream_health: Arc<ConnectorHealth>,
    pub store: Store,
    pub root: RootKeys,
    pub clock: Arc<dyn Clock>,
}

impl Issuer {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Why an act could not be done, when it is nobody's decision.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Passing: ask again later (503).
    #[error("{what}: {cause}")]
    Unavailable { what: String, cause: String },
    /// Permanent until an administrator acts: a defect of a connector's configuration, of an upstream's
    /// answers or of the person's data there (502). `missing` may be shown to the person.
    #[error("{what}: {cause}")]
    Misconfigured { what: String, missing: String, cause: String },
    /// The database did not confirm a change, which may have been made: nothing is known about what was
    /// consumed (503).
    #[error("{what} did not confirm a change: {cause}")]
    OutcomeUnknown { what: String, cause: String },
    /// The request contains text that no database stores, such as a NUL (400).
    #[error("unstorable text: {0}")]
    Unstorable(String),
    /// A broken promise of our own (500).
    #[error("{0}")]
    Broken(String),
}

/// `what` of `IssuerError::Unavailable` when it is our own database and no upstream.
pub const THE_DATABASE: &str = "the database";

impl IssuerError {
    pub fn upstream(error: &ConnectorError) -> Self {
        match error.clone() {
            ConnectorError::Unavailable { upstream, cause } => {
                Self::Unavailable { what: upstream, cause }
            }
            ConnectorError::Misconfigured { upstream, missing, cause } => {
                Self::Misconfigured { what: upstream, missing, cause }
            }
        }
    }
}

impl From<StoreError> for IssuerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => {
                Self::Unavailable { what: THE_DATABASE.to_owned(), cause }
            }
            StoreError::OutcomeUnknown(cause) => {
                Self::OutcomeUnknown { what: THE_DATABASE.to_owned(), cause }
            }
            StoreError::Corrupt(cause) => Self::Broken(cause),
            StoreError::Unstorable(what) => Self::Unstorable(what),
            StoreError::InvalidCursor => Self::Unstorable(error.to_string()),
        }
    }
}

impl From<JoseError> for IssuerError {
    fn from(error: JoseError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<NoRandomness> for IssuerError {
    fn from(error: NoRandomness) -> Self {
        Self::Broken(error.to_string())
    }
}
