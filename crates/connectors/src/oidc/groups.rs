//! Maps a claim of the provider to groups, in Dex's order: filter, allowed groups, prefix and suffix, new groups from
//! other claims.

use countersign_core::Trace;
use regex::Regex;
use serde_json::{Map, Value};

use crate::oauth::UpstreamError;

/// Limit of groups; a token could not hold more.
const MAX_GROUPS: usize = 10_000;

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

/// A string, a list of strings, or a list of objects with a `name`. `null` and absent mean no groups; anything else is
/// an error, because a wrongly parsed group may grant permissions.
pub(super) fn read(claims: &Map<String, Value>, key: &str) -> Result<Vec<String>, UpstreamError> {
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
    pub fn kept(&self, groups: Vec<String>, trace: &mut Trace) -> Option<Vec<String>> {
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
    pub fn made(&self, claims: &Map<String, Value>, trace: &mut Trace) -> Vec<String> {
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
