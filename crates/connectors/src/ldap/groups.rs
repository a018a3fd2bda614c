//! The groups of a user, and nested groups. Each group is searched only once, so cycles end. Number and depth are
//! limited; exceeding a limit is an error and never yields a shorter list.

use std::collections::HashSet;

use countersign_core::Trace;
use ldap3::Scope;

use super::config::{GroupSearch, Matcher};
use super::entry::{Entry, Scalar, folded, is_dn};
use super::failure::DirectoryError;
use super::pool::Lease;
use super::search::{self, SearchLimit, SearchRequest};

const MAX_GROUPS: usize = 10_000;
const MAX_DEPTH: usize = 32;
/// Number of values in one filter.
const BATCH: usize = 50;
/// A diagnosis searches at most this many groups individually, to report the path to each group.
const FEW: usize = 25;
/// At most this many groups excluded by the filter are traced.
const LEFT_OUT: usize = 20;

/// Level of detail of the trace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// For a login: as few searches as possible.
    Brief,
    /// For an administrator: more searches, and through which group each was found.
    Full,
}

/// Group names in the order returned by the directory, without duplicates.
pub(super) async fn of(
    lease: &mut Lease<'_>,
    search: &GroupSearch,
    person: &Entry,
    detail: Detail,
    trace: &mut Trace,
) -> Result<Vec<String>, DirectoryError> {
    let mut found =
        Found { search, names: Vec::new(), reported: HashSet::new(), seen: HashSet::new() };
    for matcher in &search.matchers {
        // Groups found by another matcher are searched again by this one.
        found.seen.clear();
        let mut level = values(lease, person, &matcher.user, trace).await?;
        if level.is_empty() {
            trace
                .note(format!("the person has no {}, so this matcher finds nothing", matcher.user));
        }
        let mut attribute = matcher.group.as_str();
        let mut depth = 0;
        while !level.is_empty() {
            if depth > MAX_DEPTH {
                let cause = format!("groups are nested deeper than {MAX_DEPTH} levels");
                return Err(DirectoryError::Misconfigured(cause));
            }
            let singly = detail == Detail::Full && level.len() <= FEW;
            let mut next = Vec::new();
            for batch in level.chunks(if singly { 1 } else { BATCH }) {
                let groups = find(lease, search, (matcher, attribute), batch, trace).await?;
                let reason = match_reason(depth, attribute, batch);
                for group in groups {
                    if found.take(&group, &reason, trace)? && matcher.recursion.is_some() {
                        next.extend(values(lease, &group, &matcher.user, trace).await?);
                    }
                }
            }
            let Some(recursion) = &matcher.recursion else { break };
            level = next;
            attribute = recursion;
            depth += 1;
        }
    }
    Ok(found.names)
}

/// Traces groups that contain the user but do not match the configured filter.
pub(super) async fn left_out(
    lease: &mut Lease<'_>,
    search: &GroupSearch,
    person: &Entry,
    trace: &mut Trace,
) -> Result<(), DirectoryError> {
    if search.filter.is_empty() {
        return Ok(());
    }
    let others = format!("(!{})", search.filter);
    for matcher in &search.matchers {
        for batch in values(lease, person, &matcher.user, trace).await?.chunks(BATCH) {
            let pairs = batch.iter().map(|value| (matcher.group.as_str(), value.as_slice()));
            let request = SearchRequest {
                base: &search.base,
                scope: search.scope,
                filter: search::any_of(&others, pairs),
                attributes: vec![NO_ATTRIBUTES],
                limit: SearchLimit::First(LEFT_OUT),
            };
            trace.request(format!("what the filter leaves out: {}", request.describe()));
            let groups = lease.search(&request, trace).await?;
            trace.response(number_of(&groups));
            for group in groups {
                let reason = format!("not matched by groupSearch.filter {}", search.filter);
                trace.excluded(&group.dn, &reason);
            }
        }
    }
    Ok(())
}

struct Found<'s> {
    search: &'s GroupSearch,
    names: Vec<String>,
    reported: HashSet<String>,
    /// Groups that the current matcher has searched.
    seen: HashSet<String>,
}

impl Found<'_> {
    /// Adds a group; true if it is new, so that its own groups must be searched.
    fn take(
        &mut self,
        group: &Entry,
        reason: &str,
        trace: &mut Trace,
    ) -> Result<bool, DirectoryError> {
        if !self.seen.insert(folded(&group.dn)) {
            trace.excluded(&group.dn, "already known");
            return Ok(false);
        }
        if self.seen.len() > MAX_GROUPS {
            let cause = format!("the person is in more than {MAX_GROUPS} groups");
            return Err(DirectoryError::Misconfigured(cause));
        }
        let name = name(group, self.search)?;
        if self.reported.insert(name.clone()) {
            trace.included(&format!("group {name:?}"), &format!("{reason}, from {}", group.dn));
            self.names.push(name);
        } else {
            trace.excluded(&group.dn, &format!("its name {name:?} is already in the list"));
        }
        Ok(true)
    }
}

fn number_of(groups: &[Entry]) -> String {
    if groups.len() == 1 { "1 group".to_owned() } else { format!("{} groups", groups.len()) }
}

fn match_reason(depth: usize, attribute: &str, batch: &[Vec<u8>]) -> String {
    match (depth, batch) {
        (0, _) => "direct".to_owned(),
        (_, [one]) => {
            format!("nested {depth} deep, {attribute} is {}", String::from_utf8_lossy(one))
        }
        _ => format!("nested {depth} deep"),
    }
}

/// All groups in which `attribute` has one of the values.
async fn find(
    lease: &mut Lease<'_>,
    search: &GroupSearch,
    (matcher, attribute): (&Matcher, &str),
    values: &[Vec<u8>],
    trace: &mut Trace,
) -> Result<Vec<Entry>, DirectoryError> {
    let mut attributes = vec![search.name.as_str()];
    if matcher.recursion.is_some() {
        attributes.push(&matcher.user);
    }
    attributes.retain(|name| !is_dn(name));
    if attributes.is_empty() {
        attributes.push(NO_ATTRIBUTES);
    }
    let pairs = values.iter().map(|value| (attribute, value.as_slice()));
    let request = SearchRequest {
        base: &search.base,
        scope: search.scope,
        filter: search::any_of(&search.filter, pairs),
        attributes,
        limit: SearchLimit::All(MAX_GROUPS),
    };
    trace.request(request.describe());
    let groups = lease.search(&request, trace).await?;
    trace.response(number_of(&groups));
    Ok(groups)
}

/// RFC 4511 section 4.5.1.8; an empty list would request all attributes.
const NO_ATTRIBUTES: &str = "1.1";

/// The non-empty values of an attribute. If the server returned a range, the rest is requested.
async fn values(
    lease: &mut Lease<'_>,
    entry: &Entry,
    attribute: &str,
    trace: &mut Trace,
) -> Result<Vec<Vec<u8>>, DirectoryError> {
    let owned = |values: Vec<&[u8]>| -> Vec<Vec<u8>> {
        values.into_iter().filter(|v| !v.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let Some(range) = entry.range(attribute) else { return Ok(owned(entry.values(attribute))) };
    let (mut values, mut last) = (owned(range.values), range.last);
    while let Some(end) = last {
        let first = end.saturating_add(1);
        let description = format!("{attribute};range={first}-*");
        let request = SearchRequest {
            base: &entry.dn,
            scope: Scope::Base,
            filter: "(objectClass=*)".to_owned(),
            attributes: vec![&description],
            limit: SearchLimit::First(1),
        };
        trace.request(format!("{description} of {}", entry.dn));
        let found = lease.search(&request, trace).await?;
        // Each range must continue the previous one, so that the loop ends.
        let next = found.first().and_then(|entry| entry.range(attribute));
        let next = next.filter(|next| next.first == first && !next.values.is_empty());
        let Some(next) = next else {
            let cause = format!("the server returns only a part of {attribute} of {}", entry.dn);
            return Err(DirectoryError::Misconfigured(cause));
        };
        trace.response(format!("{} values", next.values.len()));
        values.extend(owned(next.values));
        last = next.last;
        if values.len() > MAX_GROUPS {
            let cause = format!("{attribute} of {} has more than {MAX_GROUPS} values", entry.dn);
            return Err(DirectoryError::Misconfigured(cause));
        }
    }
    Ok(values)
}

/// The name of a group. A missing name is an error, as in Dex: otherwise users would silently lack the group.
fn name(group: &Entry, search: &GroupSearch) -> Result<String, DirectoryError> {
    match group.scalar(&search.name) {
        Scalar::Text(name) => Ok(name.into_owned()),
        Scalar::Missing => Err(DirectoryError::Incomplete {
            missing: format!("A group of yours has no attribute `{}`.", search.name),
            cause: format!("group {} lacks {}", group.dn, search.name),
        }),
        Scalar::Binary => Err(DirectoryError::Incomplete {
            missing: format!("The attribute `{}` of a group of yours is not text.", search.name),
            cause: format!("{} of group {} is not text", search.name, group.dn),
        }),
    }
}
