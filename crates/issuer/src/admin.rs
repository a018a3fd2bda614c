//! What an administrator may see and do, whoever asks for it: a page, the API, the command line.
//!
//! Every act is here once, and records who did it. Nothing here knows how it was asked for, and nobody
//! gets here without being an [`Administrator`], which only a person in a configured group, a configured
//! client or whoever holds the database can be.

mod end_sessions;
pub mod explain;
pub mod fields;
pub mod inventory;
mod keys;
pub mod queries;
mod token;
pub mod view;

use std::time::Duration;

use countersign_core::{ClientId, ConnectorId, Session};

use crate::Issuer;

pub use token::AdminTokenRefusal;

/// Changes need a sign-in no older than this.
pub const FRESH_SIGN_IN: Duration = Duration::from_secs(15 * 60);

/// The block `admin` of the configuration; empty: nobody is an administrator.
#[derive(Clone, Debug, Default)]
pub struct AdminPolicy {
    pub groups: Vec<AdminGroup>,
    /// Clients whose access tokens open the API.
    pub clients: Vec<ClientId>,
}

/// A group as one connector tells it: another connector's group of that name is another group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminGroup {
    pub connector: ConnectorId,
    pub group: String,
}

impl AdminPolicy {
    pub fn admits(&self, session: &Session) -> bool {
        self.admits_groups(&session.connector, &session.identity.groups)
    }

    /// True when one of these groups, at this connector, is an administrators' group.
    pub fn admits_groups(&self, connector: &ConnectorId, groups: &[String]) -> bool {
        self.groups
            .iter()
            .any(|admin| admin.connector == *connector && groups.contains(&admin.group))
    }

    pub fn admits_client(&self, client: &ClientId) -> bool {
        self.clients.contains(client)
    }
}

/// Who acts, and from where. Becomes the actor of every event the act leaves.
#[derive(Clone, Debug)]
pub struct Administrator {
    actor: String,
    ip: Option<String>,
}

impl Administrator {
    /// The holder of the database itself: the command line on the machine.
    pub fn local_operator(account: &str) -> Self {
        Self { actor: format!("machine:{account}"), ip: None }
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
    /// The person of this session as an administrator; `None` when they are none. The session must stand
    /// and its groups be fresh: that is for the caller to see to.
    pub fn administrator(&self, session: &Session, ip: Option<String>) -> Option<Administrator> {
        self.settings.admin.admits(session).then(|| Administrator::person(session, ip))
    }
}
