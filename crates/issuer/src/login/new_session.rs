//! The session of a user who authenticated without a browser: by the password grant, or with a token of an upstream.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::{Connector, Secret, Session, ids};
use countersign_store::SignIn;

use super::sign_in::{AuthenticatedUser, Browser, StoredSignIn};
use crate::{Issuer, IssuerError};

/// A session that is not stored yet. Its tokens are signed first, so that no session remains if they cannot be signed.
pub(crate) struct NewSession {
    connector: Arc<Connector>,
    sign_in: Box<SignIn>,
    caller: Browser,
}

impl NewSession {
    /// The session as it will be stored.
    pub(crate) fn session(&self) -> Session {
        let sign_in = &self.sign_in;
        Session {
            id: sign_in.id.clone(),
            connector: sign_in.connector.clone(),
            identity: sign_in.identity.clone(),
            identity_at: sign_in.now,
            fingerprint: sign_in.fingerprint.clone(),
            login_scopes: sign_in.login_scopes,
            upstream: sign_in.upstream.clone(),
            auth_time: sign_in.now,
            created_at: sign_in.now,
            last_seen: sign_in.now,
            browser_seen: sign_in.now,
            cookie_until: sign_in.cookie_until,
            ip: sign_in.ip.clone(),
            user_agent: sign_in.user_agent.clone(),
            missing_since: None,
            ended: None,
            blocked_until: None,
        }
    }
}

impl Issuer {
    /// A session of an authenticated user, to be stored by [`Issuer::store_new_session`]. Writes nothing.
    pub(crate) fn new_session(
        &self,
        connector: Arc<Connector>,
        user: AuthenticatedUser,
        caller: &Browser,
    ) -> Result<NewSession, IssuerError> {
        // No browser receives this cookie, and it is already expired.
        let cookie = Secret::new(ids::random_token()?);
        let caller = Browser { cookie: None, ..caller.clone() };
        let sign_in = self.prepare_sign_in(&connector, user, &caller, (&cookie, Duration::ZERO))?;
        Ok(NewSession { connector, sign_in: Box::new(sign_in), caller })
    }

    /// False: the user is blocked, and nothing was stored.
    pub(crate) async fn store_new_session(&self, new: NewSession) -> Result<bool, IssuerError> {
        let NewSession { connector, sign_in, caller } = new;
        match self.store_sign_in(&connector, *sign_in, &caller).await? {
            StoredSignIn::Stored { .. } => Ok(true),
            StoredSignIn::Blocked { .. } | StoredSignIn::Refused(_) => Ok(false),
        }
    }
}
