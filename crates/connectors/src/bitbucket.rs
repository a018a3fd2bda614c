//! Bitbucket Cloud. Groups are workspaces.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::oauth::{
    ApiLogin, ApiRequest, Client, ClientSecretRule, CodeFlow, Http, OAuth, Proof, Registration,
    Roots, UpstreamError, UsedRefreshTokens, User, UserApi, base_url, below, null_as_default,
    required_groups,
};

const USER: &str = "user API";
const EMAILS: &str = "e-mail API";
const WORKSPACES: &str = "workspaces API";
const PER_PAGE: &str = "100";
const MAX_PAGES: usize = 100;

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let bitbucket = Bitbucket::read(section)?;
    let fingerprint = format!("bitbucket-cloud:{}", bitbucket.api.as_str().trim_end_matches('/'));
    Some(OAuth::connector("bitbucket-cloud", id, name, fingerprint, ApiLogin(bitbucket)))
}

struct Bitbucket {
    code_flow: Arc<CodeFlow>,
    api: Url,
    /// If not empty, membership in at least one is required, and only these are returned.
    teams: Vec<String>,
    with_permissions: bool,
}

#[derive(Deserialize)]
struct Account {
    uuid: String,
    #[serde(default, deserialize_with = "null_as_default")]
    username: String,
}

#[derive(Deserialize)]
struct Page<T> {
    values: Vec<T>,
    /// The URL of the next page; only its presence is used.
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    #[serde(default, deserialize_with = "null_as_default")]
    is_primary: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    is_confirmed: bool,
}

#[derive(Deserialize)]
struct Permission {
    permission: String,
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    slug: String,
}

impl Bitbucket {
    fn read(section: Section<'_>) -> Option<Self> {
        let registration = Registration::read(&section, ClientSecretRule::Required);
        let teams = section.texts("teams");
        let with_permissions = section.flag("getWorkspacePermissions").unwrap_or(false);
        section.ignored("includeTeamGroups", "Bitbucket's API for it is gone; Dex ignores it too");
        let urls = section.section("apiURLs");
        let or = |key: &'static str, default: &str| match &urls {
            Some(urls) => base_url(urls, key, default),
            None => Url::parse(default).ok(),
        };
        let (web, api) =
            (or("web", "https://bitbucket.org"), or("api", "https://api.bitbucket.org"));
        if let Some(urls) = urls {
            urls.finish();
        }
        let roots = Roots::read_list(&section);
        let http = match (roots, &registration, &web, &api) {
            (Some(roots), Some(registration), Some(web), Some(api)) => {
                Http::read(&section, roots, registration.timeout, &[web, api])
            }
            _ => None,
        };
        section.finish();
        let (registration, web) = (registration?, web?);
        let proof = Proof::Basic(registration.client_secret.clone());
        let code_flow = CodeFlow {
            http: http?,
            client: Client { id: registration.client_id.clone(), proof },
            registration,
            authorize: below(&web, "site/oauth2/authorize"),
            token: below(&web, "site/oauth2/access_token"),
            used_refresh_tokens: UsedRefreshTokens::default(),
        };
        Some(Self { code_flow: Arc::new(code_flow), api: api?, teams, with_permissions })
    }

    async fn all<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        path: &str,
        access: &Secret,
        trace: &mut Trace,
    ) -> Result<Vec<T>, UpstreamError> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut url = below(&self.api, path);
            url.query_pairs_mut()
                .append_pair("pagelen", PER_PAGE)
                .append_pair("page", &page.to_string());
            let request = ApiRequest::get(endpoint, &url).bearer(access);
            let mut page: Page<T> =
                self.code_flow.http.send(request, trace).await?.success()?.json()?;
            all.append(&mut page.values);
            if page.next.is_none() {
                return Ok(all);
            }
        }
        Err(UpstreamError::NotSent { endpoint, reason: "too many requests for one login" })
    }

    async fn workspaces(
        &self,
        access: &Secret,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let path = "2.0/user/permissions/workspaces";
        let permissions: Vec<Permission> = self.all(WORKSPACES, path, access, trace).await?;
        let mut groups = Vec::new();
        for Permission { permission, workspace } in permissions {
            groups.push(workspace.slug.clone());
            if self.with_permissions {
                groups.push(format!("{}:{permission}", workspace.slug));
            }
        }
        Ok(groups)
    }
}

#[async_trait]
impl UserApi for Bitbucket {
    const NAME: &'static str = "Bitbucket";

    async fn oauth(&self, _: &mut Trace) -> Result<Arc<CodeFlow>, UpstreamError> {
        Ok(self.code_flow.clone())
    }

    fn used_refresh_tokens(&self) -> &UsedRefreshTokens {
        &self.code_flow.used_refresh_tokens
    }

    fn scopes(&self, login_scopes: LoginScopes) -> Vec<String> {
        let mut scopes = vec!["account".to_owned(), "email".to_owned()];
        if login_scopes.groups || !self.teams.is_empty() {
            scopes.push("team".to_owned());
        }
        scopes
    }

    async fn user(
        &self,
        access: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<User, UpstreamError> {
        let url = below(&self.api, "2.0/user");
        let request = ApiRequest::get(USER, &url).bearer(access);
        let account: Account = self.code_flow.http.send(request, trace).await?.success()?.json()?;
        let addresses: Vec<Address> = self.all(EMAILS, "2.0/user/emails", access, trace).await?;
        let primary =
            addresses.into_iter().find(|address| address.is_primary && address.is_confirmed);
        let primary = primary.ok_or_else(|| {
            UpstreamError::Person("there is no confirmed primary e-mail address".to_owned())
        })?;
        let mut identity = Identity {
            user_id: account.uuid,
            username: account.username,
            preferred_username: String::new(),
            email: primary.email,
            email_verified: true,
            groups: Vec::new(),
        };
        if login_scopes.groups || !self.teams.is_empty() {
            let found = self.workspaces(access, trace).await?;
            match required_groups(found, &self.teams, trace) {
                Some(groups) => identity.groups = groups,
                None => return Ok(User::NotIn(self.teams.clone())),
            }
        }
        Ok(User::Identity(Box::new(identity)))
    }
}
