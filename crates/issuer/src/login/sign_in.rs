//! The login step: verifies a password, and stores the session, with which every login method ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::connector::{Fingerprint, LoginMethod, LoginOutcome, Refusal, SignedIn};
use countersign_core::{
    Connector, ConnectorId, LoginScopes, Secret, SessionId, Timestamp, Trace, ids,
};
use countersign_jose::hash;
use countersign_store::{SignIn, UsedAssertion};

use super::rate_limit::{AttemptKey, LimitedBy, RateLimitPermit, counted_address};
use super::{PendingLogin, device_cookie};
use crate::upstream_health::Op;
use crate::{Issuer, IssuerError};

/// A password is available only during the login, so this login requests all scopes that a later client may need; what
/// each client receives is still decided by its own scopes.
const EVERYTHING: LoginScopes = LoginScopes { offline: true, groups: true };
const LONGEST_LOGIN: usize = 256;
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
    /// See [`device_cookie`].
    pub device_cookie: Option<String>,
}

/// The login name and password of a form or a password grant.
pub struct PasswordSubmission {
    pub login: String,
    pub password: Secret,
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
pub(super) enum StoredSignIn {
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

/// The outcome of [`Issuer::check_password`].
pub(crate) enum PasswordOutcome {
    Authenticated(Box<AuthenticatedUser>),
    Refused(Refusal),
    RateLimited(Duration),
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

    /// Verifies the password within the limits on attempts, and stores the session.
    pub async fn sign_in_with_password(
        &self,
        pending: PendingLogin,
        connector: &ConnectorId,
        attempt: &PasswordSubmission,
        browser: &Browser,
    ) -> Result<SignInOutcome, IssuerError> {
        if self.now() > pending.request.expires_at {
            return Ok(SignInOutcome::RestartRequired);
        }
        let Some(connector) = self.connector_for(&pending, connector) else {
            return Ok(SignInOutcome::MethodUnavailable);
        };
        let connector = &*connector;
        if !matches!(connector.login_method, LoginMethod::Password(_)) {
            return Ok(SignInOutcome::MethodUnavailable);
        }
        let mut user = match self.check_password(connector, attempt, browser).await? {
            PasswordOutcome::Authenticated(user) => *user,
            PasswordOutcome::Refused(refusal) => return Ok(SignInOutcome::Refused(refusal)),
            PasswordOutcome::RateLimited(wait) => return Ok(SignInOutcome::RateLimited(wait)),
        };
        let device_cookie = user.device_cookie.take();
        let mut outcome = self.sign_in(pending, connector, user, browser).await?;
        if let SignInOutcome::SignedIn(signed_in) = &mut outcome {
            signed_in.device_cookie = device_cookie;
        }
        Ok(outcome)
    }

    /// Verifies a password once, within the limits on attempts. Writes nothing to the database.
    pub(crate) async fn check_password(
        &self,
        connector: &Connector,
        attempt: &PasswordSubmission,
        browser: &Browser,
    ) -> Result<PasswordOutcome, IssuerError> {
        let LoginMethod::Password(method) = &connector.login_method else {
            return Ok(PasswordOutcome::Refused(Refusal::BadCredentials));
        };
        if attempt.login.chars().count() > LONGEST_LOGIN {
            return Ok(PasswordOutcome::Refused(Refusal::BadCredentials));
        }
        let account = method.canonical(&attempt.login);
        let address = counted_address(browser.address);
        let keys = self.keyring.keys();
        let (id, device) = (connector.id.as_str(), browser.device_cookie.as_deref());
        let device = device_cookie::device_of(device, &keys.mac, id, &account);
        let key = AttemptKey {
            connector: id,
            account: &account,
            address: &address,
            device: device.as_deref(),
        };
        if let RateLimitPermit::Wait(wait, by) = self.attempts.begin(&key, self.now()) {
            log_delay(connector, attempt, browser, by);
            return Ok(PasswordOutcome::RateLimited(wait));
        }
        let mut trace = Trace::default();
        let login = method.login(&attempt.login, &attempt.password, EVERYTHING, &mut trace);
        let result = self.call_connector(connector, Op::Login, login).await;
        match result.map_err(|down| unavailable(connector, &down, &trace))? {
            LoginOutcome::Refused(refusal) => {
                let login = loggable(&attempt.login);
                let attempt = LoginTrace { browser, trace: &trace };
                log_refusal(connector, &refusal, Some(&login), &attempt);
                Ok(PasswordOutcome::Refused(refusal))
            }
            LoginOutcome::Accepted(person) => {
                self.attempts.succeeded(&key, self.now());
                let before = browser.device_cookie.as_deref();
                let cookie = device_cookie::after_success(before, &keys.mac_settled, id, &account)?;
                Ok(PasswordOutcome::Authenticated(Box::new(AuthenticatedUser {
                    person: *person,
                    login_scopes: EVERYTHING,
                    trace,
                    device_cookie: Some(cookie),
                    assertion: None,
                })))
            }
        }
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
        let (session, now) = match self.store_sign_in(connector, sign_in, browser).await? {
            StoredSignIn::Stored { session, now } => (session, now),
            StoredSignIn::Blocked { until } => return Ok(SignInOutcome::Blocked { until }),
            StoredSignIn::Refused(refusal) => return Ok(SignInOutcome::Refused(refusal)),
        };
        pending.session = Some(session);
        pending.logged_in = Some(now);
        pending.switch = false;
        let connector = connector.id.clone();
        Ok(SignInOutcome::SignedIn(Box::new(SignedInBrowser {
            device_cookie: None,
            pending,
            cookie,
            lifetime,
            connector,
        })))
    }

    /// The sign-in of an authenticated user, with the id that a new session would have. Writes nothing.
    pub(super) fn prepare_sign_in(
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
                return Err(IssuerError::Broken(format!(
                    "{} returned no fingerprint",
                    connector.id
                )));
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

    /// Stores the sign-in, and logs it or why the user is refused.
    pub(super) async fn store_sign_in(
        &self,
        connector: &Connector,
        sign_in: SignIn,
        browser: &Browser,
    ) -> Result<StoredSignIn, IssuerError> {
        let (identity, now) = (sign_in.identity.clone(), sign_in.now);
        let trace = sign_in.trace.clone().unwrap_or_default();
        let (session, reauthenticated) = match self.store.sign_in(sign_in).await? {
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
                tracing::warn!(event = "login_refused", connector = %connector.id, user_id = %block.user_id, reason = "blocked", "a blocked person tried to sign in");
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

pub(super) fn unavailable(
    connector: &Connector,
    down: &countersign_core::connector::ConnectorError,
    trace: &Trace,
) -> IssuerError {
    log_trace(connector, trace);
    IssuerError::upstream(down)
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

/// Shortens a login name for the log and removes its control characters.
fn loggable(login: &str) -> String {
    login.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn log_delay(
    connector: &Connector,
    attempt: &PasswordSubmission,
    browser: &Browser,
    by: LimitedBy,
) {
    let (login, address) = (loggable(&attempt.login), browser.address);
    match by {
        LimitedBy::Address { accounts } => {
            tracing::warn!(event = "login_delayed", connector = %connector.id, login, %address, limit = "address", accounts, "too many attempts from this address: if it is a proxy's, set web.clientRemoteIP.trustedProxies");
        }
        LimitedBy::Account | LimitedBy::Device => {
            tracing::warn!(event = "login_delayed", connector = %connector.id, login, %address, limit = "account", "too many attempts for this account");
        }
    }
}

/// Logs the trace at the level `debug`.
fn log_trace(connector: &Connector, trace: &Trace) {
    for step in trace.steps() {
        tracing::debug!(connector = %connector.id, kind = ?step.kind, "{}", step.text);
    }
}
