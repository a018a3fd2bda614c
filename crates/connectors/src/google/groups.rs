//! The groups of a Google user: their e-mail addresses, in the order of Dex.

use std::collections::{BTreeMap, HashSet};

use countersign_core::{Timestamp, Trace};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::config::{ANY_DOMAIN, Apis, Source};
use super::tokens::{AccessTokens, CLOUD_IDENTITY, DIRECTORY, TokenSource};
use crate::oauth::{ApiRequest, ApiResponse, Http, UpstreamError, below, null_as_default};

const DIRECTORY_API: &str = "Admin Directory API";
const CLOUD_API: &str = "Cloud Identity API";
/// More groups are an error, because a token could not hold them.
const MAX_GROUPS: usize = 10_000;
/// API calls per login; each transitive group costs at least one.
const MAX_CALLS: usize = 500;
const LABEL: &str = "'cloudidentity.googleapis.com/groups.discussion_forum' in labels";

/// Reads groups from the configured API.
pub(super) struct Groups {
    reader: Reader,
    transitive: bool,
    apis: Apis,
}

enum Reader {
    Directory { tokens: AccessTokens, admins: BTreeMap<String, String> },
    CloudIdentity { tokens: AccessTokens },
}

#[derive(Deserialize)]
struct DirectoryPage {
    #[serde(default, deserialize_with = "null_as_default")]
    groups: Vec<DirectoryGroup>,
    #[serde(rename = "nextPageToken")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct DirectoryGroup {
    email: String,
}

#[derive(Deserialize)]
struct CloudPage {
    #[serde(default, deserialize_with = "null_as_default")]
    memberships: Vec<Membership>,
    #[serde(rename = "nextPageToken")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Membership {
    #[serde(rename = "groupKey")]
    group: GroupKey,
}

#[derive(Deserialize)]
struct GroupKey {
    id: String,
}

/// The calls and groups that remain for one login.
struct Budget {
    calls: usize,
    seen: HashSet<String>,
}

impl Groups {
    pub fn new(source: Source, transitive: bool, apis: Apis) -> Self {
        let reader = match source {
            Source::Directory { credentials, admins } => {
                let subjects: HashSet<String> = admins.values().cloned().collect();
                let tokens = AccessTokens::new(credentials, DIRECTORY, subjects);
                Reader::Directory { tokens, admins }
            }
            Source::CloudIdentity { credentials } => {
                let tokens = AccessTokens::new(credentials, CLOUD_IDENTITY, [String::new()]);
                Reader::CloudIdentity { tokens }
            }
        };
        Self { reader, transitive, apis }
    }

    /// The groups of `email`, for which Google must be authoritative.
    pub async fn of(
        &self,
        email: &str,
        http: &Http,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let way = TokenSource { http, apis: &self.apis, now };
        let mut budget = Budget { calls: MAX_CALLS, seen: HashSet::new() };
        let groups = match &self.reader {
            Reader::CloudIdentity { tokens } => {
                self.of_cloud(email, tokens, &way, &mut budget, trace).await?
            }
            Reader::Directory { tokens, admins } => {
                let directory = Directory { tokens, admins, way };
                directory.walk(email, self.transitive, &mut budget, trace).await?
            }
        };
        for group in &groups {
            trace.included(group, "a membership");
        }
        Ok(groups)
    }

    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    async fn of_cloud(
        &self,
        email: &str,
        tokens: &AccessTokens,
        way: &TokenSource<'_>,
        budget: &mut Budget,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        // The query is a CEL expression that contains the address as a string literal.
        if email.chars().any(|c| matches!(c, '"' | '\\') || c.is_control()) {
            return Err(UpstreamError::Person(
                "the e-mail address has characters of no address".into(),
            ));
        }
        let verb = if self.transitive { "searchTransitiveGroups" } else { "searchDirectGroups" };
        let base = below(&self.apis.cloud_identity, &format!("v1/groups/-/memberships:{verb}"));
        let quote = if email.contains('\'') { '"' } else { '\'' };
        let query = format!("member_key_id == {quote}{email}{quote} && {LABEL}");
        let token = tokens.get("", way, trace).await?;
        let mut groups = Vec::new();
        let mut next: Option<String> = None;
        loop {
            budget.spend(CLOUD_API)?;
            let mut url = base.clone();
            url.query_pairs_mut().append_pair("query", &query).append_pair("pageSize", "200");
            add_page(&mut url, next.as_deref());
            trace.note(format!("{verb} for {email}"));
            let response =
                way.http.send(ApiRequest::get(CLOUD_API, &url).bearer(&token), trace).await?;
            let page: CloudPage = read_page(response)?;
            for Membership { group } in page.memberships {
                if budget.is_new(&group.id, CLOUD_API)? {
                    groups.push(group.id);
                }
            }
            next = page.next.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(groups);
            }
        }
    }
}

struct Directory<'a> {
    tokens: &'a AccessTokens,
    admins: &'a BTreeMap<String, String>,
    way: TokenSource<'a>,
}

impl Directory<'_> {
    /// The groups of an address, each followed by its own groups if configured, in Dex's order.
    async fn walk(
        &self,
        email: &str,
        transitive: bool,
        budget: &mut Budget,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let mut found = Vec::new();
        // A stack: the next group is the last element.
        let mut waiting = self.groups_of(email, budget, trace).await?;
        waiting.reverse();
        while let Some(group) = waiting.pop() {
            if !budget.is_new(&group, DIRECTORY_API)? {
                continue;
            }
            if transitive {
                let mut inner = self.groups_of(&group, budget, trace).await?;
                inner.reverse();
                waiting.extend(inner);
            }
            found.push(group);
        }
        Ok(found)
    }

    /// All pages. An address unknown to the directory, such as an external member, has no groups.
    async fn groups_of(
        &self,
        email: &str,
        budget: &mut Budget,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let token = self.tokens.get(self.admin_for(email)?, &self.way, trace).await?;
        let base = below(&self.way.apis.directory, "admin/directory/v1/groups");
        let mut groups = Vec::new();
        let mut next: Option<String> = None;
        loop {
            budget.spend(DIRECTORY_API)?;
            let mut url = base.clone();
            url.query_pairs_mut().append_pair("userKey", email).append_pair("maxResults", "200");
            add_page(&mut url, next.as_deref());
            trace.note(format!("groups of {email}"));
            let request = ApiRequest::get(DIRECTORY_API, &url).bearer(&token);
            let response = self.way.http.send(request, trace).await?;
            if response.status() == 404 {
                trace.excluded(email, "the directory does not know this address");
                return Ok(groups);
            }
            let page: DirectoryPage = read_page(response)?;
            groups.extend(page.groups.into_iter().map(|group| group.email));
            next = page.next.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(groups);
            }
        }
    }

    fn admin_for(&self, email: &str) -> Result<&str, UpstreamError> {
        let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        let own = domain.as_ref().and_then(|domain| self.admins.get(domain));
        own.or_else(|| self.admins.get(ANY_DOMAIN)).map(String::as_str).ok_or_else(|| {
            let domain = domain.unwrap_or_default();
            UpstreamError::Configuration(format!(
                "domainToAdminEmail has no administrator for {domain} and no \"*\""
            ))
        })
    }
}

impl Budget {
    fn spend(&mut self, endpoint: &'static str) -> Result<(), UpstreamError> {
        let too_many =
            UpstreamError::NotSent { endpoint, reason: "too many requests for one login" };
        self.calls = self.calls.checked_sub(1).ok_or(too_many)?;
        Ok(())
    }

    fn is_new(&mut self, group: &str, endpoint: &'static str) -> Result<bool, UpstreamError> {
        let is_new = self.seen.insert(group.to_owned());
        if self.seen.len() > MAX_GROUPS {
            let reason = format!("the {endpoint} names over {MAX_GROUPS} groups");
            return Err(UpstreamError::Person(reason));
        }
        Ok(is_new)
    }
}

fn add_page(url: &mut Url, token: Option<&str>) {
    if let Some(token) = token {
        url.query_pairs_mut().append_pair("pageToken", token);
    }
}

/// The page of a response. 403 means that the service account lacks permission, not that the user is unknown, or that a
/// quota is exhausted, which passes by itself.
fn read_page<T: DeserializeOwned>(response: ApiResponse) -> Result<T, UpstreamError> {
    let endpoint = response.endpoint();
    if response.status() == 403 && is_over_quota(&response) {
        let cause = format!("the {endpoint} answered 403: its quota is exhausted");
        return Err(UpstreamError::Temporary(cause));
    }
    let response = response.success().map_err(|failure| match failure.status() {
        Some(403) => UpstreamError::Configuration(format!(
            "{failure}: the service account may not read groups (scope, delegation or role)"
        )),
        _ => failure,
    })?;
    response.json()
}

/// "Limits and Quotas" of Google's Directory API: reasons of 403 with which a client is to try again later.
const QUOTA: [&str; 3] = ["quotaExceeded", "rateLimitExceeded", "userRateLimitExceeded"];

fn is_over_quota(response: &ApiResponse) -> bool {
    let body = response.object().unwrap_or_default();
    let errors = body.get("error").and_then(|error| error.get("errors")?.as_array());
    let reason = |error: &Value| error.get("reason").and_then(Value::as_str).map(str::to_owned);
    errors.into_iter().flatten().filter_map(reason).any(|found| QUOTA.contains(&found.as_str()))
}
