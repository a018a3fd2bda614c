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
pub mod notice;
pub mod scopes;
pub mod search;
pub mod secret;
pub mod session;
pub mod settings;
pub mod trace;

pub use client::Client;
pub use clock::{Clock, Timestamp};
pub use connector::{Connector, WayIn};
pub use event::Event;
pub use identity::{Identity, Wants};
pub use ids::{ClientId, ConnectorId, GrantId, SessionId};
pub use kubernetes::Kubernetes;
pub use lifetimes::{Lifetimes, Limit};
pub use notice::{Delivered, Notifier};
pub use scopes::Scopes;
pub use search::{SessionFilter, SessionState};
pub use secret::Secret;
pub use session::{Code, Grant, Session};
pub use trace::Trace;
