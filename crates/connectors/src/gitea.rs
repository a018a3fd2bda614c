//! Gitea and Forgejo: gitea.com or self-hosted.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace};
use serde::Deserialize;
use url::Url;

use crate::oauth::{
    ApiLogin, ApiRequest, Client, ClientSecretRule, CodeFlow, Http, OAuth, Proof, Registration,
    Roots, UpstreamError, UsedRefreshTokens, User, UserApi, base_url, below, null_as_default,
    required_groups,
};

const USER: &str = "user API";
const TEAMS: &str = "teams API";
/// Gitea limits the page size, so only an empty page marks the end.
const PER_PAGE: usize = 50;
const MAX_PAGES: usize = 200;

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let gitea = Gitea::read(section)?;
    let fingerprint = format!("gitea:{}", gitea.base.as_str().trim_end_matches('/'));
    Some(OAuth::connector("gitea", id, name, fingerprint, ApiLogin(gitea)))
}

struct Gitea {
    code_flow: Arc<CodeFlow>,
    base: Url,
    /// `org` and `org:team`. If not empty, membership in at least one is required, and only these are returned.
    required_groups: Vec<String>,
    all_groups: bool,
    login_as_id: bool,
}

#[derive(Deserialize)]
struct Account {
    id: i64,
    login: String,
    #[serde(default, deserialize_with = "null_as_default")]
    full_name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    email: String,
}

#[derive(Deserialize)]
struct Team {
    name: String,
    organization: Organization,
}

/// Gitea renamed `username` to `name` and returns both for now.
#[derive(Deserialize)]
struct Organization {
    #[serde(default, deserialize_with = "null_as_default")]
    username: String,
    #[serde(default, deserialize_with = "null_as_default")]
    name: String,
}

impl Organization {
    fn name(self) -> String {
        if self.username.is_empty() { self.name } else { self.username }
    }
}

impl Gitea {
    fn read(section: Section<'_>) -> Option<Self> {
        let registration = Registration::read(&section, ClientSecretRule::Required);
        let base = base_url(&section, "baseURL", "https://gitea.com");
        let roots = Roots::read_file(&section);
        let required_groups = read_orgs(&section);
        let all_groups = section.flag("loadAllGroups").unwrap_or(false);
        let login_as_id = section.flag("useLoginAsID").unwrap_or(false);
        let http = match (roots, &registration, &base) {
            (Some(roots), Some(registration), Some(base)) => {
                Http::read(&section, roots, registration.timeout, &[base])
            }
            _ => None,
        };
        section.finish();
        let (registration, base) = (registration?, base?);
        let proof = Proof::Basic(registration.client_secret.clone());
        let code_flow = CodeFlow {
            http: http?,
            client: Client { id: registration.client_id.clone(), proof },
            registration,
            authorize: below(&base, "login/oauth/authorize"),
            token: below(&base, "login/oauth/access_token"),
            used_refresh_tokens: UsedRefreshTokens::default(),
        };
        let code_flow = Arc::new(code_flow);
        Some(Self { code_flow, base, required_groups, all_groups, login_as_id })
    }

    /// `org`, and `org:team` for each team, without duplicates.
    async fn groups(
        &self,
        access: &Secret,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let mut groups = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut url = below(&self.base, "api/v1/user/teams");
            url.query_pairs_mut()
                .append_pair("page", &page.to_string())
                .append_pair("limit", &PER_PAGE.to_string());
            let request = ApiRequest::get(TEAMS, &url).bearer(access);
            let teams: Vec<Team> =
                self.code_flow.http.send(request, trace).await?.success()?.json()?;
            if teams.is_empty() {
                return Ok(groups);
            }
            for team in teams {
                let org = team.organization.name();
                let both = [org.clone(), format!("{org}:{}", team.name)];
                groups.extend(
                    both.into_iter().filter(|group| !groups.contains(group)).collect::<Vec<_>>(),
                );
            }
        }
        Err(UpstreamError::NotSent { endpoint: TEAMS, reason: "too many requests for one login" })
    }
}

/// As in Dex, an organization with teams also admits members of its other teams; those teams are only omitted.
fn read_orgs(section: &Section<'_>) -> Vec<String> {
    let mut groups = Vec::new();
    for entry in section.sections("orgs") {
        let name = entry.required_text("name");
        let teams = entry.texts("teams");
        if let Some(name) = name {
            groups.push(name.clone());
            groups.extend(teams.iter().map(|team| format!("{name}:{team}")));
        }
        entry.finish();
    }
    groups
}

#[async_trait]
impl UserApi for Gitea {
    const NAME: &'static str = "Gitea";

    async fn oauth(&self, _: &mut Trace) -> Result<Arc<CodeFlow>, UpstreamError> {
        Ok(self.code_flow.clone())
    }

    fn used_refresh_tokens(&self) -> &UsedRefreshTokens {
        &self.code_flow.used_refresh_tokens
    }

    fn scopes(&self, _: LoginScopes) -> Vec<String> {
        Vec::new()
    }

    /// Whether groups are read depends on the configuration and not on the client's scopes, as in Dex.
    async fn user(
        &self,
        access: &Secret,
        _: LoginScopes,
        trace: &mut Trace,
    ) -> Result<User, UpstreamError> {
        let url = below(&self.base, "api/v1/user");
        let request = ApiRequest::get(USER, &url).bearer(access);
        let account: Account = self.code_flow.http.send(request, trace).await?.success()?.json()?;
        let mut identity = Identity {
            user_id: match self.login_as_id {
                true => account.login.clone(),
                false => account.id.to_string(),
            },
            username: match account.full_name.is_empty() {
                true => account.email.clone(),
                false => account.full_name,
            },
            preferred_username: account.login,
            email_verified: !account.email.is_empty(),
            email: account.email,
            groups: Vec::new(),
        };
        if self.all_groups || !self.required_groups.is_empty() {
            let found = self.groups(access, trace).await?;
            match required_groups(found, &self.required_groups, trace) {
                Some(groups) => identity.groups = groups,
                None => return Ok(User::NotIn(self.required_groups.clone())),
            }
        }
        Ok(User::Identity(Box::new(identity)))
    }
}
