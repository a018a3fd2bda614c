//! The domain types that all crates share, and the traits that connectors and the HTTP client implement.
//!
//! No I/O: nothing here reads a clock, opens a socket or queries a database. This crate depends on no other
//! crate of the workspace.

pub mod claim_descriptions;
pub mod client;
pub mod clock;
pub mod connector;
pub mod device;
pub mod event;
pub mod external_signer;
pub mod grant_type;
pub mod identity;
pub mod ids;
pub mod kubernetes;
pub mod limits;
pub mod logout_notifier;
pub mod network;
pub mod scopes;
pub mod secret;
pub mod session;
pub mod stored;
pub mod text;
pub mod trace;

pub use client::Client;
pub use client::{Lifetimes, Limit};
pub use clock::{Clock, Timestamp};
pub use connector::{Connector, LoginMethod};
pub use device::{DeviceRequest, DeviceRequestStatus, UserCode};
pub use event::{Actor, Event};
pub use external_signer::{ExternalKeyVersion, ExternalKeyVersions, ExternalSigner};
pub use grant_type::{GrantType, ResponseType};
pub use identity::{Identity, LoginScopes};
pub use ids::{ClientId, ConnectorId, GrantId, SessionId};
pub use kubernetes::{Kubernetes, KubernetesCluster};
pub use limits::{DeviceRequestLimits, Limits};
pub use logout_notifier::{DeliveryOutcome, LogoutNotifier};
pub use scopes::Scopes;
pub use secret::Secret;
pub use session::{Code, Grant, Session};
pub use session::{SessionFilter, SessionState};
pub use stored::{ConnectorFactory, LocalUsers, StoredConnector, StoredUser};
pub use trace::Trace;
