use ldap3::Scope;

use super::super::config::{Email, UserSearch};
use super::super::entry::Entry;
use super::super::failure::DirectoryError;
use super::{disabled_by, identity};

fn users(id: &str, email: Email) -> UserSearch {
    UserSearch {
        base: "dc=example".into(),
        filter: String::new(),
        username: vec!["uid".into()],
        scope: Scope::Subtree,
        id: id.into(),
        name: Some("cn".into()),
        preferred_username: Some("uid".into()),
        email,
    }
}

fn jane() -> Entry {
    Entry::of(
        "uid=jane,dc=example",
        &[
            ("uid", &[b"jane"]),
            ("cn", &[b"Jane Doe", b"JD"]),
            ("mail", &[b"jane@example.org"]),
            ("objectGUID", &[&[0xfe]]),
        ],
    )
}

#[test]
fn an_entry_becomes_an_identity() {
    let identity = identity(&jane(), &users("DN", Email::Attribute("Mail".into()))).unwrap();
    assert_eq!(identity.user_id, "uid=jane,dc=example");
    assert_eq!(identity.username, "Jane Doe");
    assert_eq!(identity.preferred_username, "jane");
    assert_eq!(identity.email, "jane@example.org");
    assert!(identity.email_verified);
}

#[test]
fn a_suffix_makes_the_address() {
    let identity = identity(&jane(), &users("uid", Email::Suffix("example.org".into()))).unwrap();
    assert_eq!(identity.email, "Jane Doe@example.org");
}

#[test]
fn everything_missing_is_reported_at_once() {
    let empty = Entry::of("uid=x,dc=example", &[("objectGUID", &[&[0xff]])]);
    let result = identity(&empty, &users("objectGUID", Email::Attribute("mail".into())));
    let Err(DirectoryError::Incomplete { missing, cause }) = result else { panic!("{result:?}") };
    assert_eq!(
        cause,
        "entry uid=x,dc=example lacks objectGUID (it is there, but is not text), cn, uid, mail"
    );
    assert_eq!(
        missing,
        "Your directory entry has no attribute `objectGUID` (it is there, but is not text), `cn`, `uid`, `mail`."
    );
}

#[test]
fn disabled_accounts_are_recognized_in_each_kind_of_directory() {
    for (attribute, value, off) in [
        ("userAccountControl", "514", true),
        ("userAccountControl", "512", false),
        ("useraccountcontrol", "66050", true),
        ("userAccountControl", "nonsense", false),
        ("pwdAccountLockedTime", "000001010000Z", true),
        ("pwdAccountLockedTime", "20260101000000Z", false),
        ("nsAccountLock", "TRUE", true),
        ("nsAccountLock", "false", false),
        ("cn", "514", false),
    ] {
        let entry = Entry::of("uid=x", &[(attribute, &[value.as_bytes()])]);
        assert_eq!(disabled_by(&entry).is_some(), off, "{attribute}={value}");
    }
}
