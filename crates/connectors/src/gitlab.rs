//! GitLab, gitlab.com or a company's own.
//!
//! GitLab gives a new refresh token for each one spent, and the old one is dead; what was spent and not yet stored
//! is remembered (`oauth::Spent`).

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::connector::{
    CallbackState, LoginRedirect, RefreshOutcome, RefreshRequest, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Timestamp, Trace};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::oauth::{
    Ask, Client, Entry, Http, OAuth, Plain, Proof, Registration, Roots, SecretIs, Spent, Tokens,
    Upstream, UpstreamError, Verdict, base_url, below, refused_token,
};

mod groups;

use groups::Eyes;

const USER: &str = "user API";
/// Of `state`: an administrator took the account away.
const DISABLED: [&str; 4] = ["banned", "blocked", "deactivated", "ldap_blocked"];

/// `None`, with every problem noted, when the section cannot be used.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let gitlab = GitLab::read(section)?;
    let fingerprint = format!("gitlab:{}", gitlab.base.as_str().trim_end_matches('/'));
    Some(OAuth::connector("gitlab", id, name, fingerprint, gitlab))
}

struct GitLab {
    plain: Plain,
    client: Client,
    base: Url,
    /// Not empty: at least one of them is needed, and only they are told.
    required_groups: Vec<String>,
    login_as_id: bool,
    with_roles: bool,
    inherited: bool,
}

#[derive(Deserialize)]
struct User {
    id: i64,
    username: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    state: Option<String>,
    /// `null` when the address was never confirmed; older versions do not tell.
    #[serde(default = "told_nothing")]
    confirmed_at: Value,
}

fn told_nothing() -> Value {
    Value::Bool(true)
}

/// Dex's form, so that its sessions can be taken over.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Remembered {
    access_token: String,
    refresh_token: String,
}

impl GitLab {
    fn read(section: Section<'_>) -> Option<Self> {
        let registration = Registration::read(&section, SecretIs::Required);
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
        let plain = Plain { http: http?, registration, authorize, token, spent: Spent::default() };
        Some(Self { plain, client, base, required_groups, login_as_id, with_roles, inherited })
    }

    fn reads_groups(&self, login_scopes: LoginScopes) -> bool {
        login_scopes.groups || !self.required_groups.is_empty()
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

    async fn judge(
        &self,
        tokens: Tokens,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<Verdict, UpstreamError> {
        let url = below(&self.base, "api/v4/user");
        let ask = Ask::get(USER, &url).bearer(&tokens.access);
        let user: User = self.plain.http.ask(ask, trace).await?.success()?.json()?;
        if let Some(state) = user.state.as_deref().filter(|state| DISABLED.contains(state)) {
            trace.excluded(&user.username, &format!("the account is {state}"));
            return Ok(Verdict::Disabled);
        }
        let mut identity = self.identity(&user);
        if self.reads_groups(login_scopes) {
            let eyes = Eyes {
                http: &self.plain.http,
                base: &self.base,
                token: &tokens.access,
                user_id: user.id,
            };
            let found = match self.inherited {
                true => eyes.inherited(self.with_roles, trace).await?,
                false => eyes.direct(self.with_roles, trace).await?,
            };
            let Some(groups) = self.kept(found, trace) else {
                return Ok(Verdict::NotIn(self.required_groups.clone()));
            };
            identity.groups = groups;
        }
        let upstream = remember(&tokens);
        Ok(Verdict::Welcome(Box::new(SignedIn { identity, upstream, fingerprint: None })))
    }

    fn identity(&self, user: &User) -> Identity {
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

    /// `None`: in none of the required ones.
    fn kept(&self, found: Vec<String>, trace: &mut Trace) -> Option<Vec<String>> {
        let mut kept = Vec::with_capacity(found.len());
        for group in found {
            if self.required_groups.is_empty() || self.required_groups.contains(&group) {
                trace.included(&group, "a membership");
                kept.push(group);
            } else {
                trace.excluded(&group, "is not among the configured groups");
            }
        }
        (self.required_groups.is_empty() || !kept.is_empty()).then_some(kept)
    }
}

/// GitLab gives a refresh token with every login, so it need not be asked for.
#[async_trait]
impl Upstream for GitLab {
    async fn leave(
        &self,
        upstream_login: &UpstreamLogin,
        _trace: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError> {
        self.plain.login_url(upstream_login, &self.scopes(upstream_login.login_scopes), Vec::new())
    }

    async fn enter(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<Verdict, UpstreamError> {
        match self
            .plain
            .handle_callback(upstream_login, callback_state, query, &self.client, trace)
            .await?
        {
            Entry::Tokens(tokens) => self.judge(tokens, upstream_login.login_scopes, trace).await,
            Entry::Denied(code) => Ok(Verdict::Denied(code)),
        }
    }

    async fn ask_again(
        &self,
        known: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError> {
        let missing = |why: &str| Ok(RefreshOutcome::Missing { why: why.to_owned() });
        let kept = known.upstream.and_then(|kept| serde_json::from_str(kept.expose()).ok());
        let Remembered { access_token, refresh_token } = kept.unwrap_or_default();
        let tokens = match (refresh_token.as_str(), access_token.as_str()) {
            ("", "") => {
                trace.note("GitLab gave no token at sign-in");
                return Ok(RefreshOutcome::NotPossible);
            }
            ("", access) => Tokens::of(Secret::new(access)),
            (refresh, _) => {
                match self.plain.refresh(&Secret::new(refresh), &self.client, trace).await? {
                    Entry::Tokens(tokens) => tokens,
                    Entry::Denied(code) => return Ok(refused_token(code)),
                }
            }
        };
        match self.judge(tokens, known.login_scopes, trace).await {
            Err(failure) if failure.status() == Some(401) => {
                missing("GitLab refuses its access token")
            }
            verdict => Ok(verdict?.refreshed()),
        }
    }

    async fn diagnose(
        &self,
        _user: Option<&str>,
        _now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, UpstreamError> {
        self.plain.diagnose(&self.client, trace).await?;
        trace.note("groups are read in the name of who signs in, so not here");
        Ok(None)
    }
}

fn remember(tokens: &Tokens) -> Option<Secret> {
    let text = |token: &Secret| token.expose().to_owned();
    let remembered = Remembered {
        access_token: text(&tokens.access),
        refresh_token: tokens.refresh.as_ref().map(text).unwrap_or_default(),
    };
    serde_json::to_string(&remembered).ok().map(Secret::new)
}
