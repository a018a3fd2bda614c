//! GitHub: github.com, a subdomain of ghe.com, or an Enterprise Server.
//!
//! octocrab calls the REST API; the code flow is our own, because octocrab does not exchange codes. The user id is the
//! numeric id: logins can be renamed and reused by others. GitHub keeps ten tokens per user and application and revokes
//! the oldest when it issues an eleventh, so a user who signs in that often loses their first session.

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::connector::{
    CallbackState, LoginRedirect, RefreshOutcome, RefreshRequest, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, LoginScopes, Secret, Timestamp, Trace};

use crate::oauth::{
    ApiRequest, Client, Code, CodeFlow, OAuth, Proof, StoredTokens, TokenOutcome, Tokens, Upstream,
    UpstreamError, UpstreamOutcome, UsedRefreshTokens, below, refused_token,
};

mod api;
mod config;
mod groups;
mod limits;
mod person;

use api::{Api, ApiError};
use config::Config;
use groups::Membership;
use limits::Limits;

/// GitHub's error code instead of tokens, if the user has no verified e-mail address.
const UNVERIFIED: &str = "unverified_user_email";

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let github = GitHub::new(config::read(section)?);
    let fingerprint = format!("github:{}", github.config.web.as_str().trim_end_matches('/'));
    Some(OAuth::connector("github", id, name, fingerprint, github))
}

struct GitHub {
    code_flow: CodeFlow,
    config: Config,
    limits: Limits,
}

/// The API requests about a user, at sign-in or at a refresh.
struct UserQuery<'a> {
    login_scopes: LoginScopes,
    /// `None` at sign-in.
    known: Option<&'a RefreshRequest<'a>>,
    now: Timestamp,
}

impl GitHub {
    fn new(config: Config) -> Self {
        let proof = Proof::Post(config.registration.client_secret.clone());
        let client = Client { id: config.registration.client_id.clone(), proof };
        let code_flow = CodeFlow {
            http: config.http.clone(),
            registration: config.registration.clone(),
            client,
            authorize: below(&config.web, "login/oauth/authorize"),
            token: below(&config.web, "login/oauth/access_token"),
            used_refresh_tokens: UsedRefreshTokens::default(),
        };
        Self { code_flow, config, limits: Limits::default() }
    }

    fn scopes(&self, login_scopes: LoginScopes) -> Vec<String> {
        let mut scopes = vec!["user:email".to_owned()];
        if self.config.rules.reads(login_scopes) {
            scopes.push("read:org".to_owned());
        }
        scopes
    }

    /// Requests the user's data, and records a rate limit for this user. A suspended account is returned as `Disabled`,
    /// so the error is never [`ApiError::Suspended`].
    async fn user_outcome(
        &self,
        tokens: &Tokens,
        query: &UserQuery<'_>,
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, ApiError> {
        let mut who = query.known.map(|known| known.identity.user_id.clone());
        let outcome = Box::pin(self.query(tokens, query, &mut who, trace)).await;
        match &outcome {
            Err(ApiError::Revoked) => {
                trace.excluded(
                    "the token",
                    "GitHub does not accept it: it was revoked or has expired",
                );
            }
            Err(ApiError::Suspended) => {
                trace.excluded("the account", "GitHub reports it suspended");
                return Ok(UpstreamOutcome::Disabled);
            }
            Err(ApiError::Failed(UpstreamError::Later { seconds, .. })) => {
                if let Some(who) = who {
                    self.limits.remember(&who, *seconds);
                }
            }
            _ => {}
        }
        outcome
    }

    async fn query(
        &self,
        tokens: &Tokens,
        query: &UserQuery<'_>,
        who: &mut Option<String>,
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, ApiError> {
        if let Some(who) = who {
            self.limits.allow(who)?;
        }
        let api = Api::new(&self.code_flow.http, &self.config.api, &tokens.access, query.now)?;
        let user = person::user(&api, trace).await?;
        let mut identity = user.identity(self.config.login_as_id);
        if let Some(known) = query.known {
            user.note_changed_login(known.identity, &identity, trace);
        }
        if who.is_none() {
            self.limits.allow(&identity.user_id)?;
            *who = Some(identity.user_id.clone());
        }
        let Some(email) = self.config.addresses.choose(&api, &user, trace).await? else {
            return Ok(UpstreamOutcome::EmailNotVerified);
        };
        identity.email = email;
        identity.email_verified = true;
        match self.config.rules.apply(&api, &user.login, query.login_scopes, trace).await? {
            Membership::Groups(groups) => identity.groups = groups,
            Membership::NotIn(required) => return Ok(UpstreamOutcome::NotIn(required)),
        }
        let upstream = StoredTokens::of(tokens);
        Ok(UpstreamOutcome::Accepted(Box::new(SignedIn { identity, upstream, fingerprint: None })))
    }
}

/// GitHub returns a token without expiry at every login, so offline access need not be requested.
#[async_trait]
impl Upstream for GitHub {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        _: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError> {
        self.code_flow.login_url(
            upstream_login,
            &self.scopes(upstream_login.login_scopes),
            Vec::new(),
        )
    }

    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        let tokens = match self
            .code_flow
            .handle_callback(upstream_login, callback_state, query, trace)
            .await?
        {
            TokenOutcome::Tokens(tokens) => tokens,
            TokenOutcome::Denied(UNVERIFIED) => return Ok(UpstreamOutcome::EmailNotVerified),
            TokenOutcome::Denied(code) => return Ok(UpstreamOutcome::Denied(code)),
        };
        let query = UserQuery {
            login_scopes: upstream_login.login_scopes,
            known: None,
            now: upstream_login.now,
        };
        self.user_outcome(&tokens, &query, trace).await.map_err(|stop| match stop {
            ApiError::Failed(failure) => failure,
            _ => UpstreamError::Configuration(
                "GitHub refuses the token it has just issued".to_owned(),
            ),
        })
    }

    async fn refresh(
        &self,
        known: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError> {
        let StoredTokens { access_token, refresh_token } = StoredTokens::read(known);
        if access_token.is_empty() {
            trace.note("GitHub returned no token at sign-in");
            return Ok(RefreshOutcome::NotPossible);
        }
        let refresh = Some(Secret::new(refresh_token)).filter(|token| !token.is_empty());
        let tokens = Tokens { refresh: refresh.clone(), ..Tokens::of(Secret::new(access_token)) };
        let query =
            UserQuery { login_scopes: known.login_scopes, known: Some(known), now: known.now };
        let mut outcome = self.user_outcome(&tokens, &query, trace).await;
        // Expiring access tokens expire after eight hours, which GitHub reports only when one is used; then the refresh
        // token is used.
        if let (Err(ApiError::Revoked), Some(refresh)) = (&outcome, refresh) {
            match self.code_flow.refresh(&refresh, trace).await? {
                TokenOutcome::Tokens(tokens) => {
                    outcome = self.user_outcome(&tokens, &query, trace).await;
                }
                TokenOutcome::Denied(code) => return Ok(refused_token(code)),
            }
        }
        match outcome {
            Ok(outcome) => Ok(outcome.refreshed()),
            Err(ApiError::Failed(failure)) => Err(failure),
            Err(ApiError::Revoked | ApiError::Suspended) => Ok(RefreshOutcome::Disabled),
        }
    }

    async fn successor(&self, upstream: &Secret) -> Option<Secret> {
        StoredTokens::successor(upstream, &self.code_flow.used_refresh_tokens)
    }

    fn used_refresh_tokens(&self) -> Option<&UsedRefreshTokens> {
        Some(&self.code_flow.used_refresh_tokens)
    }

    /// Exchanges an invalid code: GitHub refuses it only after it has accepted the client credentials.
    async fn diagnose(
        &self,
        _: Option<&str>,
        _: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, UpstreamError> {
        let (code, callback) =
            (Secret::new("none"), self.code_flow.registration.redirect_uri.as_ref());
        let redirect_uri = callback.map_or("", url::Url::as_str);
        let code = Code { code: &code, redirect_uri, verifier: None };
        self.code_flow
            .client
            .exchange(&self.code_flow.http, &self.code_flow.token, &code, trace)
            .await?;
        trace.note("GitHub accepts the client id and secret");
        let meta = below(&self.config.api, "meta");
        let response = self.code_flow.http.send(ApiRequest::get("API", &meta), trace).await?;
        if response.status() >= 500 {
            return Err(response.failure());
        }
        trace.note("groups are read with a person's own token: sign in to see them");
        Ok(None)
    }
}
