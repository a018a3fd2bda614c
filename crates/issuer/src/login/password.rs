//! Verifies a password within the limits on attempts, for a login and for the password grant.
//!
//! The device cookie proves that this browser has signed in to an account with its password before (OWASP, "Slow Down
//! Online Guessing Attacks with Device Cookies"). It only selects the counter of an attempt; the password is still
//! required. Its entries are `key~device~mac`, newest first, separated by dots. The MAC covers connector, account and
//! device; the account itself is not in the cookie.

use std::time::Duration;

use countersign_core::connector::{LoginMethod, LoginOutcome, Refusal};
use countersign_core::ids::{self, NoRandomness};
use countersign_core::{Connector, ConnectorId, LoginScopes, Secret, Trace};
use countersign_jose::MacKeys;

use super::PendingLogin;
use super::rate_limit::{AttemptKey, LimitedBy, RateLimitPermit, counted_address};
use super::sign_in::{
    AuthenticatedUser, Browser, LoginTrace, SignInOutcome, log_refusal, unavailable,
};
use crate::upstream_health::Op;
use crate::{Issuer, IssuerError};

/// A password is available only during the login, so this login requests all scopes that a later client may need; what
/// each client receives is still decided by its own scopes.
const EVERYTHING: LoginScopes = LoginScopes { offline: true, groups: true };
const LONGEST_LOGIN: usize = 256;
/// Of the MACs in device cookies.
const PURPOSE: &str = "device cookie";
/// Maximum number of accounts in one cookie.
const MAX_ENTRIES: usize = 4;
const MAX_ENTRY_BYTES: usize = 128;

/// The login name and password of a form or a password grant.
pub struct PasswordSubmission {
    pub login: String,
    pub password: Secret,
}

/// The outcome of [`Issuer::check_password`].
pub(crate) enum PasswordOutcome {
    Authenticated(Box<AuthenticatedUser>),
    Refused(Refusal),
    RateLimited(Duration),
}

impl Issuer {
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
        let device = device_of(device, &keys.mac, id, &account);
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
                let cookie = after_success(before, &keys.mac_settled, id, &account)?;
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

/// The device id of this account's entry, if the cookie has one with a valid MAC.
fn device_of(
    cookie: Option<&str>,
    keys: &MacKeys,
    connector: &str,
    account: &str,
) -> Option<String> {
    entries(cookie).find_map(|entry| {
        let mut parts = entry.splitn(3, '~');
        let (key, device, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let message = message(connector, account, device);
        keys.verify(key.parse().ok()?, PURPOSE, &message, mac).then(|| device.to_owned())
    })
}

/// The cookie after a successful login: an entry for this account, followed by the newest of the others.
fn after_success(
    cookie: Option<&str>,
    keys: &MacKeys,
    connector: &str,
    account: &str,
) -> Result<String, NoRandomness> {
    let device = ids::random_id()?;
    let (key, mac) = keys.sign(PURPOSE, &message(connector, account, &device));
    let others = entries(cookie)
        .filter(|entry| device_of(Some(entry), keys, connector, account).is_none())
        .map(str::to_owned);
    let entry = format!("{key}~{device}~{mac}");
    let all: Vec<String> = std::iter::once(entry).chain(others).take(MAX_ENTRIES).collect();
    Ok(all.join("."))
}

fn entries(cookie: Option<&str>) -> impl Iterator<Item = &str> {
    let fits = |entry: &&str| !entry.is_empty() && entry.len() <= MAX_ENTRY_BYTES;
    cookie.unwrap_or_default().split('.').filter(fits).take(MAX_ENTRIES)
}

fn message(connector: &str, account: &str, device: &str) -> String {
    format!("{device}\n{connector}\n{account}")
}

#[cfg(test)]
mod tests {
    use super::{MAX_ENTRIES, after_success, device_of};
    use countersign_jose::MacKeys;

    #[test]
    fn a_device_cookie_counts_for_its_own_account_and_keeps_few() {
        let keys = MacKeys::new(vec![(1, MacKeys::generate().unwrap())]).unwrap();
        let mut cookie = None;
        for account in ["a", "b", "c", "d", "jane"] {
            cookie = Some(after_success(cookie.as_deref(), &keys, "local", account).unwrap());
        }
        let cookie = cookie.as_deref();
        assert!(device_of(cookie, &keys, "local", "jane").is_some());
        assert!(device_of(cookie, &keys, "local", "a").is_none(), "the oldest was dropped");
        assert!(device_of(cookie, &keys, "ldap", "jane").is_none(), "another connector");
        assert!(device_of(cookie, &keys, "local", "bob").is_none(), "another account");
        assert_eq!(cookie.unwrap().split('.').count(), MAX_ENTRIES);
        let altered = cookie.unwrap().replace('~', "~A");
        assert!(device_of(Some(&altered), &keys, "local", "jane").is_none());
        let again = after_success(cookie, &keys, "local", "jane").unwrap();
        assert_eq!(again.split('.').count(), MAX_ENTRIES, "an account has one entry");
    }
}
