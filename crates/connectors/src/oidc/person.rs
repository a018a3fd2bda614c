//! From the claims of a provider to a person, as Dex reads them.

use countersign_core::{Identity, Trace};
use serde_json::{Map, Value};

use super::config::Mapping;
use super::groups;
use crate::oauth::Failure;

pub(super) enum Person {
    Welcome(Identity),
    /// In none of these groups.
    NotIn(Vec<String>),
}

/// `before` is whom we ask about again: a thin ID token of a refresh may leave the name out.
pub(super) fn of(
    claims: &Map<String, Value>,
    mapping: &Mapping,
    before: Option<&Identity>,
    trace: &mut Trace,
) -> Result<Person, Failure> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let lacks = |name: &str| Failure::Person(format!("the claim {name:?} is missing or no text"));
    let user_id = text(&mapping.user_id).filter(|id| !id.is_empty());
    let user_id = user_id.ok_or_else(|| lacks(&mapping.user_id))?.to_owned();
    let username = match (text(&mapping.user_name), before) {
        (Some(name), _) => name.to_owned(),
        (None, Some(before)) => before.username.clone(),
        (None, None) => return Err(lacks(&mapping.user_name)),
    };
    let preferred = mapping.pick(text("preferred_username"), &mapping.preferred_username, text);
    let email = mapping.pick(text("email"), &mapping.email, text);
    let (email, email_verified) = checked_email(claims, mapping, email)?;
    let mut identity = Identity {
        user_id,
        username,
        preferred_username: preferred.unwrap_or_default().to_owned(),
        email,
        email_verified,
        groups: Vec::new(),
    };
    if mapping.groups_enabled {
        let key = mapping.groups_key(claims);
        let found = groups::read(claims, key)?;
        trace.answered(format!("{} groups in the claim {key:?}", found.len()));
        match mapping.rules.kept(found, trace) {
            Some(kept) => identity.groups = kept,
            None => return Ok(Person::NotIn(mapping.rules.allowed.clone())),
        }
    } else if claims.contains_key("groups") {
        trace.dropped("groups", "insecureEnableGroups is not set");
    }
    identity.groups.extend(mapping.rules.made(claims, trace));
    Ok(Person::Welcome(identity))
}

/// The address, and whether the provider says in plain JSON that it is the person's. The text `"true"` says
/// nothing: whoever may write one claim as text may write any (CVE-2022-31107).
fn checked_email(
    claims: &Map<String, Value>,
    mapping: &Mapping,
    email: Option<&str>,
) -> Result<(String, bool), Failure> {
    let verified = claims.get("email_verified").and_then(Value::as_bool);
    match (email, verified) {
        (None, _) if mapping.email_scope => {
            Err(Failure::Person("the e-mail address is missing".to_owned()))
        }
        (_, None) if mapping.skip_email_verified => {
            Ok((email.unwrap_or_default().to_owned(), true))
        }
        (_, None) if mapping.email_scope => {
            let why = "the claim \"email_verified\" is missing or neither true nor false (insecureSkipEmailVerified accepts that)";
            Err(Failure::Person(why.to_owned()))
        }
        (email, verified) => Ok((email.unwrap_or_default().to_owned(), verified.unwrap_or(false))),
    }
}
