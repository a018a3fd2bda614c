//! The groups of a person, and the groups of those groups. Loops end, because no group is asked
//! about twice; numbers and depth are bounded, and going over a bound is an error, never a shorter list.

use std::collections::HashSet;

use countersign_core::Trace;

use super::config::{GroupSearch, Matcher, is_dn};
use super::entry::{Entry, Scalar, folded};
use super::failure::Failure;
use super::filter;
use super::pool::Lease;
use super::search::{Ask, Most};

const MAX_GROUPS: usize = 10_000;
const MAX_DEPTH: usize = 32;
/// So many values go into one filter.
const BATCH: usize = 50;

/// Names in the order in which the directory gives their groups, each once.
pub(super) async fn of(
    lease: &mut Lease<'_>,
    search: &GroupSearch,
    person: &Entry,
    trace: &mut Trace,
) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let mut told = HashSet::new();
    for matcher in &search.matchers {
        let mut level = values(person, &matcher.user)?;
        if level.is_empty() {
            trace.noted(format!(
                "the person has no {}, so this matcher finds nothing",
                matcher.user
            ));
        }
        let mut attribute = matcher.group.as_str();
        let mut seen = HashSet::new();
        let mut depth = 0;
        while !level.is_empty() {
            if depth > MAX_DEPTH {
                let cause = format!("groups are nested deeper than {MAX_DEPTH} levels");
                return Err(Failure::Answer(cause));
            }
            let found = find(lease, search, (matcher, attribute), &level, trace).await?;
            level = Vec::new();
            for group in found {
                if !seen.insert(folded(&group.dn)) {
                    trace.dropped(&group.dn, "already known");
                    continue;
                }
                if seen.len() > MAX_GROUPS {
                    let cause = format!("the person is in more than {MAX_GROUPS} groups");
                    return Err(Failure::Answer(cause));
                }
                let name = name(&group, search)?;
                if told.insert(name.to_owned()) {
                    let why = if depth == 0 {
                        "direct".to_owned()
                    } else {
                        format!("nested {depth} deep")
                    };
                    trace.kept(&format!("group {name:?}"), &format!("{why}, from {}", group.dn));
                    names.push(name.to_owned());
                } else {
                    trace.dropped(&group.dn, &format!("its name {name:?} is already in the list"));
                }
                if matcher.recursion.is_some() {
                    level.extend(values(&group, &matcher.user)?);
                }
            }
            let Some(recursion) = &matcher.recursion else { break };
            attribute = recursion;
            depth += 1;
        }
    }
    Ok(names)
}

/// Every group in which `attribute` has one of the values.
async fn find(
    lease: &mut Lease<'_>,
    search: &GroupSearch,
    (matcher, attribute): (&Matcher, &str),
    values: &[Vec<u8>],
    trace: &mut Trace,
) -> Result<Vec<Entry>, Failure> {
    let mut found = Vec::new();
    for batch in values.chunks(BATCH) {
        let mut attributes = vec![search.name.as_str()];
        if matcher.recursion.is_some() {
            attributes.push(&matcher.user);
        }
        attributes.retain(|name| !is_dn(name));
        if attributes.is_empty() {
            // "No attributes" (RFC 4511 section 4.5.1.8); an empty list would ask for all.
            attributes.push("1.1");
        }
        let pairs = batch.iter().map(|value| (attribute, value.as_slice()));
        let ask = Ask {
            base: &search.base,
            scope: search.scope,
            filter: filter::any_of(&search.filter, pairs),
            attributes,
            most: Most::All(MAX_GROUPS),
        };
        trace.asked(ask.describe());
        let groups = lease.search(&ask, trace).await?;
        trace.answered(format!("{} groups", groups.len()));
        found.extend(groups);
    }
    Ok(found)
}

fn values(entry: &Entry, attribute: &str) -> Result<Vec<Vec<u8>>, Failure> {
    if entry.is_partial(attribute) {
        let cause = format!("the server gives only a part of {attribute} of {}", entry.dn);
        return Err(Failure::Answer(cause));
    }
    Ok(entry.values(attribute).into_iter().filter(|v| !v.is_empty()).map(<[u8]>::to_vec).collect())
}

/// A group without its name is a mistake in the configuration, and an error as it is in Dex: without
/// it people would silently lack a group.
fn name<'g>(group: &'g Entry, search: &GroupSearch) -> Result<&'g str, Failure> {
    match group.scalar(&search.name) {
        Scalar::Text(name) => Ok(name),
        Scalar::Missing => {
            Err(Failure::Answer(format!("group {} lacks {}", group.dn, search.name)))
        }
        Scalar::Binary => {
            Err(Failure::Answer(format!("{} of group {} is not text", search.name, group.dn)))
        }
    }
}
