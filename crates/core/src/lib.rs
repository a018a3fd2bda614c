//! The words of the house: who signs in, what they are given, and the ports that the outer rooms fill.
//!
//! Nothing here does I/O: no clock is read, no socket opened, no database asked. Every other crate knows
//! this one; this one knows nobody.

pub mod client;
pub mod clock;
pub mod connector;
pub mod event;
pub mod identity;
pub mod ids;
pub mod kubernetes;
pub mod lifetimes;
pub mod logout_notifier;
pub mod network;
pub mod scopes;
pub mod secret;
pub mod session;
pub mod session_filter;
pub mod trace;

pub use client::Client;
pub use clock::{Clock, Timestamp};
pub use connector::{Connector, LoginMethod};
pub use event::Event;
pub use identity::{Identity, LoginScopes};
pub use ids::{ClientId, ConnectorId, GrantId, SessionId};
pub use kubernetes::Kubernetes;
pub use lifetimes::{Lifetimes, Limit};
pub use logout_notifier::{DeliveryOutcome, LogoutNotifier};
pub use scopes::Scopes;
pub use secret::Secret;
pub use session::{Code, Grant, Session};
pub use session_filter::{SessionFilter, SessionState};
pub use trace::Trace;
