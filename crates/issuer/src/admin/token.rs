//! Access tokens for the administrator's API: issued to a client of `admin.clients`, with the scope
//! `countersign:admin`, for a user in `admin.groups` or for the client itself (client credentials).
//!
//! A valid token is not sufficient: the client must still be in the current configuration, the user's grant and session
//! must be live in the database, and their groups are revalidated at the upstream.

use std::time::Duration;

use countersign_core::{ClientId, GrantId, Secret, Session, scopes};
use countersign_jose::{Claims, Expected, Typ};

use super::Administrator;
use crate::token::ACCESS_TOKEN_TYPE;
use crate::{Issuer, IssuerError};

/// Tolerated clock difference between replicas.
const LEEWAY: Duration = Duration::from_secs(5);

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
            Some(grant) => match self.person_behind(&grant, &client.id).await? {
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
    async fn person_behind(
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
