//! The authorization code flow at an upstream: the authorization request and its response (RFC 6749 sections 4.1.1 and
//! 4.1.2), with PKCE (RFC 7636) and a nonce (OpenID Connect Core 1.0 section 3.1.2.1), whose `state` the caller has
//! verified; and [`CodeFlow`], the whole flow at an upstream without ID tokens, with code exchange and refresh.

use countersign_core::connector::{CallbackState, LoginRedirect, UpstreamLogin};
use countersign_core::{Secret, Trace, ids};
use countersign_jose::hash;
use url::Url;

use super::{
    Client, Code, Http, Registration, TokenResponse, Tokens, UpstreamError, UsedRefreshTokens,
    failure,
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

const VERIFIER: &str = "verifier";
const NONCE: &str = "nonce";
/// Microsoft's codes have about 1,500 characters.
const MAX_CODE_BYTES: usize = 8 * 1024;

/// The parameters of an authorization request.
pub(crate) struct AuthorizationRequest<'a> {
    pub authorize: &'a Url,
    pub client_id: &'a str,
    pub scopes: &'a [String],
    pub with_nonce: bool,
    pub with_pkce: bool,
    /// Additional parameters, such as `prompt`.
    pub more: Vec<(&'static str, String)>,
}

/// The upstream compares the redirect URI byte for byte with the registered one, so ours must equal it.
pub(crate) fn check_redirect_uri(
    registration: &Registration,
    upstream_login: &UpstreamLogin,
) -> Result<(), UpstreamError> {
    match &registration.redirect_uri {
        Some(uri) if *uri != upstream_login.callback => Err(UpstreamError::Configuration(format!(
            "redirectURI is {uri}, but people come back to {}: make them equal or leave redirectURI out",
            upstream_login.callback
        ))),
        _ => Ok(()),
    }
}

impl AuthorizationRequest<'_> {
    pub fn redirect(self, upstream_login: &UpstreamLogin) -> Result<LoginRedirect, UpstreamError> {
        let random = || ids::random_token().map_err(|e| UpstreamError::Temporary(e.to_string()));
        let mut callback_state = Vec::new();
        let mut url = self.authorize.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", self.client_id)
                .append_pair("redirect_uri", upstream_login.callback.as_str())
                .append_pair("state", &upstream_login.state);
            // Without `scope` the provider applies its default (RFC 6749 section 3.3).
            if !self.scopes.is_empty() {
                query.append_pair("scope", &self.scopes.join(" "));
            }
            if self.with_nonce {
                let nonce = random()?;
                query.append_pair("nonce", &nonce);
                callback_state.push((NONCE.to_owned(), nonce));
            }
            if self.with_pkce {
                let verifier = random()?;
                query
                    .append_pair("code_challenge", &hash::s256(&verifier))
                    .append_pair("code_challenge_method", "S256");
                callback_state.push((VERIFIER.to_owned(), verifier));
            }
            for (name, value) in &self.more {
                query.append_pair(name, value);
            }
        }
        Ok(LoginRedirect { url, callback_state: CallbackState(callback_state) })
    }
}

pub(crate) enum AuthorizationResponse {
    Code(Secret),
    /// A known error code of the protocol; unknown codes are an [`UpstreamError`].
    Denied(&'static str),
}

/// Parses the parameters of the callback. A repeated `code`, or neither `code` nor `error`, is refused as
/// `invalid_request`.
pub(crate) fn read_authorization_response(
    query: &[(String, String)],
    trace: &mut Trace,
) -> Result<AuthorizationResponse, UpstreamError> {
    if let Some(error) = find(query, "error") {
        let code = failure::known(error);
        trace.response(format!("error={}", code.unwrap_or("(unknown)")));
        return match code {
            Some(code) if failure::is_denial(code) => Ok(AuthorizationResponse::Denied(code)),
            Some(code @ ("server_error" | "temporarily_unavailable")) => {
                Err(UpstreamError::Temporary(format!("the upstream sent back error={code}")))
            }
            Some(code) => {
                Err(UpstreamError::Configuration(format!("the upstream sent back error={code}")))
            }
            None => Err(UpstreamError::Configuration(
                "the upstream sent back an unknown error".to_owned(),
            )),
        };
    }
    let code_count = query.iter().filter(|(name, _)| name == "code").count();
    match find(query, "code") {
        Some(code) if code_count == 1 && (1..=MAX_CODE_BYTES).contains(&code.len()) => {
            trace.response("a code");
            Ok(AuthorizationResponse::Code(Secret::new(code)))
        }
        _ => {
            trace.response("neither one code nor an error");
            Ok(AuthorizationResponse::Denied("invalid_request"))
        }
    }
}

pub(crate) fn find<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// What [`AuthorizationRequest::redirect`] stored for the callback.
pub(crate) struct StoredChallenge<'a>(pub &'a CallbackState);

impl<'a> StoredChallenge<'a> {
    pub fn verifier(&self) -> Option<&'a str> {
        find(&self.0.0, VERIFIER)
    }

    pub fn nonce(&self) -> Option<&'a str> {
        find(&self.0.0, NONCE)
    }
}
