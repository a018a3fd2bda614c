//! What an administrator may see and do, by a page, the API or the command line.
//!
//! Each operation is here once and records its actor. It takes an [`Administrator`], which is a person in a group of
//! `admin.groups`, a client of `admin.clients`, or the command line on the database itself.

pub mod blocked_users;
pub mod dex_api;
mod end_sessions;
pub mod explain;
pub mod fields;
pub mod inventory;
pub mod keys;
pub mod queries;
pub mod stored_objects;
mod token;
pub mod view;

use std::net::IpAddr;
use std::time::Duration;

use countersign_core::{ClientId, ConnectorId, Session};

use crate::Issuer;

pub use token::AdminTokenError;

/// Changes need a sign-in no older than this.
pub const FRESH_SIGN_IN: Duration = Duration::from_mins(15);

/// The block `admin` of the configuration; without groups and clients nobody is an administrator.
#[derive(Clone, Debug, Default)]
pub struct AdminPolicy {
    pub groups: Vec<AdminGroup>,
    /// Clients whose access tokens are accepted by the administrator's API.
    pub clients: Vec<ClientId>,
    /// Contact shown to a blocked user on the error page, such as an e-mail address.
    pub contact: Option<String>,
}

/// A group of one connector. The same group name at another connector is a different group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminGroup {
    pub connector: ConnectorId,
    pub group: String,
}

impl AdminPolicy {
    /// Whether the session's user is in an administrators' group.
    pub fn admits(&self, session: &Session) -> bool {
        self.admits_groups(&session.connector, &session.identity.groups)
    }

    /// True when one of these groups, at this connector, is an administrators' group.
    pub fn admits_groups(&self, connector: &ConnectorId, groups: &[String]) -> bool {
        self.groups
            .iter()
            .any(|admin| admin.connector == *connector && groups.contains(&admin.group))
    }

    /// Whether the client may request the scope `countersign:admin`.
    pub fn admits_client(&self, client: &ClientId) -> bool {
        self.clients.contains(client)
    }
}

/// Who acts, and from which address: the actor of the events.
#[derive(Clone, Debug)]
pub struct Administrator {
    actor: String,
    ip: Option<String>,
}

impl Administrator {
    /// The command line on the database itself.
    pub fn local_operator(account: &str) -> Self {
        Self { actor: format!("machine:{account}"), ip: None }
    }

    /// A client of Dex's gRPC API, which is open to whoever can connect or has a certificate.
    pub fn grpc_client(address: Option<IpAddr>) -> Self {
        Self { actor: "grpc".to_owned(), ip: address.map(|address| address.to_string()) }
    }

    fn person(session: &Session, ip: Option<String>) -> Self {
        let (user, connector) = (&session.identity.user_id, &session.connector);
        Self { actor: format!("user:{user}@{connector}"), ip }
    }

    fn client(client: &ClientId, ip: Option<String>) -> Self {
        Self { actor: format!("client:{client}"), ip }
    }

    pub fn actor(&self) -> &str {
        &self.actor
    }
}

impl Issuer {
    /// The person of this session as an administrator; `None` when they are not one. The caller must have
    /// checked that the session is valid and its groups are fresh.
    pub fn administrator(&self, session: &Session, ip: Option<String>) -> Option<Administrator> {
        self.settings.admin.admits(session).then(|| Administrator::person(session, ip))
    }
}
