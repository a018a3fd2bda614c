//! Maps the claims of a provider to an identity, as Dex does.

use countersign_core::{Identity, Trace};
use serde_json::{Map, Value};

use super::config::Mapping;
use super::groups;
use crate::oauth::UpstreamError;

pub(super) enum Person {
    Accepted(Identity),
    /// The user is in none of these groups.
    NotIn(Vec<String>),
    /// The provider does not report the address as verified.
    EmailNotVerified,
}

/// `before` is the identity before a refresh, whose ID token may lack the name.
pub(super) fn of(
    claims: &Map<String, Value>,
    mapping: &Mapping,
    before: Option<&Identity>,
    trace: &mut Trace,
) -> Result<Person, UpstreamError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let lacks =
        |name: &str| UpstreamError::Person(format!("the claim {name:?} is missing or no text"));
    let user_id = text(&mapping.user_id).filter(|id| !id.is_empty());
    let user_id = user_id.ok_or_else(|| lacks(&mapping.user_id))?.to_owned();
    let username = match (text(&mapping.user_name), before) {
        (Some(name), _) => name.to_owned(),
        (None, Some(before)) => before.username.clone(),
        (None, None) => return Err(lacks(&mapping.user_name)),
    };
    let preferred =
        mapping.pick(text("preferred_username"), mapping.preferred_username.as_deref(), text);
    let email = mapping.pick(text("email"), mapping.email.as_deref(), text);
    let email_verified = match vouched(claims, mapping, email.is_some())? {
        Some(verified) => verified,
        None if before.is_some() && !claims.contains_key("email_verified") => {
            let reason =
                "the claim \"email_verified\" is missing (insecureSkipEmailVerified accepts that)";
            return Err(UpstreamError::Person(reason.to_owned()));
        }
        None => {
            let reason = "email_verified is not true (insecureSkipEmailVerified accepts that)";
            trace.excluded("email", reason);
            return Ok(Person::EmailNotVerified);
        }
    };
    let mut identity = Identity {
        user_id,
        username,
        preferred_username: preferred.unwrap_or_default().to_owned(),
        email: email.unwrap_or_default().to_owned(),
        email_verified,
        groups: Vec::new(),
    };
    if mapping.groups_enabled {
        let key = mapping.groups_key(claims);
        let found = groups::read(claims, key)?;
        trace.response(format!("{} groups in the claim {key:?}", found.len()));
        match mapping.rules.kept(found, trace) {
            Some(kept) => identity.groups = kept,
            None => return Ok(Person::NotIn(mapping.rules.allowed.clone())),
        }
    } else if claims.contains_key("groups") {
        trace.excluded("groups", "insecureEnableGroups is not set");
    }
    identity.groups.extend(mapping.rules.made(claims, trace));
    Ok(Person::Accepted(identity))
}

/// Whether `email_verified` is the JSON value `true`; `None` if it is required and is not. The string `"true"` is not
/// accepted: whoever can set one claim as a string may set any (CVE-2022-31107).
///
/// Without the scope `email` it is not required.
fn vouched(
    claims: &Map<String, Value>,
    mapping: &Mapping,
    has_email: bool,
) -> Result<Option<bool>, UpstreamError> {
    if mapping.email_scope && !has_email {
        return Err(UpstreamError::Person("the e-mail address is missing".to_owned()));
    }
    let claim = claims.get("email_verified");
    Ok(match claim.and_then(Value::as_bool) {
        Some(true) => Some(true),
        // As in Dex: absent or of another type counts as true; the string "false" counts as false.
        verified if mapping.skip_email_verified => {
            Some(verified.is_none() && claim.and_then(Value::as_str) != Some("false"))
        }
        _ if mapping.email_scope => None,
        _ => Some(false),
    })
}
