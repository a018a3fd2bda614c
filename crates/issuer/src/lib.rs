//! The decisions of the protocol: login, grants, refresh, and ending sessions.
//!
//! Each operation is implemented once, in terms of the domain, for all its callers: pages, the API, the command line,
//! gRPC and Kubernetes. It contains no HTTP, no SQL and no cryptography of its own.
//!
//! Where to look: [`login`] from the authorization request to the code, [`device_authorization`] for devices, [`token`]
//! from the code to tokens, [`userinfo`], [`sessions`] for revalidation and sign-out, [`account`] and [`admin`] for what
//! users and administrators may end, [`logout`] and [`logout_notifications`] for RP-initiated and back-channel logout,
//! [`kubernetes`] for the requests of clusters, [`circuit_breakers`] against mass refusals of an upstream and
//! [`upstream_health`] for which one responds, [`keyring`] for signing keys, [`discovery`], [`housekeeping`] for work in
//! the background. What is configured: [`settings`], [`clients`], [`connectors`], [`lifetimes`], and [`stored`] for
//! objects in the database.

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

/// The dependencies of all operations, assembled once by the program.
pub struct Issuer {
    pub settings: Settings,
    pub clients: Clients,
    pub connectors: Connectors,
    pub stored: StoredObjects,
    pub keyring: Keyring,
    /// These three are shared by all configurations that a process loads one after another.
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

/// Why an operation failed, other than by a decision about the request.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Temporary: the request may be repeated later (503).
    #[error("{what}: {cause}")]
    Unavailable { what: String, cause: String },
    /// Permanent until an administrator acts: a defect in a connector's configuration, in an upstream's response, or in
    /// the user's data there (502). `missing` may be shown to the user.
    #[error("{what}: {cause}")]
    Misconfigured { what: String, missing: String, cause: String },
    /// The database did not confirm a change, which may or may not have been made; whether a code or token was consumed
    /// is therefore unknown (503).
    #[error("{what} did not confirm a change: {cause}")]
    OutcomeUnknown { what: String, cause: String },
    /// The service that keeps the signing key makes and drops its versions, not this server (409). The text says how.
    #[error("{0}")]
    KeyOfSigner(String),
    /// The request contains text that the databases cannot store, such as a NUL character (400).
    #[error("unstorable text: {0}")]
    Unstorable(String),
    /// An internal error (500).
    #[error("{0}")]
    Broken(String),
}

/// `what` of [`IssuerError::Unavailable`] when our own database is unavailable.
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
