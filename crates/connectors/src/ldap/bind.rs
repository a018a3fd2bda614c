//! Verifying a password by a bind, and interpreting its result.

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

/// draft-behera-ldap-password-policy: the request control is sent with every bind; servers without support ignore it.
const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// Number of binds with a user's name and password, including the dummy binds for unknown names. Clones share the
/// counter.
#[derive(Clone, Debug, Default)]
pub struct UserBinds(Arc<AtomicU64>);

impl UserBinds {
    /// Since the connector was built. A bind that is attempted at two hosts counts once.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The DN and password of the dummy bind. The DN is below the users' base, so that the server searches the same
/// database; no entry of this name exists, and a success would not authenticate anyone.
pub(super) fn dummy_credentials(base: &str) -> (String, Secret) {
    let dn = format!("cn=countersign-nobody-4e1c9b52d07a6f83,{base}");
    (dn, Secret::new("nobody's password, and nobody typed it"))
}

/// Whether the server refuses simple binds in general (authMethodNotSupported, strongerAuthRequired,
/// confidentialityRequired), so that the result is not about the name or the password.
pub(super) fn refuses_simple_binds(result: &LdapResult) -> bool {
    matches!(result.rc, 7 | 8 | 13)
}

/// The outcome of a bind as a user.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BindOutcome {
    /// `note`: the remaining time until the password expires, if the server returns it.
    Accepted {
        note: Option<String>,
    },
    Refused {
        refusal: Refusal,
        reason: String,
    },
}

/// A simple bind. On success the connection is bound as `dn`.
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

/// Interprets the result of a bind. `Err`: the result is about the server and not about the user.
pub(super) fn bind_outcome(result: &LdapResult) -> Result<BindOutcome, DirectoryError> {
    let policy = PasswordPolicy::of(result);
    if result.rc == 0 {
        return Ok(match policy.refusal() {
            // "Change your password first" is returned with success; the password cannot be changed here.
            Some((refusal, reason)) => BindOutcome::Refused { refusal, reason: reason.to_owned() },
            None => BindOutcome::Accepted { note: policy.note() },
        });
    }
    let known = policy.refusal().or_else(|| active_directory(&result.text));
    // 389 Directory Server returns unwillingToPerform for a deactivated account.
    let inactivated = result.rc == 53 && result.text.to_lowercase().contains("inactivated");
    let (refusal, reason) = match result.rc {
        _ if inactivated => (Refusal::AccountDisabled, "the server reports it inactivated"),
        // invalidCredentials, constraintViolation, noSuchObject (deleted since the search), inappropriateAuthentication
        // (the entry has no password).
        49 | 19 | 32 | 48 => known.unwrap_or((Refusal::BadCredentials, "bad password")),
        _ => return Err(DirectoryError::of_result("bind", result)),
    };
    Ok(BindOutcome::Refused { refusal, reason: format!("{reason}: {}", describe(result)) })
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

/// Active Directory encodes the reason in the diagnostic text: `…, data 532, v4563`.
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
mod tests {
    use countersign_core::connector::Refusal;
    use ldap3::LdapResult;
    use ldap3::controls::{Control, RawControl};

    use super::super::failure::DirectoryError;
    use super::{BindOutcome, PASSWORD_POLICY, PasswordPolicy, bind_outcome};

    fn result(rc: u32, text: &str, policy: Option<&[u8]>) -> LdapResult {
        let control = policy.map(|value| {
            let val = Some(value.to_vec());
            Control(None, RawControl { ctype: PASSWORD_POLICY.into(), crit: false, val })
        });
        LdapResult {
            rc,
            matched: String::new(),
            text: text.into(),
            refs: Vec::new(),
            ctrls: control.into_iter().collect(),
        }
    }

    fn refusal(rc: u32, text: &str, policy: Option<&[u8]>) -> Refusal {
        match bind_outcome(&result(rc, text, policy)) {
            Ok(BindOutcome::Refused { refusal, .. }) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_password_policy_is_read_with_care() {
        let parsed = |bytes: &[u8]| PasswordPolicy::parse(bytes);
        assert_eq!(parsed(&[0x30, 0]), Some(PasswordPolicy::default()));
        let error = |error| Some(PasswordPolicy { error: Some(error), ..Default::default() });
        assert_eq!(parsed(&[0x30, 3, 0x81, 1, 0]), error(0));
        assert_eq!(parsed(&[0x30, 3, 0x81, 1, 2]), error(2));
        let soon = parsed(&[0x30, 6, 0xa0, 4, 0x80, 2, 0x0e, 0x10]).unwrap();
        assert_eq!(soon.note().as_deref(), Some("the password expires in 3600 s"));
        let both = parsed(&[0x30, 8, 0xa0, 3, 0x81, 1, 5, 0x81, 1, 1]).unwrap();
        assert_eq!((both.logins_left, both.error), (Some(5), Some(1)));
        for hostile in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 5, 0x81, 1, 0],
            &[0x30, 3, 0x81, 9, 0],
            &[0x30, 2, 0x81, 0],
            &[0x30, 7, 0x81, 5, 1, 1, 1, 1, 1],
            &[0x30, 2, 0xa0, 0],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x04, 1, 0],
            &[0x30, 0, 0x30, 0],
        ] {
            assert_eq!(parsed(hostile), None, "{hostile:?}");
        }
    }

    #[test]
    fn a_broken_control_changes_nothing() {
        assert_eq!(refusal(49, "", Some(&[0x30, 0x80])), Refusal::BadCredentials);
    }

    #[test]
    fn expired_locked_and_disabled_are_distinguished() {
        assert_eq!(refusal(49, "", Some(&[0x30, 3, 0x81, 1, 0])), Refusal::PasswordExpired);
        assert_eq!(refusal(49, "", Some(&[0x30, 3, 0x81, 1, 1])), Refusal::AccountLocked);
        assert_eq!(refusal(0, "", Some(&[0x30, 3, 0x81, 1, 2])), Refusal::PasswordExpired);
        let microsoft = |code: &str| {
            let text = format!(
                "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data {code}, v4563"
            );
            refusal(49, &text, None)
        };
        assert_eq!(microsoft("532"), Refusal::PasswordExpired);
        assert_eq!(microsoft("773"), Refusal::PasswordExpired);
        assert_eq!(microsoft("775"), Refusal::AccountLocked);
        assert_eq!(microsoft("533"), Refusal::AccountDisabled);
        assert_eq!(microsoft("701"), Refusal::AccountDisabled);
        assert_eq!(microsoft("52e"), Refusal::BadCredentials);
        assert_eq!(microsoft("525"), Refusal::BadCredentials);
        let fedora = "Account inactivated. Contact system administrator.";
        assert_eq!(refusal(53, fedora, None), Refusal::AccountDisabled);
    }

    #[test]
    fn a_wrong_password_is_a_refusal_and_a_broken_server_is_not() {
        for rc in [49, 19, 32, 48] {
            assert_eq!(refusal(rc, "", None), Refusal::BadCredentials);
        }
        let error = |rc| bind_outcome(&result(rc, "", None)).unwrap_err();
        for rc in [1, 2, 8, 10, 13, 50, 53] {
            assert!(matches!(error(rc), DirectoryError::Misconfigured(_)), "{rc}");
        }
        for rc in [3, 80] {
            assert!(matches!(error(rc), DirectoryError::Busy(_)), "{rc}");
        }
        for rc in [51, 52] {
            assert!(matches!(error(rc), DirectoryError::Host { is_permanent: false, .. }), "{rc}");
        }
        assert!(matches!(
            bind_outcome(&result(0, "", None)),
            Ok(BindOutcome::Accepted { note: None })
        ));
    }
}
