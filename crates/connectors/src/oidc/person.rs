//! Maps the claims of a provider to an identity, as Dex does: its fields, and its groups in Dex's order: filter, allowed
//! groups, prefix and suffix, new groups from other claims.

use countersign_core::{Identity, Trace};
use regex::Regex;
use serde_json::{Map, Value};

use crate::oauth::UpstreamError;

/// Limit of groups; a token could not hold more.
const MAX_GROUPS: usize = 10_000;

pub(super) enum Person {
    Accepted(Identity),
    /// The user is in none of these groups.
    NotIn(Vec<String>),
    /// The provider does not report the address as verified.
    EmailNotVerified,
}

/// Which claim is used for which field.
#[derive(Debug)]
pub(super) struct Mapping {
    pub user_id: String,
    pub user_name: String,
    pub preferred_username: Option<String>,
    pub email: Option<String>,
    pub groups: Option<String>,
    /// `claimMapping` takes precedence over the standard claims instead of only replacing absent ones.
    pub overrides: bool,
    pub email_scope: bool,
    pub skip_email_verified: bool,
    pub groups_enabled: bool,
    pub rules: Rules,
}

impl Mapping {
    /// The standard claim, or the mapped one if the standard claim is absent or overridden.
    fn pick<'a>(
        &self,
        usual: Option<&'a str>,
        mapped: Option<&str>,
        text: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<&'a str> {
        match mapped {
            Some(name) if usual.is_none() || self.overrides => text(name),
            _ => usual,
        }
    }

    fn groups_key(&self, claims: &Map<String, Value>) -> &str {
        let usual = claims.get("groups").is_some_and(|groups| !groups.is_null());
        match &self.groups {
            Some(name) if !usual || self.overrides => name,
            _ => "groups",
        }
    }
}

/// `claimModifications` and `allowedGroups`.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub filter: Option<Regex>,
    /// If not empty, membership in at least one is required, and only these are returned.
    pub allowed: Vec<String>,
    pub prefix: String,
    pub suffix: String,
    pub new: Vec<NewGroup>,
}

/// A group composed of several claims.
#[derive(Debug)]
pub(super) struct NewGroup {
    pub claims: Vec<String>,
    pub delimiter: String,
    pub clear_delimiter: bool,
    pub prefix: String,
}

/// `before` is the identity before a refresh, whose ID token may lack the name. `user_id` is that of the identity before,
/// if the caller has checked that the `sub` is the same (OpenID Connect Core 1.0 section 12.2): then the claims may lack it
/// too.
pub(super) fn of(
    claims: &Map<String, Value>,
    mapping: &Mapping,
    before: Option<&Identity>,
    user_id: Option<&str>,
    trace: &mut Trace,
) -> Result<Person, UpstreamError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let lacks =
        |name: &str| UpstreamError::Person(format!("the claim {name:?} is missing or no text"));
    let user_id = text(&mapping.user_id).filter(|id| !id.is_empty()).or(user_id);
    let user_id = user_id.ok_or_else(|| lacks(&mapping.user_id))?.to_owned();
    let username = match (text(&mapping.user_name), before) {
        (Some(name), _) => name.to_owned(),
        (None, Some(before)) => before.username.clone(),
        (None, None) => return Err(lacks(&mapping.user_name)),
    };
    let preferred =
        mapping.pick(text("preferred_username"), mapping.preferred_username.as_deref(), text);
    let email = mapping.pick(text("email"), mapping.email.as_deref(), text);
    let email_verified = match read_email_verified(claims, mapping, email.is_some())? {
        Some(verified) => verified,
        None if before.is_some() && claims.get("email_verified").is_none_or(Value::is_null) => {
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
        let found = read_groups(claims, key)?;
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
fn read_email_verified(
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

/// A string, a list of strings, or a list of objects with a `name`. `null` and absent mean no groups; anything else is
/// an error, because a wrongly parsed group may grant permissions.
fn read_groups(claims: &Map<String, Value>, key: &str) -> Result<Vec<String>, UpstreamError> {
    let odd = || UpstreamError::Person(format!("the claim {key:?} is not a list of groups"));
    let list = match claims.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(one)) => return Ok(vec![one.clone()]),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(odd()),
    };
    if list.len() > MAX_GROUPS {
        return Err(UpstreamError::Person(format!(
            "the claim {key:?} has over {MAX_GROUPS} groups"
        )));
    }
    let name = |entry: &Value| match entry {
        Value::String(name) => Some(name.clone()),
        Value::Object(object) => object.get("name")?.as_str().map(str::to_owned),
        _ => None,
    };
    list.iter().map(|entry| name(entry).ok_or_else(odd)).collect()
}

impl Rules {
    /// The groups to return; `None`: the user is in none of the allowed groups.
    fn kept(&self, groups: Vec<String>, trace: &mut Trace) -> Option<Vec<String>> {
        let mut kept = Vec::with_capacity(groups.len());
        for group in groups {
            if self.filter.as_ref().is_some_and(|filter| !filter.is_match(&group)) {
                trace.excluded(&group, "does not match groupsFilter");
            } else if !self.allowed.is_empty() && !self.allowed.contains(&group) {
                trace.excluded(&group, "is not among allowedGroups");
            } else {
                kept.push(group);
            }
        }
        if kept.is_empty() && !self.allowed.is_empty() {
            return None;
        }
        for group in &mut kept {
            let named = format!("{}{group}{}", self.prefix, self.suffix);
            trace.included(&named, "from the groups claim");
            *group = named;
        }
        Some(kept)
    }

    /// Groups composed of claims that are strings; other claims are skipped, as in Dex.
    fn made(&self, claims: &Map<String, Value>, trace: &mut Trace) -> Vec<String> {
        let mut made = Vec::new();
        for new in &self.new {
            let mut segments = vec![new.prefix.clone()];
            for name in &new.claims {
                let Some(value) = claims.get(name).and_then(Value::as_str) else { continue };
                segments.push(match new.clear_delimiter && !new.delimiter.is_empty() {
                    true => value.replace(&new.delimiter, ""),
                    false => value.to_owned(),
                });
            }
            if segments.len() > 1 {
                let group = segments.join(&new.delimiter);
                trace.included(&group, "made of other claims");
                made.push(group);
            } else {
                trace.excluded(&new.prefix, "none of its claims is there");
            }
        }
        made
    }
}
