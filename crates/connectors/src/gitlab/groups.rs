//! The groups of a GitLab user: full paths, and if configured each with the user's role.

use countersign_core::{Secret, Trace};
use serde::Deserialize;
use url::Url;

use crate::oauth::{ApiRequest, Http, UpstreamError, below, null_as_default};

const USERINFO: &str = "userinfo endpoint";
const GROUPS: &str = "groups API";
const MEMBERS: &str = "members API";
const PER_PAGE: usize = 100;
const MAX_PAGES: usize = 100;
/// Roles that userinfo does not contain are requested individually, at most this many.
const MAX_ROLE_REQUESTS: usize = 500;

/// The API, with the access token of one user.
pub(super) struct GroupsApi<'a> {
    pub http: &'a Http,
    pub base: &'a Url,
    pub token: &'a Secret,
    pub user_id: i64,
}

#[derive(Deserialize)]
struct UserInfo {
    #[serde(default, deserialize_with = "null_as_default")]
    groups: Vec<String>,
    #[serde(
        default,
        deserialize_with = "null_as_default",
        rename = "https://gitlab.org/claims/groups/owner"
    )]
    owner: Vec<String>,
    #[serde(
        default,
        deserialize_with = "null_as_default",
        rename = "https://gitlab.org/claims/groups/maintainer"
    )]
    maintainer: Vec<String>,
    #[serde(
        default,
        deserialize_with = "null_as_default",
        rename = "https://gitlab.org/claims/groups/developer"
    )]
    developer: Vec<String>,
}

#[derive(Deserialize)]
struct Group {
    id: i64,
    #[serde(default, deserialize_with = "null_as_default")]
    full_path: String,
    #[serde(default, deserialize_with = "null_as_default")]
    path: String,
}

#[derive(Deserialize)]
struct Member {
    access_level: i64,
}

impl GroupsApi<'_> {
    /// The groups in which the user is a direct member.
    pub async fn direct(
        &self,
        roles: bool,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let info = self.user_info(trace).await?;
        let mut groups = info.groups.clone();
        if roles {
            groups.extend(info.groups.iter().filter_map(|path| info.with_role(path)));
        }
        Ok(groups)
    }

    /// Groups with direct membership and their subgroups.
    pub async fn inherited(
        &self,
        roles: bool,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let records = self.records(trace).await?;
        let paths = || records.iter().map(|(_, path)| path);
        let mut groups: Vec<String> = paths().cloned().collect();
        if !roles {
            return Ok(groups);
        }
        let info = self.user_info(trace).await?;
        groups.extend(paths().filter_map(|path| info.with_role(path)));
        let mut requests = 0;
        for (id, path) in &records {
            if info.role(path).is_some() {
                continue;
            }
            requests += 1;
            if requests > MAX_ROLE_REQUESTS {
                let reason = "too many requests for one login";
                return Err(UpstreamError::NotSent { endpoint: MEMBERS, reason });
            }
            if let Some(role) = self.effective_role(*id, path, trace).await? {
                groups.push(format!("{path}:{role}"));
            }
        }
        Ok(groups)
    }

    async fn user_info(&self, trace: &mut Trace) -> Result<UserInfo, UpstreamError> {
        let url = below(self.base, "oauth/userinfo");
        let request = ApiRequest::get(USERINFO, &url).bearer(self.token);
        self.http.send(request, trace).await?.success()?.json()
    }

    async fn records(&self, trace: &mut Trace) -> Result<Vec<(i64, String)>, UpstreamError> {
        let mut records = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut url = below(self.base, "api/v4/groups");
            url.query_pairs_mut()
                .append_pair("all_available", "false")
                .append_pair("per_page", &PER_PAGE.to_string())
                .append_pair("page", &page.to_string());
            let request = ApiRequest::get(GROUPS, &url).bearer(self.token);
            let groups: Vec<Group> = self.http.send(request, trace).await?.success()?.json()?;
            let last = groups.len() < PER_PAGE;
            records.extend(groups.into_iter().filter_map(Group::named));
            if last {
                return Ok(records);
            }
        }
        let reason = "too many requests for one login";
        Err(UpstreamError::NotSent { endpoint: GROUPS, reason })
    }

    /// The user's role in a group; `None` if GitLab does not return it or it is not a standard role.
    async fn effective_role(
        &self,
        group: i64,
        path: &str,
        trace: &mut Trace,
    ) -> Result<Option<&'static str>, UpstreamError> {
        let user = self.user_id;
        let url = below(self.base, &format!("api/v4/groups/{group}/members/all/{user}"));
        let response =
            self.http.send(ApiRequest::get(MEMBERS, &url).bearer(self.token), trace).await?;
        if matches!(response.status(), 403 | 404) {
            trace.note(format!("{path}: the role is not returned ({})", response.status()));
            return Ok(None);
        }
        let member: Member = response.success()?.json()?;
        Ok(role_name(member.access_level))
    }
}

impl Group {
    fn named(self) -> Option<(i64, String)> {
        let path = if self.full_path.is_empty() { self.path } else { self.full_path };
        (!path.is_empty()).then_some((self.id, path))
    }
}

impl UserInfo {
    fn role(&self, path: &str) -> Option<&'static str> {
        [("owner", &self.owner), ("maintainer", &self.maintainer), ("developer", &self.developer)]
            .into_iter()
            .find(|(_, paths)| paths.iter().any(|above| is_or_is_below(path, above)))
            .map(|(role, _)| role)
    }

    fn with_role(&self, path: &str) -> Option<String> {
        self.role(path).map(|role| format!("{path}:{role}"))
    }
}

/// A role in a group also applies to its subgroups.
fn is_or_is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn role_name(access_level: i64) -> Option<&'static str> {
    Some(match access_level {
        5 => "minimal_access",
        10 => "guest",
        15 => "planner",
        20 => "reporter",
        25 => "security_manager",
        30 => "developer",
        40 => "maintainer",
        50 => "owner",
        60 => "admin",
        _ => return None,
    })
}
