//! OpenStack Keystone, Identity API v3. A password is verified by requesting a token with it; groups are read with a
//! token of the configured administrator.

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::connector::{RefreshOutcome, RefreshRequest};
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::oauth::{
    ApiRequest, ApiResponse, Http, PasswordApi, PasswordConnector, Roots, UpstreamError,
    UpstreamOutcome, accepted, base_url, below, null_as_default, read_timeout,
};

const TOKENS: &str = "tokens API";
const USER: &str = "user API";
const USERS: &str = "users API";
const GROUPS: &str = "groups API";
const SUBJECT_TOKEN: &str = "x-subject-token";
const AUTH_TOKEN: &str = "x-auth-token";

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let keystone = Keystone::read(section)?;
    let host = keystone.host.as_str().trim_end_matches('/');
    let fingerprint = format!("keystone:{host}:{}", keystone.domain);
    Some(PasswordConnector::connector("keystone", id, name, fingerprint, keystone))
}

struct Keystone {
    http: Http,
    host: Url,
    domain: String,
    admin: String,
    admin_password: Secret,
}

#[derive(Deserialize)]
struct TokenReply {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    user: TokenUser,
}

#[derive(Deserialize)]
struct TokenUser {
    id: String,
}

#[derive(Deserialize)]
struct UserReply {
    user: User,
}

#[derive(Deserialize)]
struct UsersReply {
    users: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default, deserialize_with = "null_as_default")]
    name: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default = "is_enabled")]
    enabled: bool,
}

fn is_enabled() -> bool {
    true
}

#[derive(Deserialize)]
struct GroupsReply {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
}

/// A token and the id of its user.
struct Authenticated {
    token: Secret,
    user_id: String,
}

impl Keystone {
    fn read(section: Section<'_>) -> Option<Self> {
        let domain = section.text("domain").filter(|text| !text.is_empty());
        let host = section
            .required_text("keystoneHost")
            .and_then(|host| base_url(&section, "keystoneHost", &host));
        let admin = section.required_text("keystoneUsername");
        let admin_password = section.required_secret("keystonePassword");
        let timeout = read_timeout(&section);
        let roots = Roots::read(&section);
        let http = match (roots, &host) {
            (Some(roots), Some(host)) => Http::read(&section, roots, timeout, &[host]),
            _ => None,
        };
        section.finish();
        Some(Self {
            http: http?,
            host: host?,
            domain: domain.unwrap_or_else(|| "default".to_owned()),
            admin: admin?,
            admin_password: admin_password?,
        })
    }

    /// By id if it has the format of one (`default`, or 32 hexadecimal digits), otherwise by name.
    fn domain_reference(&self) -> Value {
        let plain = self.domain.replace('-', "");
        let is_id = plain.len() == 32 && plain.bytes().all(|b| b.is_ascii_hexdigit());
        match is_id || self.domain == "default" {
            true => json!({ "id": self.domain }),
            false => json!({ "name": self.domain }),
        }
    }

    /// `None`: 401, which Keystone returns for an unknown user, a wrong password and a disabled account alike.
    async fn authenticate(
        &self,
        user: &str,
        password: &Secret,
        trace: &mut Trace,
    ) -> Result<Option<Authenticated>, UpstreamError> {
        let url = below(&self.host, "v3/auth/tokens");
        let user = json!({ "name": user, "domain": self.domain_reference(), "password": password.expose() });
        let identity = json!({ "methods": ["password"], "password": { "user": user } });
        let body = json!({ "auth": { "identity": identity } });
        let response = self.http.send(ApiRequest::json(TOKENS, &url, &body), trace).await?;
        if response.status() == 401 {
            return Ok(None);
        }
        if response.status() != 201 {
            return Err(response.failure());
        }
        let token = response.header(SUBJECT_TOKEN).filter(|token| !token.is_empty());
        let missing = UpstreamError::Lacks { endpoint: TOKENS, what: "X-Subject-Token" };
        let token = Secret::new(token.ok_or(missing)?);
        let response: TokenReply = response.json()?;
        Ok(Some(Authenticated { token, user_id: response.token.user.id }))
    }

    async fn admin_token(&self, trace: &mut Trace) -> Result<Secret, UpstreamError> {
        let admin = self.authenticate(&self.admin, &self.admin_password, trace).await?;
        admin.map(|admin| admin.token).ok_or_else(|| {
            UpstreamError::Configuration(
                "Keystone refuses keystoneUsername and keystonePassword".to_owned(),
            )
        })
    }

    async fn get(
        &self,
        endpoint: &'static str,
        url: &Url,
        token: &Secret,
        trace: &mut Trace,
    ) -> Result<ApiResponse, UpstreamError> {
        self.http
            .send(ApiRequest::get(endpoint, url).header(AUTH_TOKEN, token.clone()), trace)
            .await
    }

    fn user_url(&self, user_id: &str, more: &str) -> Result<Url, UpstreamError> {
        // The id becomes part of the path, so characters with a meaning there are refused.
        match !user_id.is_empty() && user_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            true => Ok(below(&self.host, &format!("v3/users/{user_id}{more}"))),
            false => Err(UpstreamError::Person("the user id is not one of Keystone's".to_owned())),
        }
    }

    async fn groups(
        &self,
        user_id: &str,
        admin: &Secret,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let url = self.user_url(user_id, "/groups")?;
        let response: GroupsReply =
            self.get(GROUPS, &url, admin, trace).await?.success()?.json()?;
        let groups: Vec<String> = response.groups.into_iter().map(|group| group.name).collect();
        for group in &groups {
            trace.included(group, "a membership");
        }
        Ok(groups)
    }
}

fn identity(user: &User, login: &str, groups: Vec<String>) -> Identity {
    let email = user.email.clone().unwrap_or_default();
    Identity {
        user_id: user.id.clone(),
        username: login.to_owned(),
        preferred_username: String::new(),
        email_verified: !email.is_empty(),
        email,
        groups,
    }
}

#[async_trait]
impl PasswordApi for Keystone {
    fn prompt(&self) -> &'static str {
        "username"
    }

    async fn login(
        &self,
        login: &str,
        password: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<Option<UpstreamOutcome>, UpstreamError> {
        let Some(authenticated) = self.authenticate(login, password, trace).await? else {
            return Ok(None);
        };
        let url = self.user_url(&authenticated.user_id, "")?;
        let response = self.get(USER, &url, &authenticated.token, trace).await?.success()?;
        let response: UserReply = response.json()?;
        let groups = match login_scopes.groups {
            true => {
                let admin = self.admin_token(trace).await?;
                self.groups(&authenticated.user_id, &admin, trace).await?
            }
            false => Vec::new(),
        };
        Ok(Some(accepted(identity(&response.user, login, groups))))
    }

    async fn find(
        &self,
        login: &str,
        trace: &mut Trace,
    ) -> Result<Option<UpstreamOutcome>, UpstreamError> {
        let admin = self.admin_token(trace).await?;
        let mut url = below(&self.host, "v3/users");
        url.query_pairs_mut().append_pair("name", login);
        let response: UsersReply = self.get(USERS, &url, &admin, trace).await?.success()?.json()?;
        let [user] = response.users.as_slice() else {
            trace.note(format!("{} users have this name", response.users.len()));
            return Ok(None);
        };
        if !user.enabled {
            return Ok(Some(UpstreamOutcome::Disabled));
        }
        let groups = self.groups(&user.id, &admin, trace).await?;
        Ok(Some(accepted(identity(user, &user.name, groups))))
    }

    async fn refresh(
        &self,
        request: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError> {
        let known = request.identity;
        let admin = self.admin_token(trace).await?;
        let url = self.user_url(&known.user_id, "")?;
        let response = self.get(USER, &url, &admin, trace).await?;
        if response.status() == 404 {
            return Ok(RefreshOutcome::Missing { reason: "Keystone has no such user".to_owned() });
        }
        let response: UserReply = response.success()?.json()?;
        if !response.user.enabled {
            return Ok(RefreshOutcome::Disabled);
        }
        let groups = match request.login_scopes.groups {
            true => self.groups(&known.user_id, &admin, trace).await?,
            false => Vec::new(),
        };
        let user = User { id: known.user_id.clone(), ..response.user };
        Ok(accepted(identity(&user, &known.username, groups)).refreshed())
    }
}
