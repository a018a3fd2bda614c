//! What an administrator may see and do, by a page, the API or the command line.
//!
//! Each operation is here once and records its actor. It takes an [`Administrator`], which is a person in a group of
//! `admin.groups`, a client of `admin.clients`, or the command line on the database itself.
//!
//! Access tokens for the API are issued to a client of `admin.clients`, with the scope `countersign:admin`, for a user in
//! `admin.groups` or for the client itself (client credentials). A valid token is not sufficient: the client must still be
//! in the current configuration, the user's grant and session must be live in the database, and their groups are
//! revalidated at the upstream.

pub mod blocked_users;
pub mod dex_api;
mod end_sessions;
pub mod explain;
pub mod fields;
pub mod inventory;
pub mod keys;
pub mod queries;
pub mod stored_objects;
pub mod view;

use std::net::IpAddr;
use std::time::Duration;

use countersign_core::{Actor, ClientId, ConnectorId, GrantId, Secret, Session, scopes};
use countersign_jose::{Claims, Expected, Typ};

use crate::token::ACCESS_TOKEN_TYPE;
use crate::userinfo::LEEWAY;
use crate::{Issuer, IssuerError};

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

    /// For an event.
    pub(crate) fn as_actor(&self) -> Actor {
        Actor { name: self.actor.clone(), ip: self.ip.clone() }
    }

    /// For a log line; `None` on the server's own machine.
    pub(crate) fn address(&self) -> Option<&str> {
        self.ip.as_deref()
    }
}

impl Issuer {
    /// The person of this session as an administrator; `None` when they are not one. The caller must have
    /// checked that the session is valid and its groups are fresh.
    pub fn administrator(&self, session: &Session, ip: Option<String>) -> Option<Administrator> {
        self.settings.admin.admits(session).then(|| Administrator::person(session, ip))
    }
}

/// Why the API refuses a token (RFC 6750 section 3.1), or the failure that prevented the check.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// `invalid_token`: not issued here, expired, or its grant or session has ended.
    #[error("the access token is not valid")]
    InvalidToken,
    /// `insufficient_scope`: the token is valid but does not authorize API requests.
    #[error("the access token is not an administrator's")]
    InsufficientScope,
    #[error(transparent)]
    Failed(#[from] IssuerError),
}

impl Issuer {
    /// The administrator that an access token identifies. `ip` is the address of the request, for the events.
    pub async fn authenticate_admin_token(
        &self,
        token: &Secret,
        ip: Option<String>,
    ) -> Result<Administrator, AdminTokenError> {
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            typ: Typ::Exactly(ACCESS_TOKEN_TYPE),
            now: Some(self.now()),
            leeway: LEEWAY,
        };
        let Ok(claims) = self.keyring.keys().verifiers.verify(token.expose(), &expected) else {
            return Err(AdminTokenError::InvalidToken);
        };
        let Some(client) = claims.text("client_id").map(ClientId::new) else {
            return Err(AdminTokenError::InvalidToken);
        };
        if !self.settings.admin.admits_client(&client) || !has_scope(&claims) {
            return Err(AdminTokenError::InsufficientScope);
        }
        let grant = claims.text("grant_id").map(GrantId::new);
        // RFC 9068 section 4: verify `aud`. Otherwise a relying party that receives a token could present it here.
        let meant_for = match grant {
            Some(_) => client.to_string(),
            None => self.api_audience(),
        };
        if claims.texts("aud") != [meant_for.as_str()] {
            return Err(AdminTokenError::InsufficientScope);
        }
        let Some(client) = self.clients.get(&client) else {
            return Err(AdminTokenError::InvalidToken);
        };
        match grant {
            // Only the client credentials grant issues a token without a grant id, and only to `admin.clients`.
            None => Ok(Administrator::client(&client.id, ip)),
            Some(grant) => match self.revalidated_session(&grant, &client.id).await? {
                Some(session) => {
                    self.administrator(&session, ip).ok_or(AdminTokenError::InsufficientScope)
                }
                None => Err(AdminTokenError::InvalidToken),
            },
        }
    }

    /// `aud` of a client credentials token. It names no client, so no cluster or application accepts the token.
    pub(crate) fn api_audience(&self) -> String {
        self.settings.issuer.endpoint("/api/v1")
    }

    /// The session of a live grant of this client, revalidated at the upstream when its snapshot is due.
    async fn revalidated_session(
        &self,
        grant: &GrantId,
        client: &ClientId,
    ) -> Result<Option<Session>, IssuerError> {
        match self.live_grant(grant).await? {
            Some((grant, session)) if grant.client == *client => {
                self.revalidate_and_store(session).await
            }
            _ => Ok(None),
        }
    }
}

fn has_scope(claims: &Claims) -> bool {
    claims.text("scope").unwrap_or_default().split(' ').any(|scope| scope == scopes::ADMIN)
}
