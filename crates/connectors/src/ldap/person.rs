//! Maps an entry to an identity.

use std::borrow::Cow;

use countersign_core::{Identity, Trace};

use super::config::{Config, Email, UserSearch};
use super::entry::is_dn;
use super::entry::{Entry, Scalar};
use super::failure::DirectoryError;

/// Operational attributes in which directories record that an account is disabled.
const STATE: [&str; 3] = ["userAccountControl", "pwdAccountLockedTime", "nsAccountLock"];
const ACCOUNTDISABLE: i64 = 2;
/// Value for a permanent lock in the password policy draft, section 5.3.3.
const LOCKED_FOR_GOOD: &str = "000001010000Z";

/// All attributes of a user that are read here.
pub(super) fn attributes(config: &Config) -> Vec<&str> {
    let UserSearch { id, name, preferred_username, email, .. } = &config.users;
    let mut list: Vec<&str> = vec![id];
    list.extend([name, preferred_username].into_iter().flatten().map(String::as_str));
    if let Email::Attribute(attribute) = email {
        list.push(attribute);
    }
    let matchers = config.groups.iter().flat_map(|groups| &groups.matchers);
    list.extend(matchers.map(|matcher| matcher.user.as_str()));
    list.retain(|attribute| !is_dn(attribute));
    list.extend(STATE);
    list.sort_unstable();
    list.dedup();
    list
}

/// The user id alone, for checking that an entry still is the same user.
pub(super) fn user_id<'e>(entry: &'e Entry, users: &UserSearch) -> Option<Cow<'e, str>> {
    match entry.scalar(&users.id) {
        Scalar::Text(id) => Some(id),
        Scalar::Missing | Scalar::Binary => None,
    }
}

/// The identity without groups. Every configured attribute must be present and be text.
pub(super) fn identity<'c>(
    entry: &Entry,
    users: &'c UserSearch,
) -> Result<Identity, DirectoryError> {
    let mut missing: Vec<(&str, &str)> = Vec::new();
    let mut required = |attribute: &'c str| match entry.scalar(attribute) {
        Scalar::Text(text) => text.into_owned(),
        Scalar::Missing => {
            missing.push((attribute, ""));
            String::new()
        }
        Scalar::Binary => {
            missing.push((attribute, " (it is there, but is not text)"));
            String::new()
        }
    };
    let user_id = required(&users.id);
    let username = users.name.as_deref().map(&mut required).unwrap_or_default();
    let preferred_username = users.preferred_username.as_deref().map(&mut required);
    let email = match &users.email {
        Email::Attribute(attribute) => required(attribute),
        Email::Suffix(suffix) => format!("{username}@{suffix}"),
    };
    if !missing.is_empty() {
        missing.dedup();
        let list = |quote: &str| {
            let one = |(name, note): &(&str, &str)| format!("{quote}{name}{quote}{note}");
            missing.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        return Err(DirectoryError::Incomplete {
            missing: format!("Your directory entry has no attribute {}.", list("`")),
            cause: format!("entry {} lacks {}", entry.dn, list("")),
        });
    }
    Ok(Identity {
        user_id,
        username,
        preferred_username: preferred_username.unwrap_or_default(),
        email,
        // As in Dex, the directory's addresses count as verified.
        email_verified: true,
        groups: Vec::new(),
    })
}

/// The attribute that marks the account as disabled, if any.
pub(super) fn disabled_by(entry: &Entry) -> Option<&'static str> {
    STATE.into_iter().find(|attribute| {
        matches!(entry.scalar(attribute), Scalar::Text(text) if is_off(attribute, &text))
    })
}

fn is_off(attribute: &str, text: &str) -> bool {
    match attribute {
        "userAccountControl" => text.parse::<i64>().is_ok_and(|n| n & ACCOUNTDISABLE != 0),
        "pwdAccountLockedTime" => text == LOCKED_FOR_GOOD,
        _ => text.eq_ignore_ascii_case("true"),
    }
}

/// For a diagnosis: traces from which attribute each claim is read, or why it is absent.
pub(super) fn trace_attributes(entry: &Entry, users: &UserSearch, trace: &mut Trace) {
    let email = match &users.email {
        Email::Attribute(attribute) => Some(attribute),
        Email::Suffix(suffix) => {
            trace.note(format!("the email is the name, an @ and {suffix}"));
            None
        }
    };
    for (claim, attribute) in [
        ("user id", Some(&users.id)),
        ("name", users.name.as_ref()),
        ("preferred username", users.preferred_username.as_ref()),
        ("email", email),
    ] {
        let Some(attribute) = attribute else { continue };
        match entry.scalar(attribute) {
            Scalar::Text(text) => {
                let values = entry.values(attribute).len();
                let first = if values > 1 { "the first of several" } else { "" };
                trace.included(claim, format!("{attribute} {text:?} {first}").trim_end());
            }
            Scalar::Missing => {
                let reason = "the entry lacks it, or the bind user may not read it";
                trace.excluded(claim, &format!("{attribute}: {reason}"));
            }
            Scalar::Binary => trace.excluded(claim, &format!("{attribute}: it is not text")),
        }
    }
}

/// For a diagnosis: traces the attributes about the account's state that are present.
pub(super) fn describe_state(entry: &Entry, trace: &mut Trace) {
    let mut has_state = false;
    for attribute in STATE {
        let Scalar::Text(text) = entry.scalar(attribute) else { continue };
        has_state = true;
        let meaning = match attribute {
            _ if is_off(attribute, &text) => "the account is disabled",
            "pwdAccountLockedTime" => "locked since then; the server decides for how long",
            _ => "not disabled",
        };
        trace.note(format!("{attribute} is {text}: {meaning}"));
    }
    if !has_state {
        trace.note(format!("not disabled: none of {} is there", STATE.join(", ")));
    }
}

#[cfg(test)]
mod tests {
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
        let identity =
            identity(&jane(), &users("uid", Email::Suffix("example.org".into()))).unwrap();
        assert_eq!(identity.email, "Jane Doe@example.org");
    }

    #[test]
    fn everything_missing_is_reported_at_once() {
        let empty = Entry::of("uid=x,dc=example", &[("objectGUID", &[&[0xff]])]);
        let result = identity(&empty, &users("objectGUID", Email::Attribute("mail".into())));
        let Err(DirectoryError::Incomplete { missing, cause }) = result else {
            panic!("{result:?}")
        };
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
}
