//! What all connectors of the OAuth family share: HTTP requests within limits, the authorization code flow (RFC 6749
//! section 4.1, RFC 7636) and the token endpoint.
//!
//! This module names no provider and stores nothing. An [`UpstreamError`] names the endpoint and the defect of its
//! response; it never contains a body, a code or a token.

mod address;
mod cached;
mod code_flow;
mod failure;
mod http;
mod password_api;
mod settings;
mod tls;
mod token;
mod upstream;
mod user_api;

pub(crate) use address::may_lead;
pub(crate) use cached::Cached;
pub(crate) use cached::UsedRefreshTokens;
pub(crate) use code_flow::{
    AuthorizationRequest, AuthorizationResponse, StoredChallenge, check_redirect_uri, find,
    read_authorization_response,
};
pub(crate) use code_flow::{CodeFlow, TokenOutcome};
pub(crate) use failure::UpstreamError;
pub(crate) use http::{
    ApiRequest, ApiResponse, Http, MAX_RESPONSE_BYTES, chain, is_certificate_error,
};
pub(crate) use password_api::{PasswordApi, PasswordConnector, accepted};
pub(crate) use settings::{
    ClientSecretRule, Registration, base_url, below, read_timeout, texts_or, url_of, warn_of_http,
};
pub(crate) use tls::Roots;
pub(crate) use token::{Client, Code, Proof, TokenResponse, Tokens, read_token_response};
pub(crate) use upstream::{OAuth, Upstream, UpstreamOutcome, refused_token};
pub(crate) use user_api::{ApiLogin, StoredTokens, User, UserApi, required_groups};

use std::future::Future;
use std::time::Duration;

/// Time limit of a whole login or refresh. Shorter than the lease under which a session is revalidated.
const WHOLE: Duration = Duration::from_secs(25);

/// Applies the time limit to a login or refresh.
pub(crate) async fn within<T>(
    call: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let slow = || {
        Err(UpstreamError::Temporary(format!(
            "the upstream took over {} s in all",
            WHOLE.as_secs()
        )))
    };
    tokio::time::timeout(WHOLE, call).await.unwrap_or_else(|_| slow())
}
