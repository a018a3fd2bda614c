//! The login at an OAuth 2.0 upstream with an API of its own and without ID tokens: everything except reading the user.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::connector::{
    CallbackState, LoginRedirect, RefreshOutcome, RefreshRequest, SignedIn, UpstreamLogin,
};
use countersign_core::{Identity, LoginScopes, Secret, Timestamp, Trace};
use serde::{Deserialize, Serialize};

use super::{
    CodeFlow, TokenOutcome, Tokens, Upstream, UpstreamError, UpstreamOutcome, UsedRefreshTokens,
    refused_token,
};

/// What differs between such upstreams.
#[async_trait]
pub(crate) trait UserApi: Send + Sync {
    /// The upstream's name, for traces.
    const NAME: &'static str;
    /// If false, a session lasts only until its snapshot is too old, as with any connector that cannot refresh.
    const CAN_REFRESH: bool = true;

    /// Its endpoints and our client credentials.
    async fn oauth(&self, trace: &mut Trace) -> Result<Arc<CodeFlow>, UpstreamError>;

    /// Those of its code flow.
    fn used_refresh_tokens(&self) -> &UsedRefreshTokens;

    fn scopes(&self, login_scopes: LoginScopes) -> Vec<String>;

    /// The user that the access token belongs to.
    async fn user(
        &self,
        access: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<User, UpstreamError>;
}

pub(crate) enum User {
    Identity(Box<Identity>),
    /// An administrator has disabled the account.
    Disabled,
    /// The user is in none of these groups.
    NotIn(Vec<String>),
}

/// Implements [`Upstream`] for a [`UserApi`].
pub(crate) struct ApiLogin<A>(pub A);

/// Tokens in Dex's format, so that its sessions can be imported; the aliases are those of Go's `oauth2.Token`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StoredTokens {
    #[serde(alias = "access_token")]
    pub access_token: String,
    #[serde(alias = "refresh_token", skip_serializing_if = "String::is_empty")]
    pub refresh_token: String,
}

impl StoredTokens {
    pub fn of(tokens: &Tokens) -> Option<Secret> {
        let text = |token: &Secret| token.expose().to_owned();
        let stored = Self {
            access_token: text(&tokens.access),
            refresh_token: tokens.refresh.as_ref().map(text).unwrap_or_default(),
        };
        serde_json::to_string(&stored).ok().map(Secret::new)
    }

    /// The stored tokens; empty if there are none.
    pub fn read(request: &RefreshRequest<'_>) -> Self {
        let stored = request.upstream.and_then(|stored| serde_json::from_str(stored.expose()).ok());
        stored.unwrap_or_default()
    }

    /// What replaces `stored`, if its refresh token is among the used ones. See `Refresh::successor`.
    pub fn successor(stored: &Secret, used: &UsedRefreshTokens) -> Option<Secret> {
        let stored: Self = serde_json::from_str(stored.expose()).ok()?;
        Self::of(&used.tokens_for(&Secret::new(stored.refresh_token))?)
    }
}

impl<A: UserApi> ApiLogin<A> {
    async fn outcome_of(
        &self,
        tokens: &Tokens,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        Ok(match self.0.user(&tokens.access, login_scopes, trace).await? {
            User::Identity(identity) => UpstreamOutcome::Accepted(Box::new(SignedIn {
                identity: *identity,
                upstream: StoredTokens::of(tokens).filter(|_| A::CAN_REFRESH),
                fingerprint: None,
            })),
            User::Disabled => UpstreamOutcome::Disabled,
            User::NotIn(required) => UpstreamOutcome::NotIn(required),
        })
    }
}

#[async_trait]
impl<A: UserApi> Upstream for ApiLogin<A> {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        trace: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError> {
        let scopes = self.0.scopes(upstream_login.login_scopes);
        self.0.oauth(trace).await?.login_url(upstream_login, &scopes, Vec::new())
    }

    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        let oauth = self.0.oauth(trace).await?;
        match oauth.handle_callback(upstream_login, callback_state, query, trace).await? {
            TokenOutcome::Tokens(tokens) => {
                self.outcome_of(&tokens, upstream_login.login_scopes, trace).await
            }
            TokenOutcome::Denied(code) => Ok(UpstreamOutcome::Denied(code)),
        }
    }

    /// Refreshes with the refresh token if there is one, otherwise with the access token of the login.
    async fn refresh(
        &self,
        known: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError> {
        let StoredTokens { access_token, refresh_token } = StoredTokens::read(known);
        let tokens = match (refresh_token.as_str(), access_token.as_str()) {
            ("", "") => {
                trace.note(format!("{} returned no token at sign-in", A::NAME));
                return Ok(RefreshOutcome::NotPossible);
            }
            ("", access) => Tokens::of(Secret::new(access)),
            (refresh, _) => {
                let oauth = self.0.oauth(trace).await?;
                match oauth.refresh(&Secret::new(refresh), trace).await? {
                    TokenOutcome::Tokens(tokens) => tokens,
                    TokenOutcome::Denied(code) => return Ok(refused_token(code)),
                }
            }
        };
        match self.outcome_of(&tokens, known.login_scopes, trace).await {
            Err(failure) if failure.status() == Some(401) => Ok(RefreshOutcome::Missing {
                reason: format!("{} refuses its access token", A::NAME),
            }),
            outcome => Ok(outcome?.refreshed()),
        }
    }

    async fn successor(&self, upstream: &Secret) -> Option<Secret> {
        StoredTokens::successor(upstream, self.0.used_refresh_tokens())
    }

    fn can_refresh(&self) -> bool {
        A::CAN_REFRESH
    }

    fn used_refresh_tokens(&self) -> Option<&UsedRefreshTokens> {
        Some(self.0.used_refresh_tokens())
    }

    async fn diagnose(
        &self,
        _user: Option<&str>,
        _now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, UpstreamError> {
        self.0.oauth(trace).await?.diagnose(trace).await?;
        trace.note("groups are read with the user's own token: sign in to see them");
        Ok(None)
    }
}

/// The groups of `found` that are in `required`, or all if none is required. `None`: the user has none of the required
/// ones.
pub(crate) fn required_groups(
    found: Vec<String>,
    required: &[String],
    trace: &mut Trace,
) -> Option<Vec<String>> {
    let mut kept = Vec::with_capacity(found.len());
    for group in found {
        if required.is_empty() || required.contains(&group) {
            trace.included(&group, "a membership");
            kept.push(group);
        } else {
            trace.excluded(&group, "is not among the configured groups");
        }
    }
    (required.is_empty() || !kept.is_empty()).then_some(kept)
}
