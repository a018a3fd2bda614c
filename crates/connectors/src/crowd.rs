//! Atlassian Crowd, by the REST API for user management.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_config::Section;
use countersign_core::connector::{RefreshOutcome, RefreshRequest, SignedIn};
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use crate::oauth::{
    ApiRequest, ApiResponse, Http, PasswordApi, PasswordConnector, Roots, UpstreamError,
    UpstreamOutcome, base_url, below, null_as_default, read_timeout, required_groups,
};

const AUTHENTICATION: &str = "authentication API";
const USER: &str = "user API";
const GROUPS: &str = "groups API";

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let crowd = Crowd::read(section)?;
    let fingerprint = format!("atlassian-crowd:{}", crowd.base.as_str().trim_end_matches('/'));
    Some(PasswordConnector::connector("atlassian-crowd", id, name, fingerprint, crowd))
}

struct Crowd {
    http: Http,
    base: Url,
    /// The `Authorization` header with the application's credentials.
    application: Secret,
    /// If not empty, membership in at least one is required, and only these are returned.
    required_groups: Vec<String>,
    preferred_username: Option<Field>,
    prompt: String,
}

#[derive(Clone, Copy)]
enum Field {
    Key,
    Name,
    Email,
}

#[derive(Deserialize)]
struct Account {
    key: String,
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    email: String,
    #[serde(default)]
    active: bool,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default, deserialize_with = "null_as_default")]
    reason: String,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
}

/// Stored for refreshes, in Dex's format.
#[derive(Serialize, Deserialize)]
struct RefreshData {
    username: String,
}

impl Crowd {
    fn read(section: Section<'_>) -> Option<Self> {
        let base =
            section.required_text("baseURL").and_then(|base| base_url(&section, "baseURL", &base));
        let client_id = section.required_text("clientID");
        let client_secret = section.required_secret("clientSecret");
        let required_groups = section.texts("groups");
        let fields = [
            ("key", Some(Field::Key)),
            ("name", Some(Field::Name)),
            ("email", Some(Field::Email)),
            ("", None),
        ];
        let preferred_username =
            match section.text("preferredUsernameField").is_some_and(|text| !text.is_empty()) {
                true => section.choice("preferredUsernameField", &fields),
                false => Some(None),
            };
        let prompt = section.text("usernamePrompt").filter(|text| !text.is_empty());
        let timeout = read_timeout(&section);
        let roots = Roots::read_list(&section);
        let http = match (roots, &base) {
            (Some(roots), Some(base)) => Http::read(&section, roots, timeout, &[base]),
            _ => None,
        };
        section.finish();
        // Crowd expects both unencoded, without the form encoding of OAuth 2.0.
        let pair = format!("{}:{}", client_id?, client_secret?.expose());
        Some(Self {
            http: http?,
            base: base?,
            application: Secret::new(format!("Basic {}", STANDARD.encode(pair))),
            required_groups,
            preferred_username: preferred_username?,
            prompt: prompt.unwrap_or_else(|| "Username".to_owned()),
        })
    }

    fn url(&self, path: &str, username: &str) -> Url {
        let mut url = below(&self.base, &format!("rest/usermanagement/1/{path}"));
        url.query_pairs_mut().append_pair("username", username);
        url
    }

    async fn get(
        &self,
        endpoint: &'static str,
        url: &Url,
        trace: &mut Trace,
    ) -> Result<ApiResponse, UpstreamError> {
        let request =
            ApiRequest::get(endpoint, url).header("authorization", self.application.clone());
        self.http.send(request, trace).await
    }

    /// `None`: there is no user of this name.
    async fn account(
        &self,
        username: &str,
        trace: &mut Trace,
    ) -> Result<Option<Account>, UpstreamError> {
        let response = self.get(USER, &self.url("user", username), trace).await?;
        match response.status() {
            404 => Ok(None),
            _ => Ok(Some(response.success()?.json()?)),
        }
    }

    async fn account_outcome(
        &self,
        account: Account,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        if !account.active {
            return Ok(UpstreamOutcome::Disabled);
        }
        let mut groups = Vec::new();
        if login_scopes.groups || !self.required_groups.is_empty() {
            let response =
                self.get(GROUPS, &self.url("user/group/nested", &account.name), trace).await?;
            let found: Groups = response.success()?.json()?;
            let found = found.groups.into_iter().map(|group| group.name).collect();
            let Some(kept) = required_groups(found, &self.required_groups, trace) else {
                return Ok(UpstreamOutcome::NotIn(self.required_groups.clone()));
            };
            groups = kept;
        }
        let preferred_username = match self.preferred_username {
            Some(Field::Key) => account.key.clone(),
            Some(Field::Name) => account.name.clone(),
            Some(Field::Email) => account.email.clone(),
            None => String::new(),
        };
        let data = RefreshData { username: account.name.clone() };
        let identity = Identity {
            user_id: account.key,
            username: account.name,
            preferred_username,
            email_verified: !account.email.is_empty(),
            email: account.email,
            groups,
        };
        let upstream = serde_json::to_string(&data).ok().map(Secret::new);
        Ok(UpstreamOutcome::Accepted(Box::new(SignedIn { identity, upstream, fingerprint: None })))
    }
}

#[async_trait]
impl PasswordApi for Crowd {
    fn prompt(&self) -> &str {
        &self.prompt
    }

    async fn login(
        &self,
        login: &str,
        password: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<Option<UpstreamOutcome>, UpstreamError> {
        let url = self.url("authentication", login);
        let body = json!({ "value": password.expose() });
        let request = ApiRequest::json(AUTHENTICATION, &url, &body)
            .header("authorization", self.application.clone());
        let response = self.http.send(request, trace).await?;
        if response.status() == 400 {
            let Failure { reason } = response.json()?;
            return match reason.as_str() {
                "INVALID_USER_AUTHENTICATION" | "USER_NOT_FOUND" => Ok(None),
                "INACTIVE_ACCOUNT" => Ok(Some(UpstreamOutcome::Disabled)),
                "EXPIRED_CREDENTIAL" => Ok(Some(UpstreamOutcome::PasswordExpired)),
                _ => Err(response.failure()),
            };
        }
        self.account_outcome(response.success()?.json()?, login_scopes, trace).await.map(Some)
    }

    async fn find(
        &self,
        login: &str,
        trace: &mut Trace,
    ) -> Result<Option<UpstreamOutcome>, UpstreamError> {
        let Some(account) = self.account(login, trace).await? else { return Ok(None) };
        let everything = LoginScopes { offline: true, groups: true };
        self.account_outcome(account, everything, trace).await.map(Some)
    }

    async fn refresh(
        &self,
        request: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError> {
        let stored = request.upstream.and_then(|data| serde_json::from_str(data.expose()).ok());
        let Some(RefreshData { username }) = stored else { return Ok(RefreshOutcome::NotPossible) };
        let missing = |reason: &str| Ok(RefreshOutcome::Missing { reason: reason.to_owned() });
        let Some(account) = self.account(&username, trace).await? else {
            return missing("Crowd has no such user");
        };
        if account.key != request.identity.user_id {
            return missing("the user name now belongs to somebody else");
        }
        Ok(self.account_outcome(account, request.login_scopes, trace).await?.refreshed())
    }
}
