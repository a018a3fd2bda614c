//! The login step: stores the session of an authenticated user, with which every login method ends. Also without a
//! browser: by the password grant, or with a token of an upstream ([`NewSession`]).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::connector::{ConnectorError, Fingerprint, Refusal, SignedIn};
use countersign_core::{
    Connector, ConnectorId, Grant, LoginScopes, Secret, Session, SessionId, Timestamp, Trace, ids,
};
use countersign_jose::hash;
use countersign_store::{SignIn, UsedAssertion};

use super::PendingLogin;
use crate::{Issuer, IssuerError};

/// Limits of a stored trace: enough to show why a group is missing, within a few kilobytes.
const TRACE_STEPS: usize = 60;
const TRACE_STEP_CHARACTERS: usize = 300;

/// What is known about the requesting browser.
#[derive(Clone, Debug)]
pub struct Browser {
    /// The session cookie that the browser sent, if any.
    pub cookie: Option<Secret>,
    pub address: IpAddr,
    pub user_agent: String,
    /// See [`super::password`].
    pub device_cookie: Option<String>,
}

/// The outcome of the login step.
pub enum SignInOutcome {
    SignedIn(Box<SignedInBrowser>),
    Refused(Refusal),
    /// An administrator has blocked the user, until this instant or indefinitely.
    Blocked {
        until: Option<Timestamp>,
    },
    /// Too many attempts: the user may try again after this time.
    RateLimited(Duration),
    /// The connector does not exist, is not allowed for the client, or does not use this login method.
    MethodUnavailable,
    /// The pending login has expired, or another browser began it.
    RestartRequired,
}

/// The first write of a login.
enum StoredSignIn {
    Stored {
        session: SessionId,
        now: Timestamp,
    },
    /// The assertion has already completed a login.
    Refused(Refusal),
    /// An administrator has blocked the user, until this instant or indefinitely.
    Blocked {
        until: Option<Timestamp>,
    },
}

/// What a refused login logs: the browser, and the connector's trace.
pub(super) struct LoginTrace<'a> {
    pub browser: &'a Browser,
    pub trace: &'a Trace,
}

/// A user authenticated by a connector, with the scopes of that login and its trace.
pub(crate) struct AuthenticatedUser {
    pub person: SignedIn,
    pub login_scopes: LoginScopes,
    pub trace: Trace,
    /// New value of the device cookie; only after a password.
    pub device_cookie: Option<String>,
    /// The SAML assertion that authenticated the user; it must not complete another login.
    pub assertion: Option<UsedAssertion>,
}

/// The result of a login in a browser.
pub struct SignedInBrowser {
    /// The pending login, now with the session.
    pub pending: PendingLogin,
    /// The browser's new session cookie, valid for `lifetime`.
    pub cookie: Secret,
    pub lifetime: Duration,
    pub connector: ConnectorId,
    /// New value of the device cookie; only after a password login.
    pub device_cookie: Option<String>,
}

/// A session that is not stored yet. Its tokens are signed first, so that no session remains if they cannot be signed.
pub(crate) struct NewSession {
    connector: Arc<Connector>,
    sign_in: Box<SignIn>,
    caller: Browser,
}

impl Issuer {
    /// Display name of the client of a pending login; empty if the client was removed.
    pub fn client_name(&self, pending: &PendingLogin) -> String {
        self.clients
            .of_request(&pending.request)
            .map_or_else(String::new, |client| client.name.clone())
    }

    /// The connector of this id, if the client of the login may use it.
    pub fn connector_for(
        &self,
        pending: &PendingLogin,
        id: &ConnectorId,
    ) -> Option<Arc<Connector>> {
        let client = self.clients.of_request(&pending.request)?;
        let requested = pending.request.connector.as_ref();
        self.connectors
            .allowed_for(&client, id, pending.request.grant_type())
            .filter(|_| requested.is_none_or(|requested| requested == id))
    }

    /// The first write of a login: stores the session of an authenticated user.
    pub(super) async fn sign_in(
        &self,
        mut pending: PendingLogin,
        connector: &Connector,
        user: AuthenticatedUser,
        browser: &Browser,
    ) -> Result<SignInOutcome, IssuerError> {
        let lifetime = self.settings.longest_sign_on().absolute_lifetime;
        let cookie = Secret::new(ids::random_token()?);
        let sign_in = self.prepare_sign_in(connector, user, browser, (&cookie, lifetime))?;
        let stored = self.store_sign_in(connector, sign_in, None, browser).await?;
        let (session, now) = match stored {
            StoredSignIn::Stored { session, now } => (session, now),
            StoredSignIn::Blocked { until } => return Ok(SignInOutcome::Blocked { until }),
            StoredSignIn::Refused(refusal) => return Ok(SignInOutcome::Refused(refusal)),
        };
        pending.session = Some(session);
        pending.logged_in = Some(now);
        pending.switch = false;
        let connector = connector.id.clone();
        let signed_in =
            SignedInBrowser { pending, cookie, lifetime, connector, device_cookie: None };
        Ok(SignInOutcome::SignedIn(Box::new(signed_in)))
    }

    /// The sign-in of an authenticated user, with the id that a new session would have. Writes nothing.
    fn prepare_sign_in(
        &self,
        connector: &Connector,
        user: AuthenticatedUser,
        browser: &Browser,
        (cookie, lifetime): (&Secret, Duration),
    ) -> Result<SignIn, IssuerError> {
        let AuthenticatedUser { person, login_scopes, trace, assertion, .. } = user;
        let now = self.now();
        let fingerprint = match (&connector.fingerprint, person.fingerprint) {
            (Fingerprint::Upstream(fingerprint), _) => fingerprint.clone(),
            (Fingerprint::PerUser, Some(fingerprint)) => fingerprint,
            (Fingerprint::PerUser, None) => {
                let reason = format!("{} returned no fingerprint", connector.id);
                return Err(IssuerError::Broken(reason));
            }
        };
        Ok(SignIn {
            previous_cookie: browser.cookie.as_ref().map(|c| hash::sha256(c.expose())),
            cookie: hash::sha256(cookie.expose()),
            cookie_until: now + lifetime,
            id: SessionId::random()?,
            connector: connector.id.clone(),
            identity: person.identity,
            fingerprint,
            login_scopes,
            upstream: self.seal_upstream(person.upstream.as_ref())?,
            ip: browser.address.to_string(),
            user_agent: browser.user_agent.chars().take(400).collect(),
            trace: Some(trace.truncated(TRACE_STEPS, TRACE_STEP_CHARACTERS)),
            assertion,
            now,
        })
    }

    /// Stores the sign-in, with a grant if there is no browser, and logs it or why the user is refused.
    async fn store_sign_in(
        &self,
        connector: &Connector,
        sign_in: SignIn,
        grant: Option<Grant>,
        browser: &Browser,
    ) -> Result<StoredSignIn, IssuerError> {
        let (identity, now) = (sign_in.identity.clone(), sign_in.now);
        let trace = sign_in.trace.clone().unwrap_or_default();
        let stored = match grant {
            Some(grant) => self.store.sign_in_with_grant(sign_in, grant).await?,
            None => self.store.sign_in(sign_in).await?,
        };
        let (session, reauthenticated) = match stored {
            countersign_store::SignInOutcome::SignedIn { session, reauthenticated } => {
                (session, reauthenticated)
            }
            countersign_store::SignInOutcome::AssertionReused => {
                let refusal = Refusal::InvalidResponse {
                    reason: "the response has already been used".to_owned(),
                };
                let attempt = LoginTrace { browser, trace: &trace };
                log_refusal(connector, &refusal, None, &attempt);
                return Ok(StoredSignIn::Refused(refusal));
            }
            countersign_store::SignInOutcome::Blocked(block) => {
                log_blocked(connector, &block.user_id);
                return Ok(StoredSignIn::Blocked { until: block.expires_at });
            }
        };
        tracing::info!(
            event = "signed_in",
            session = %session,
            connector = %connector.id,
            user_id = %identity.user_id,
            email = %identity.email,
            groups = identity.groups.len(),
            address = %browser.address,
            again = reauthenticated,
            "login successful"
        );
        Ok(StoredSignIn::Stored { session, now })
    }
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
    /// A session of an authenticated user, to be stored by [`Issuer::store_new_session`]. Writes nothing. `None`: the
    /// user is blocked, so that no tokens need to be signed.
    pub(crate) async fn new_session(
        &self,
        connector: Arc<Connector>,
        user: AuthenticatedUser,
        caller: &Browser,
    ) -> Result<Option<NewSession>, IssuerError> {
        let user_id = &user.person.identity.user_id;
        if self.store.blocked_user(&connector.id, user_id, self.now()).await?.is_some() {
            log_blocked(&connector, user_id);
            return Ok(None);
        }
        // No browser receives this cookie, and it is already expired.
        let cookie = Secret::new(ids::random_token()?);
        let caller = Browser { cookie: None, ..caller.clone() };
        let sign_in = self.prepare_sign_in(&connector, user, &caller, (&cookie, Duration::ZERO))?;
        Ok(Some(NewSession { connector, sign_in: Box::new(sign_in), caller }))
    }

    /// Stores the session with its first grant. False: the user is blocked, and nothing was stored.
    pub(crate) async fn store_new_session(
        &self,
        new: NewSession,
        grant: Grant,
    ) -> Result<bool, IssuerError> {
        let NewSession { connector, sign_in, caller } = new;
        match self.store_sign_in(&connector, *sign_in, Some(grant), &caller).await? {
            StoredSignIn::Stored { .. } => Ok(true),
            StoredSignIn::Blocked { .. } | StoredSignIn::Refused(_) => Ok(false),
        }
    }
}

pub(super) fn unavailable(
    connector: &Connector,
    down: &ConnectorError,
    trace: &Trace,
) -> IssuerError {
    log_trace(connector, trace);
    IssuerError::upstream(down)
}

fn log_blocked(connector: &Connector, user_id: &str) {
    tracing::warn!(event = "login_refused", connector = %connector.id, user_id, reason = "blocked", "a blocked person tried to sign in");
}

pub(super) fn log_refusal(
    connector: &Connector,
    refusal: &Refusal,
    login: Option<&str>,
    attempt: &LoginTrace<'_>,
) {
    let LoginTrace { browser, trace } = attempt;
    log_trace(connector, trace);
    tracing::warn!(event = "login_refused", connector = %connector.id, login, reason = %refusal, address = %browser.address, "login refused");
}

/// Logs the trace at the level `debug`.
fn log_trace(connector: &Connector, trace: &Trace) {
    for step in trace.steps() {
        tracing::debug!(connector = %connector.id, kind = ?step.kind, "{}", step.text);
    }
}
