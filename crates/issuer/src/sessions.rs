//! Sessions: finding the session of a browser, checking that it is valid, and signing the browser out. [`revalidate`]
//! refreshes the identity from the upstream.

mod revalidate;
#[cfg(test)]
mod tests;

use countersign_core::connector::Fingerprint;
use countersign_core::session::EndReason;
use countersign_core::{Client, Grant, GrantId, LoginScopes, Secret, Session};
use countersign_jose::hash;
use countersign_store::{SignedOut, Snapshot};

use crate::settings::SignOnPolicy;
use crate::{Issuer, IssuerError};

/// Result of revalidating a session with its upstream.
pub enum Revalidation {
    Valid(Box<RevalidatedSession>),
    Rejected(RejectReason),
}

/// The session with the current identity. `snapshot` is a refreshed identity that is not stored yet: the caller stores
/// it in the same transaction as the tokens it issues.
pub struct RevalidatedSession {
    pub session: Session,
    pub snapshot: Option<Snapshot>,
}

/// Why a session could not be revalidated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// The connector was removed, or it cannot refresh and the stored identity is too old.
    CannotRevalidate,
    /// The fingerprint of the connector or password differs from the one at sign-in.
    FingerprintChanged,
    /// The upstream no longer knows the user, or the user is not in a required group.
    Missing { reason: String },
    /// The session has ended.
    Ended,
}

impl Issuer {
    /// The live session of this cookie, within the lifetimes that apply to the account pages.
    pub async fn browser_session(
        &self,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, IssuerError> {
        self.session_within(&self.settings.sign_on, cookie).await
    }

    /// The live session of this cookie, within the lifetimes that apply to this client.
    pub async fn browser_session_for(
        &self,
        client: &Client,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, IssuerError> {
        self.session_within(&self.settings.sign_on_of(client), cookie).await
    }

    /// The live session of this cookie, within the longest lifetimes of any client.
    pub async fn session_for_any_client(
        &self,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, IssuerError> {
        self.session_within(&self.settings.longest_sign_on(), cookie).await
    }

    async fn session_within(
        &self,
        policy: &SignOnPolicy,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, IssuerError> {
        let Some(cookie) = cookie.filter(|cookie| !cookie.is_empty()) else { return Ok(None) };
        let now = self.now();
        let found = self.store.session_by_cookie(&hash::sha256(cookie.expose())).await?;
        Ok(found.filter(|session| policy.admits(session, now) && !session.is_blocked(now)))
    }

    /// Whether the session has not ended, its connector exists, is allowed for the client and has the same fingerprint,
    /// and a local account still exists. Sends no request to an upstream.
    pub async fn is_valid(
        &self,
        client: Option<&Client>,
        session: &Session,
    ) -> Result<bool, IssuerError> {
        let connector = match client {
            Some(client) => self.connectors.allowed(client, &session.connector),
            None => self.connectors.get(&session.connector),
        };
        let Some(connector) = connector else { return Ok(false) };
        if session.ended.is_some()
            || session.is_blocked(self.now())
            || self.fingerprint_changed(session)
        {
            return Ok(false);
        }
        match &connector.refresh {
            Some(refresh) if refresh.needs_no_request() => {
                let revalidation =
                    self.refresh_identity(&connector, &**refresh, session.clone(), None).await?;
                Ok(matches!(revalidation, Revalidation::Valid(_)))
            }
            _ => Ok(true),
        }
    }

    /// A grant with its session; `None` when either has ended or is not valid ([`Self::is_valid`]).
    pub(crate) async fn live_grant(
        &self,
        id: &GrantId,
    ) -> Result<Option<(Grant, Session)>, IssuerError> {
        let Some((grant, session)) = self.store.grant(id).await? else { return Ok(None) };
        let Some(owner) = self.clients.get(&grant.client) else { return Ok(None) };
        if grant.ended.is_some() || !self.is_valid(Some(&owner), &session).await? {
            return Ok(None);
        }
        Ok(Some((grant, session)))
    }

    /// Revalidates the session and stores the refreshed identity. `None`: the session was rejected.
    pub(crate) async fn revalidate_and_store(
        &self,
        session: Session,
    ) -> Result<Option<Session>, IssuerError> {
        let Revalidation::Valid(checked) = self.revalidate(session).await? else {
            return Ok(None);
        };
        let session = checked.session;
        let Some(snapshot) = checked.snapshot else { return Ok(Some(session)) };
        match self.store.update_snapshot(snapshot.clone()).await {
            Ok(true) => Ok(Some(session)),
            Ok(false) => Ok(None),
            Err(error) => {
                self.keep_snapshot(snapshot).await?;
                Err(error.into())
            }
        }
    }

    /// Stores a refreshed identity whose transaction failed, because the upstream has already rotated its refresh
    /// token; if that fails too, releases the lease.
    pub(crate) async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), IssuerError> {
        let (session, lease) = (snapshot.session.clone(), snapshot.lease);
        if self.store.update_snapshot(snapshot).await.is_err()
            && let Some(lease) = lease
        {
            self.store.release_upstream(&session, lease).await?;
        }
        Ok(())
    }

    /// True when the connector was removed or its fingerprint differs from the one at sign-in.
    pub fn fingerprint_changed(&self, session: &Session) -> bool {
        let connector = self.connectors.get(&session.connector);
        match connector.as_ref().map(|connector| &connector.fingerprint) {
            Some(Fingerprint::Upstream(fingerprint)) => *fingerprint != session.fingerprint,
            Some(Fingerprint::PerUser) => false,
            None => true,
        }
    }

    /// The subset of these scopes that the session's login must have requested: `offline` only if the connector cannot
    /// refresh without it.
    pub(crate) fn login_scopes_needed(
        &self,
        session: &Session,
        login_scopes: LoginScopes,
    ) -> LoginScopes {
        let connector = self.connectors.get(&session.connector);
        let refresh = connector.as_ref().and_then(|c| c.refresh.as_ref());
        let at_login = refresh.is_some_and(|refresh| refresh.needs_offline_login());
        LoginScopes { offline: login_scopes.offline && at_login, ..login_scopes }
    }

    /// Signs the browser out and ends the grants without `offline_access`.
    pub async fn sign_out(&self, cookie: &Secret) -> Result<Option<SignedOut>, IssuerError> {
        let cookie = hash::sha256(cookie.expose());
        let Some(session) = self.store.session_by_cookie(&cookie).await? else { return Ok(None) };
        let by = format!("user:{}", session.identity.user_id);
        let out = self.store.sign_out(&cookie, &by, EndReason::SignedOut, self.now()).await?;
        tracing::info!(event = "signed_out", session = %session.id, user_id = %session.identity.user_id, "signed out");
        Ok(out)
    }

    /// CSRF token of our forms, derived from the session cookie.
    pub fn form_token(&self, cookie: Option<&Secret>) -> String {
        let cookie = cookie.map_or("", Secret::expose);
        hash::sha256(&format!("form of {}\n{cookie}", self.settings.issuer.as_str()))
    }
}
