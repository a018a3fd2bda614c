//! Groups from organizations and teams, in Dex's notation.
//!
//! A team is returned as `org:team`, so that teams of the same name in two organizations are different groups. Only
//! Dex's deprecated key `org` returns team names alone, of that one organization.

use countersign_core::{LoginScopes, Trace};
use serde::Deserialize;

use super::api::{Api, ApiError};
use crate::oauth::null_as_default;

const MEMBERS: &str = "members API";
const TEAMS: &str = "teams API";
const ORGS: &str = "organizations API";

pub(super) struct Rules {
    pub reach: Reach,
    pub names: TeamNames,
}

/// Which teams are returned.
pub(super) enum Reach {
    /// Teams of these organizations; membership in at least one is required.
    Orgs(Vec<Org>),
    /// Team names of this organization without its name; membership is not required.
    Legacy(String),
    /// All organizations and their teams.
    All,
    Nobodys,
}

pub(super) struct Org {
    /// The prefix of its groups, as written in the configuration.
    pub name: String,
    /// If not empty, membership in at least one is required, and only these are returned.
    pub teams: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TeamNames {
    Name,
    Slug,
    Both,
}

pub(super) enum Membership {
    Groups(Vec<String>),
    /// The user is in none of these.
    NotIn(Vec<String>),
}

#[derive(Deserialize)]
struct Team {
    #[serde(default, deserialize_with = "null_as_default")]
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    slug: String,
    /// Absent for teams of an enterprise.
    #[serde(default)]
    organization: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    login: String,
}

impl Rules {
    /// Whether groups are requested from GitHub.
    pub fn reads(&self, login_scopes: LoginScopes) -> bool {
        match self.reach {
            Reach::Orgs(_) | Reach::Legacy(_) => true,
            Reach::All => login_scopes.groups,
            Reach::Nobodys => false,
        }
    }

    pub async fn apply(
        &self,
        api: &Api<'_>,
        login: &str,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<Membership, ApiError> {
        let groups = match &self.reach {
            Reach::Orgs(orgs) => return self.of_orgs(orgs, api, login, trace).await,
            Reach::Legacy(org) => {
                let teams = teams(api, trace).await?;
                let mut groups = Groups::default();
                for name in self.named(&teams, org) {
                    groups.keep(name.to_owned(), "a team", trace);
                }
                groups
            }
            Reach::All if login_scopes.groups => self.of_all(api, trace).await?,
            Reach::All => Groups::default(),
            Reach::Nobodys => {
                if login_scopes.groups {
                    trace.note("no groups: neither orgs nor loadAllGroups is configured");
                }
                Groups::default()
            }
        };
        Ok(Membership::Groups(groups.0))
    }

    async fn of_orgs(
        &self,
        orgs: &[Org],
        api: &Api<'_>,
        login: &str,
        trace: &mut Trace,
    ) -> Result<Membership, ApiError> {
        let mut members = Vec::new();
        for org in orgs {
            if is_member(api, &org.name, login, trace).await? {
                members.push(org);
            }
        }
        let mut groups = Groups::default();
        let mut is_member_of_org = false;
        if !members.is_empty() {
            let teams = teams(api, trace).await?;
            trace_others(&teams, orgs, trace);
            for org in members {
                is_member_of_org |= org.teams.is_empty();
                for team in self.named(&teams, &org.name) {
                    let group = format!("{}:{team}", org.name);
                    if org.teams.is_empty() || org.teams.iter().any(|wanted| wanted == team) {
                        groups.keep(group, "a team", trace);
                    } else {
                        trace.excluded(&group, "is not among the configured teams");
                    }
                }
            }
        }
        if is_member_of_org || !groups.0.is_empty() {
            return Ok(Membership::Groups(groups.0));
        }
        Ok(Membership::NotIn(orgs.iter().flat_map(Org::required).collect()))
    }

    async fn of_all(&self, api: &Api<'_>, trace: &mut Trace) -> Result<Groups, ApiError> {
        let orgs: Vec<Account> = api.list(ORGS, "/user/orgs", trace).await?;
        let teams = teams(api, trace).await?;
        let mut groups = Groups::default();
        for org in orgs {
            groups.keep(org.login.clone(), "an organization", trace);
            for team in self.named(&teams, &org.login) {
                groups.keep(format!("{}:{team}", org.login), "a team", trace);
            }
        }
        Ok(groups)
    }

    /// The teams of one organization, in the configured notation.
    fn named<'t>(&self, teams: &'t [Team], org: &str) -> impl Iterator<Item = &'t str> {
        let names = self.names;
        let org = org.to_owned();
        teams
            .iter()
            .filter(move |team| team.is_of(&org))
            .flat_map(move |team| match names {
                TeamNames::Name => [Some(team.name.as_str()), None],
                TeamNames::Slug => [Some(team.slug.as_str()), None],
                TeamNames::Both => [Some(team.name.as_str()), Some(team.slug.as_str())],
            })
            .flatten()
            .filter(|name| !name.is_empty())
    }
}

impl Org {
    fn required(&self) -> Vec<String> {
        match self.teams.is_empty() {
            true => vec![self.name.clone()],
            false => self.teams.iter().map(|team| format!("{}:{team}", self.name)).collect(),
        }
    }
}

impl Team {
    /// GitHub compares organization names case-insensitively.
    fn is_of(&self, org: &str) -> bool {
        self.organization.as_ref().is_some_and(|own| own.login.eq_ignore_ascii_case(org))
    }
}

/// Groups in GitHub's order without duplicates: with `both`, a team whose name equals its slug is one group.
#[derive(Default)]
struct Groups(Vec<String>);

impl Groups {
    fn keep(&mut self, group: String, reason: &str, trace: &mut Trace) {
        if !self.0.contains(&group) {
            trace.included(&group, reason);
            self.0.push(group);
        }
    }
}

async fn teams(api: &Api<'_>, trace: &mut Trace) -> Result<Vec<Team>, ApiError> {
    api.list(TEAMS, "/user/teams", trace).await
}

fn trace_others(teams: &[Team], orgs: &[Org], trace: &mut Trace) {
    for team in teams {
        if orgs.iter().any(|org| team.is_of(&org.name)) {
            continue;
        }
        let of = team.organization.as_ref().map_or("(none)", |own| own.login.as_str());
        trace.excluded(
            &format!("{of}:{}", team.slug),
            "its organization is not configured, or membership of it not seen",
        );
    }
}

/// Includes private memberships, because the request is sent with the user's token. Organizations that block this
/// application count as no membership. `is_login` was checked for both names.
async fn is_member(
    api: &Api<'_>,
    org: &str,
    login: &str,
    trace: &mut Trace,
) -> Result<bool, ApiError> {
    let reply = api.get(MEMBERS, &format!("/orgs/{org}/members/{login}"), trace).await?;
    let reason = match reply.status {
        204 => {
            trace.included(org, "a member");
            return Ok(true);
        }
        404 => "not a member",
        302 => "not a member, or the organization keeps this application out",
        403 if reply.demands_sso() => "the organization demands its own single sign-on first",
        403 => "the organization keeps this application out",
        _ => return Err(reply.failure().into()),
    };
    trace.excluded(org, reason);
    Ok(false)
}
