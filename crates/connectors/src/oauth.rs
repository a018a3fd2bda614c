//! What every upstream of the OAuth family shares: asking over HTTP within bounds, the trip there and back
//! (RFC 6749 section 4.1, RFC 7636), and the token endpoint.
//!
//! Knows no upstream by name, stores nothing, and never repeats a body, a code or a token in
//! an error: a [`UpstreamError`] names the endpoint and what was wrong with its answer.

mod address;
mod codes;
mod failure;
mod http;
mod kept;
mod password_api;
mod plain;
mod settings;
mod spent;
mod tls;
mod token;
mod upstream;
mod upstream_login;
mod user_api;

pub(crate) use address::may_lead;
pub(crate) use failure::UpstreamError;
pub(crate) use http::{Answer, Ask, Http, MAX_ANSWER_BYTES, chain, is_certificate_error};
pub(crate) use kept::Kept;
pub(crate) use password_api::{PasswordApi, PasswordConnector, welcome};
pub(crate) use plain::{Entry, Plain};
pub(crate) use settings::{
    Registration, SecretIs, base_url, below, read_timeout, texts_or, url_of, warn_of_http,
};
pub(crate) use spent::Spent;
pub(crate) use tls::Roots;
pub(crate) use token::{Client, Code, Granted, Proof, Tokens, granted};
pub(crate) use upstream::{OAuth, Upstream, Verdict, refused_token};
pub(crate) use upstream_login::{Arrived, Leaving, Packed, arrived, find, ours};
pub(crate) use user_api::{ApiLogin, StoredTokens, User, UserApi, required_groups};

use std::future::Future;
use std::time::Duration;

/// A whole login or refresh, however many calls it takes. Shorter than the lease under which one request at a time
/// asks about a session.
const WHOLE: Duration = Duration::from_secs(25);

/// Keeps a login or refresh within its bounds.
pub(crate) async fn within<T>(
    asking: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let slow = || {
        Err(UpstreamError::Temporary(format!(
            "the upstream took over {} s in all",
            WHOLE.as_secs()
        )))
    };
    tokio::time::timeout(WHOLE, asking).await.unwrap_or_else(|_| slow())
}
