use countersign_core::connector::Refusal;
use ldap3::LdapResult;
use ldap3::controls::{Control, RawControl};

use super::super::failure::DirectoryError;
use super::{PASSWORD_POLICY, PasswordPolicy, UpstreamOutcome, bind_outcome};

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
        Ok(UpstreamOutcome::Refused { refusal, .. }) => refusal,
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
        Ok(UpstreamOutcome::Accepted { note: None })
    ));
}
