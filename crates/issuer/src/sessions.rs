//! Sessions: which one a browser has, whether all it stands on still stands, and how the browser's half ends.
//! [`asking`] is how an upstream is asked again.

mod asking;
#[cfg(test)]
mod tests;

use countersign_core::connector::Fingerprint;
use countersign_core::session::EndReason;
use countersign_core::{Client, Grant, GrantId, LoginScopes, Secret, Session};
use countersign_jose::hash;
use countersign_store::{SignedOut, Snapshot};

use crate::settings::SignOnPolicy;
use crate::{Issuer, IssuerError};

/// What the upstream says of a person whose session lives.
pub enum Upstream {
    Welcome(Box<Checked>),
    Refused(Refused),
}

/// The session as it is now. `snapshot` is news that is not stored yet: it is committed together
/// with whatever is given on the strength of it.
pub struct Checked {
    pub session: Session,
    pub snapshot: Option<Snapshot>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The connector is gone, or cannot be asked again and what it said is too old.
    Unaskable,
    /// It was built on another password or directory than today's.
    Changed,
    Missing {
        why: String,
    },
    /// The session is over.
    Ended,
}

impl Issuer {
    /// The live session of this cookie, if our own pages may still go by it.
    pub async fn browser_session(
        &self,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, IssuerError> {
        self.session_within(&self.settings.sign_on, cookie).await
    }

    /// The live session of this cookie, if it may still be used to sign on to this client.
    pub async fn browser_session_for(
        &self,
        client: &Client,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, IssuerError> {
        self.session_within(&self.settings.sign_on_of(client), cookie).await
    }

    /// The live session of this cookie, if it may still be used for anything at all.
    pub async fn held_session(
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
        Ok(found.filter(|session| policy.admits(session, now)))
    }

    /// Does everything this session stands on still stand: the session itself, its connector, the
    /// client's right to it, the account? No upstream is called.
    pub async fn stands(
        &self,
        client: Option<&Client>,
        session: &Session,
    ) -> Result<bool, IssuerError> {
        let connector = match client {
            Some(client) => self.connectors.allowed(client, &session.connector),
            None => self.connectors.get(&session.connector),
        };
        let Some(connector) = connector else { return Ok(false) };
        if session.ended.is_some() || self.fingerprint_changed(session) {
            return Ok(false);
        }
        match &connector.refresh {
            Some(refresh) if refresh.is_free() => {
                let asked = self.ask(connector, &**refresh, session.clone(), false).await?;
                Ok(matches!(asked, Upstream::Welcome(_)))
            }
            _ => Ok(true),
        }
    }

    /// A grant with its session, while they and all they stand on live.
    pub(crate) async fn living_grant(
        &self,
        id: &GrantId,
    ) -> Result<Option<(Grant, Session)>, IssuerError> {
        let Some((grant, session)) = self.store.grant(id).await? else { return Ok(None) };
        let Some(owner) = self.clients.get(&grant.client) else { return Ok(None) };
        if grant.ended.is_some() || !self.stands(Some(owner), &session).await? {
            return Ok(None);
        }
        Ok(Some((grant, session)))
    }

    /// The session with what its upstream says of the person now, as fresh as any login's.
    pub(crate) async fn up_to_date(
        &self,
        session: Session,
    ) -> Result<Option<Session>, IssuerError> {
        let Upstream::Welcome(checked) = self.ask_upstream(session).await? else {
            return Ok(None);
        };
        let session = checked.session;
        let Some(snapshot) = checked.snapshot else { return Ok(Some(session)) };
        match self.store.update_snapshot(snapshot).await {
            Ok(true) => Ok(Some(session)),
            Ok(false) => Ok(None),
            Err(error) => {
                self.store.release_upstream(&session.id).await?;
                Err(error.into())
            }
        }
    }

    /// The connector answers for another directory now than at sign-in.
    pub fn fingerprint_changed(&self, session: &Session) -> bool {
        match self.connectors.get(&session.connector).map(|connector| &connector.fingerprint) {
            Some(Fingerprint::Upstream(fingerprint)) => *fingerprint != session.fingerprint,
            Some(Fingerprint::PerUser) => false,
            None => true,
        }
    }

    /// What of these wants a session must have asked for at its login: `offline` only where the
    /// connector can otherwise not be asked again.
    pub(crate) fn login_scopes_needed(
        &self,
        session: &Session,
        login_scopes: LoginScopes,
    ) -> LoginScopes {
        let refresh = self.connectors.get(&session.connector).and_then(|c| c.refresh.as_ref());
        let at_login = refresh.is_some_and(|refresh| refresh.needs_offline_login());
        LoginScopes { offline: login_scopes.offline && at_login, ..login_scopes }
    }

    /// The browser's half ends, and what was given without `offline_access`.
    pub async fn sign_out(&self, cookie: &Secret) -> Result<Option<SignedOut>, IssuerError> {
        let cookie = hash::sha256(cookie.expose());
        let Some(session) = self.store.session_by_cookie(&cookie).await? else { return Ok(None) };
        let by = format!("user:{}", session.identity.user_id);
        let out = self.store.sign_out(&cookie, &by, EndReason::SignedOut, self.now()).await?;
        tracing::info!(event = "signed_out", session = %session.id, user_id = %session.identity.user_id, "signed out");
        Ok(out)
    }

    /// The value a form of ours carries so that it cannot be posted from elsewhere: only who holds the
    /// session cookie can know it.
    pub fn form_token(&self, cookie: Option<&Secret>) -> String {
        let cookie = cookie.map_or("", Secret::expose);
        hash::sha256(&format!("form of {}\n{cookie}", self.settings.issuer.as_str()))
    }
}
