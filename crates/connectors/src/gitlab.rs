//! GitLab: gitlab.com or self-hosted.
//!
//! GitLab rotates refresh tokens: each use returns a new one and invalidates the old. A token that was used but whose
//! successor is not stored yet is kept in `oauth::UsedRefreshTokens`.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::oauth::{
    ApiLogin, ApiRequest, ApiResponse, Client, ClientSecretRule, CodeFlow, Http, OAuth, Proof,
    Registration, Roots, UpstreamError, UsedRefreshTokens, User, UserApi, base_url, below,
    required_groups,
};

mod groups;

use groups::GroupsApi;

const USER: &str = "user API";
/// Values of `state` for accounts that an administrator has disabled.
const DISABLED: [&str; 4] = ["banned", "blocked", "deactivated", "ldap_blocked"];

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let gitlab = GitLab::read(section)?;
    let fingerprint = format!("gitlab:{}", gitlab.base.as_str().trim_end_matches('/'));
    Some(OAuth::connector("gitlab", id, name, fingerprint, ApiLogin(gitlab)))
}

struct GitLab {
    code_flow: Arc<CodeFlow>,
    base: Url,
    /// If not empty, membership in at least one is required, and only these are returned.
    required_groups: Vec<String>,
    login_as_id: bool,
    with_roles: bool,
    inherited: bool,
}

#[derive(Deserialize)]
struct Account {
    id: i64,
    username: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    state: Option<String>,
    /// `null` if the address is unconfirmed; older versions omit it.
    #[serde(default = "not_reported")]
    confirmed_at: Value,
}

fn not_reported() -> Value {
    Value::Bool(true)
}

impl GitLab {
    fn read(section: Section<'_>) -> Option<Self> {
        let registration = Registration::read(&section, ClientSecretRule::Required);
        let base = base_url(&section, "baseURL", "https://gitlab.com");
        let roots = Roots::read_data(&section);
        let required_groups = section.texts("groups");
        let login_as_id = section.flag("useLoginAsID").unwrap_or(false);
        let with_roles = section.flag("getGroupsPermission").unwrap_or(false);
        let inherited = section.flag("inheritedGroups").unwrap_or(false);
        let http = match (roots, &registration, &base) {
            (Some(roots), Some(registration), Some(base)) => {
                Http::read(&section, roots, registration.timeout, &[base])
            }
            _ => None,
        };
        section.finish();
        let (registration, base) = (registration?, base?);
        let proof = Proof::Basic(registration.client_secret.clone());
        let client = Client { id: registration.client_id.clone(), proof };
        let (authorize, token) = (below(&base, "oauth/authorize"), below(&base, "oauth/token"));
        let used_refresh_tokens = UsedRefreshTokens::default();
        let code_flow = Arc::new(CodeFlow {
            http: http?,
            registration,
            client,
            authorize,
            token,
            used_refresh_tokens,
        });
        Some(Self { code_flow, base, required_groups, login_as_id, with_roles, inherited })
    }

    fn reads_groups(&self, login_scopes: LoginScopes) -> bool {
        login_scopes.groups || !self.required_groups.is_empty()
    }

    fn identity(&self, user: &Account) -> Identity {
        let email = user.email.clone().unwrap_or_default();
        let name = user.name.clone().filter(|name| !name.is_empty());
        Identity {
            user_id: match self.login_as_id {
                true => user.username.clone(),
                false => user.id.to_string(),
            },
            username: name.unwrap_or_else(|| email.clone()),
            preferred_username: user.username.clone(),
            email_verified: !email.is_empty() && !user.confirmed_at.is_null(),
            email,
            groups: Vec::new(),
        }
    }
}

/// GitLab returns a refresh token at every login, so offline access need not be requested.
#[async_trait]
impl UserApi for GitLab {
    const NAME: &'static str = "GitLab";

    async fn oauth(&self, _: &mut Trace) -> Result<Arc<CodeFlow>, UpstreamError> {
        Ok(self.code_flow.clone())
    }

    fn used_refresh_tokens(&self) -> &UsedRefreshTokens {
        &self.code_flow.used_refresh_tokens
    }

    fn scopes(&self, login_scopes: LoginScopes) -> Vec<String> {
        let mut scopes = vec!["read_user"];
        if self.reads_groups(login_scopes) {
            scopes.push("openid");
            if self.inherited {
                scopes.push("read_api");
            }
        }
        scopes.into_iter().map(str::to_owned).collect()
    }

    async fn user(
        &self,
        access: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<User, UpstreamError> {
        let url = below(&self.base, "api/v4/user");
        let request = ApiRequest::get(USER, &url).bearer(access);
        let response = self.code_flow.http.send(request, trace).await?;
        if is_of_disabled(&response) {
            trace.excluded("the account", "GitLab reports it blocked or deactivated");
            return Ok(User::Disabled);
        }
        let account: Account = response.success()?.json()?;
        if let Some(state) = account.state.as_deref().filter(|state| DISABLED.contains(state)) {
            trace.excluded(&account.username, &format!("the account is {state}"));
            return Ok(User::Disabled);
        }
        let mut identity = self.identity(&account);
        if self.reads_groups(login_scopes) {
            let api = GroupsApi {
                http: &self.code_flow.http,
                base: &self.base,
                token: access,
                user_id: account.id,
            };
            let found = match self.inherited {
                true => api.inherited(self.with_roles, trace).await?,
                false => api.direct(self.with_roles, trace).await?,
            };
            match required_groups(found, &self.required_groups, trace) {
                Some(groups) => identity.groups = groups,
                None => return Ok(User::NotIn(self.required_groups.clone())),
            }
        }
        Ok(User::Identity(Box::new(identity)))
    }
}

/// GitLab refuses the token of a blocked or deactivated user with 403, so that `state` cannot be read. Other messages of
/// 403 are about the token or the server.
fn is_of_disabled(response: &ApiResponse) -> bool {
    let body = response.object().unwrap_or_default();
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
    let states = ["account has been blocked", "account has been deactivated"];
    response.status() == 403 && states.iter().any(|state| message.contains(state))
}
