//! The authorization code flow at an upstream without ID tokens: authorization request, code exchange, refresh.

use countersign_core::connector::{CallbackState, LoginRedirect, UpstreamLogin};
use countersign_core::{Secret, Trace};
use url::Url;

use super::{
    AuthorizationRequest, AuthorizationResponse, Client, Code, Http, Registration, StoredChallenge,
    TokenResponse, Tokens, UpstreamError, UsedRefreshTokens, check_redirect_uri,
    read_authorization_response,
};

#[derive(Clone)]
pub(crate) struct CodeFlow {
    pub http: Http,
    pub registration: Registration,
    pub client: Client,
    pub authorize: Url,
    pub token: Url,
    pub used_refresh_tokens: UsedRefreshTokens,
}

pub(crate) enum TokenOutcome {
    Tokens(Tokens),
    /// The upstream's error code.
    Denied(&'static str),
}

impl CodeFlow {
    /// The authorization request, always with PKCE, which binds the code to this login in place of a nonce.
    pub fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        scopes: &[String],
        more: Vec<(&'static str, String)>,
    ) -> Result<LoginRedirect, UpstreamError> {
        check_redirect_uri(&self.registration, upstream_login)?;
        let leaving = AuthorizationRequest {
            authorize: &self.authorize,
            client_id: &self.registration.client_id,
            scopes,
            with_nonce: false,
            with_pkce: true,
            more,
        };
        leaving.redirect(upstream_login)
    }

    /// Exchanges the code of a callback. An error response of the upstream is [`TokenOutcome::Denied`].
    pub async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<TokenOutcome, UpstreamError> {
        check_redirect_uri(&self.registration, upstream_login)?;
        let code = match read_authorization_response(query, trace)? {
            AuthorizationResponse::Denied(code) => return Ok(TokenOutcome::Denied(code)),
            AuthorizationResponse::Code(code) => code,
        };
        let verifier = StoredChallenge(callback_state).verifier();
        if verifier.is_none() {
            return Err(UpstreamError::Temporary("the login began without PKCE".to_owned()));
        }
        let code = Code { code: &code, redirect_uri: upstream_login.callback.as_str(), verifier };
        Ok(self.client.exchange(&self.http, &self.token, &code, trace).await?.into())
    }

    /// Checks everything that needs no user.
    pub async fn diagnose(&self, trace: &mut Trace) -> Result<(), UpstreamError> {
        trace.note(format!("people sign in at {}", self.authorize));
        self.client.probe(&self.http, &self.token, &self.registration, trace).await
    }

    /// Exchanges a refresh token (RFC 6749 section 6).
    pub async fn refresh(
        &self,
        token: &Secret,
        trace: &mut Trace,
    ) -> Result<TokenOutcome, UpstreamError> {
        let granted = self
            .client
            .refresh(&self.http, &self.token, token, &self.used_refresh_tokens, trace)
            .await?;
        Ok(granted.into())
    }
}

impl From<TokenResponse> for TokenOutcome {
    fn from(granted: TokenResponse) -> Self {
        match granted {
            TokenResponse::Tokens(tokens) => Self::Tokens(tokens),
            TokenResponse::Refused(code) => Self::Denied(code),
        }
    }
}
