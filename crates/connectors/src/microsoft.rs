//! Microsoft accounts: Entra ID of one tenant or of any, or personal accounts.
//!
//! The identity comes from Microsoft Graph, as in Dex; groups are read in one tenant only.

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::connector::{
    CallbackState, LoginRedirect, RefreshOutcome, RefreshRequest, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Timestamp, Trace};
use serde::{Deserialize, Serialize};

use crate::oauth::{
    Client, CodeFlow, OAuth, Proof, TokenOutcome, Tokens, Upstream, UpstreamError, UpstreamOutcome,
    UsedRefreshTokens, refused_token,
};

mod config;
mod graph;

use config::{Config, Field};
use graph::{Graph, User};

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let config = config::read(section)?;
    let api = config.api.as_str().trim_end_matches('/');
    let fingerprint = format!("microsoft:{api}/{}", config.tenant);
    Some(OAuth::connector("microsoft", id, name, fingerprint, Microsoft { config }))
}

struct Microsoft {
    config: Config,
}

/// Dex's format. Its `expiry` is ignored, because every refresh requests a new access token.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Remembered {
    refresh_token: String,
}

#[async_trait]
impl Upstream for Microsoft {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        _trace: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError> {
        let Config { prompt, domain_hint, .. } = &self.config;
        // Microsoft accepts a single value of `prompt`.
        let again = upstream_login.again.then(|| "login".to_owned());
        let prompt = &again.or_else(|| prompt.clone());
        let named = [("prompt", prompt), ("domain_hint", domain_hint)];
        let more = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        self.config.code_flow.login_url(
            upstream_login,
            &self.scopes(upstream_login.login_scopes),
            more.collect(),
        )
    }

    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        let code_flow = self.authenticated().await?;
        match code_flow.handle_callback(upstream_login, callback_state, query, trace).await? {
            TokenOutcome::Tokens(tokens) => {
                self.user_outcome(&tokens, upstream_login.login_scopes, trace).await
            }
            TokenOutcome::Denied(code) => Ok(UpstreamOutcome::Denied(code)),
        }
    }

    async fn refresh(
        &self,
        known: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError> {
        let kept = known.upstream.and_then(|kept| serde_json::from_str(kept.expose()).ok());
        let Remembered { refresh_token } = kept.unwrap_or_default();
        if refresh_token.is_empty() {
            trace.note("Microsoft returned no refresh token at sign-in");
            return Ok(RefreshOutcome::NotPossible);
        }
        let code_flow = self.authenticated().await?;
        let tokens = match code_flow.refresh(&Secret::new(refresh_token), trace).await? {
            TokenOutcome::Tokens(tokens) => tokens,
            TokenOutcome::Denied(code) => return Ok(refused_token(code)),
        };
        Ok(self.user_outcome(&tokens, known.login_scopes, trace).await?.refreshed())
    }

    async fn successor(&self, upstream: &Secret) -> Option<Secret> {
        let Remembered { refresh_token } = serde_json::from_str(upstream.expose()).ok()?;
        let used = &self.config.code_flow.used_refresh_tokens;
        used.tokens_for(&Secret::new(refresh_token))?.refresh.as_ref().and_then(remember)
    }

    /// Without the scope `offline_access` there is no refresh token.
    fn needs_offline_login(&self) -> bool {
        true
    }

    fn used_refresh_tokens(&self) -> Option<&UsedRefreshTokens> {
        Some(&self.config.code_flow.used_refresh_tokens)
    }

    async fn diagnose(
        &self,
        _user: Option<&str>,
        _now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, UpstreamError> {
        self.authenticated().await?.diagnose(trace).await?;
        trace.note("groups are read in the name of who signs in, so not here");
        Ok(None)
    }
}

impl Microsoft {
    fn reads_groups(&self, login_scopes: LoginScopes) -> bool {
        (login_scopes.groups || !self.config.required_groups.is_empty())
            && config::is_one(&self.config.tenant)
    }

    fn scopes(&self, login_scopes: LoginScopes) -> Vec<String> {
        let mut scopes = self.config.scopes.clone();
        if self.reads_groups(login_scopes) {
            scopes.push("directory.read.all".to_owned());
        }
        if login_scopes.offline {
            scopes.push("offline_access".to_owned());
        }
        scopes
    }

    /// The code flow with the current assertion of the file, if one is configured.
    async fn authenticated(&self) -> Result<CodeFlow, UpstreamError> {
        let registration = &self.config.code_flow.registration;
        let proof = match &self.config.assertion_file {
            None => Proof::Post(registration.client_secret.clone()),
            Some(file) => {
                let text = tokio::fs::read_to_string(file).await;
                let text = text.map_err(|e| {
                    UpstreamError::Configuration(format!(
                        "clientAssertion: cannot read {file}: {e}"
                    ))
                })?;
                Proof::Assertion(Secret::new(text.trim()))
            }
        };
        let client = Client { id: registration.client_id.clone(), proof };
        Ok(CodeFlow { client, ..self.config.code_flow.clone() })
    }

    async fn user_outcome(
        &self,
        tokens: &Tokens,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        let config = &self.config;
        let (http, base) = (&config.code_flow.http, &config.graph);
        let graph = Graph { http, base, token: &tokens.access };
        let user = graph.me(trace).await?;
        let mut identity = self.identity(&user);
        if self.reads_groups(login_scopes) {
            let mut groups = graph.group_ids(config.only_security_groups, trace).await?;
            if config.group_names {
                groups = graph.group_names(&groups, trace).await?;
            }
            match self.kept(groups, trace) {
                Some(groups) => identity.groups = groups,
                None => return Ok(UpstreamOutcome::NotIn(config.required_groups.clone())),
            }
        }
        let upstream = tokens.refresh.as_ref().and_then(remember);
        Ok(UpstreamOutcome::Accepted(Box::new(SignedIn { identity, upstream, fingerprint: None })))
    }

    fn identity(&self, user: &User) -> Identity {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let mut email = text(&user.user_principal_name);
        if self.config.lowercase_email {
            email = email.to_lowercase();
        }
        Identity {
            user_id: user.id.clone(),
            username: text(&user.display_name),
            preferred_username: match self.config.preferred_username {
                None => String::new(),
                Some(Field::Name) => text(&user.display_name),
                Some(Field::Email) => email.clone(),
                Some(Field::MailNickname) => text(&user.mail_nickname),
                Some(Field::OnPremisesSamAccountName) => text(&user.on_premises_sam_account_name),
            },
            // The domain of a principal name is verified by its tenant.
            email_verified: !email.is_empty(),
            email,
            groups: Vec::new(),
        }
    }

    /// The groups to return; `None` if the user has none of the required ones. Other groups are returned too, unless
    /// `useGroupsAsWhitelist`.
    fn kept(&self, found: Vec<String>, trace: &mut Trace) -> Option<Vec<String>> {
        let Config { required_groups: required, only_required, .. } = &self.config;
        if !required.is_empty() && !found.iter().any(|group| required.contains(group)) {
            for group in &found {
                trace.excluded(group, "is not among the configured groups");
            }
            return None;
        }
        let mut kept = Vec::with_capacity(found.len());
        for group in found {
            if !only_required || required.contains(&group) {
                trace.included(&group, "a membership");
                kept.push(group);
            } else {
                trace.excluded(&group, "is not among the configured groups");
            }
        }
        Some(kept)
    }
}

fn remember(token: &Secret) -> Option<Secret> {
    let remembered = Remembered { refresh_token: token.expose().to_owned() };
    serde_json::to_string(&remembered).ok().map(Secret::new)
}
