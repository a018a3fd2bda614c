//! Proving a password by binding with it, and understanding a refusal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_core::Secret;
use countersign_core::connector::Refusal;
use ldap3::LdapResult;
use ldap3::controls::RawControl;
use tokio::time::timeout;

use super::connection::Connection;
use super::failure::{DirectoryError, describe};
use crate::ber;

/// draft-behera-ldap-password-policy: sent with every bind, ignored by servers that lack it.
const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// How many binds were made with the name and the password of a person, or in the place of one nobody
/// knows. Clones share one number.
#[derive(Clone, Debug, Default)]
pub struct UserBinds(Arc<AtomicU64>);

impl UserBinds {
    /// Since the connector was made. A bind for which two hosts were tried counts once.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Below the base where people are, so that the same database of the server has to look; an entry of
/// this name there is not, and if one were made, its bind would prove nothing about anybody.
pub(super) fn nobody(base: &str) -> (String, Secret) {
    let dn = format!("cn=countersign-nobody-4e1c9b52d07a6f83,{base}");
    (dn, Secret::new("nobody's password, and nobody typed it"))
}

/// True when the server refuses this way of binding (authMethodNotSupported, strongerAuthRequired,
/// confidentialityRequired), so that its result is not about a name or a password.
pub(super) fn is_against_everybody(result: &LdapResult) -> bool {
    matches!(result.rc, 7 | 8 | 13)
}

/// What a person's bind came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UpstreamOutcome {
    /// With the remaining time, if the server returns it.
    Accepted {
        note: Option<String>,
    },
    Refused {
        refusal: Refusal,
        reason: String,
    },
}

/// A simple bind. Whose connection it is afterwards depends on the result.
pub(super) async fn simple(
    connection: &mut Connection,
    dn: &str,
    password: &Secret,
    within: Duration,
) -> Result<LdapResult, DirectoryError> {
    let control = RawControl { ctype: PASSWORD_POLICY.to_owned(), crit: false, val: None };
    let mut ldap = connection.ldap.clone();
    ldap.with_controls(control);
    let bound = timeout(within, ldap.simple_bind(dn, password.expose())).await;
    match bound {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(e)) => Err(DirectoryError::no_response(format!("bind: {}", connection.cause(&e)))),
        Err(_) => Err(DirectoryError::no_response("bind: no answer in time")),
    }
}

/// `Err` when the answer is about the server and not about the person.
pub(super) fn bind_outcome(result: &LdapResult) -> Result<UpstreamOutcome, DirectoryError> {
    let policy = PasswordPolicy::of(result);
    if result.rc == 0 {
        return Ok(match policy.refusal() {
            // "Change your password first" comes with success; the change cannot be made here.
            Some((refusal, reason)) => {
                UpstreamOutcome::Refused { refusal, reason: reason.to_owned() }
            }
            None => UpstreamOutcome::Accepted { note: policy.note() },
        });
    }
    let known = policy.refusal().or_else(|| active_directory(&result.text));
    // 389 Directory Server answers unwillingToPerform for a deactivated account.
    let inactivated = result.rc == 53 && result.text.to_lowercase().contains("inactivated");
    let (refusal, reason) = match result.rc {
        _ if inactivated => (Refusal::AccountDisabled, "the server reports it inactivated"),
        // invalidCredentials, constraintViolation, noSuchObject (gone since the search),
        // inappropriateAuthentication (it has no password).
        49 | 19 | 32 | 48 => known.unwrap_or((Refusal::BadCredentials, "bad password")),
        _ => return Err(DirectoryError::of_result("bind", result)),
    };
    Ok(UpstreamOutcome::Refused { refusal, reason: format!("{reason}: {}", describe(result)) })
}

/// The response control of a password policy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PasswordPolicy {
    seconds_left: Option<usize>,
    logins_left: Option<usize>,
    error: Option<usize>,
}

impl PasswordPolicy {
    fn of(result: &LdapResult) -> Self {
        let control = result.ctrls.iter().find(|control| control.1.ctype == PASSWORD_POLICY);
        let value = control.and_then(|control| control.1.val.as_deref());
        value.and_then(Self::parse).unwrap_or_default()
    }

    /// `SEQUENCE { warning [0] CHOICE { [0] seconds, [1] logins } OPTIONAL, error [1] OPTIONAL }`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut policy = Self::default();
        for part in ber::sequence(value)? {
            match part.tag {
                0xa0 => {
                    let warning = ber::element(value, part.start, part.end)?;
                    let number = Some(ber::unsigned(warning.body(value))?);
                    match warning.tag {
                        0x80 => policy.seconds_left = number,
                        0x81 => policy.logins_left = number,
                        _ => return None,
                    }
                }
                0x81 => policy.error = Some(ber::unsigned(part.body(value))?),
                _ => return None,
            }
        }
        Some(policy)
    }

    fn refusal(&self) -> Option<(Refusal, &'static str)> {
        match self.error? {
            0 => Some((Refusal::PasswordExpired, "password policy: the password has expired")),
            1 => Some((Refusal::AccountLocked, "password policy: the account is locked")),
            2 => Some((Refusal::PasswordExpired, "password policy: it must be changed first")),
            _ => None,
        }
    }

    fn note(&self) -> Option<String> {
        let seconds = self.seconds_left.map(|n| format!("the password expires in {n} s"));
        seconds.or_else(|| self.logins_left.map(|n| format!("it has expired; {n} logins are left")))
    }
}

/// Active Directory hides the reason in the text: `…, data 532, v4563`.
fn active_directory(text: &str) -> Option<(Refusal, &'static str)> {
    let (_, rest) = text.split_once(", data ")?;
    match rest.split(|c: char| !c.is_ascii_hexdigit()).next()? {
        "532" => Some((Refusal::PasswordExpired, "Active Directory: the password has expired")),
        "773" => Some((Refusal::PasswordExpired, "Active Directory: it must be changed first")),
        "775" => Some((Refusal::AccountLocked, "Active Directory: the account is locked")),
        "533" => Some((Refusal::AccountDisabled, "Active Directory: the account is disabled")),
        "701" => Some((Refusal::AccountDisabled, "Active Directory: the account has expired")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
