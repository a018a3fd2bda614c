//! What all connectors of the OAuth family share: HTTP requests within limits, the authorization code flow (RFC 6749
//! section 4.1, RFC 7636) and the token endpoint, and their configuration keys.
//!
//! This module names no provider and stores nothing. An [`UpstreamError`] names the endpoint and the defect of its
//! response; it never contains a body, a code or a token.

mod address;
mod cached;
mod code_flow;
mod failure;
mod http;
mod password_api;
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
    ApiRequest, ApiResponse, Http, MAX_RESPONSE_BYTES, chain, is_certificate_error, null_as_default,
};
pub(crate) use password_api::{PasswordApi, PasswordConnector, accepted};
pub(crate) use token::{Client, Code, Proof, TokenResponse, Tokens, read_token_response};
pub(crate) use upstream::{OAuth, Upstream, UpstreamOutcome, refused_token};
pub(crate) use user_api::{ApiLogin, StoredTokens, User, UserApi, required_groups};

pub(crate) use crate::certificates::Roots;

use std::future::Future;
use std::time::Duration;

use countersign_config::Section;
use countersign_core::Secret;
use url::Url;

/// Default and maximum of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(1);
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

/// Our client registration at the upstream: `clientID`, `clientSecret`, `redirectURI`, and `timeout`.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub client_id: String,
    /// Empty: a public client (RFC 6749 section 2.1).
    pub client_secret: Secret,
    /// `None`: our callback URL.
    pub redirect_uri: Option<Url>,
    /// Time limit of one call.
    pub timeout: Duration,
}

impl Registration {
    /// Reads the keys. `None` with problems recorded; every key is read before the first return. `secret`: whether the
    /// upstream requires a client secret.
    pub fn read(section: &Section<'_>, secret: ClientSecretRule) -> Option<Self> {
        Self::read_or_explain(section, secret, "is missing")
    }

    /// As [`Registration::read`], with the message about an absent or empty `clientID`.
    pub fn read_or_explain(
        section: &Section<'_>,
        secret: ClientSecretRule,
        without_client_id: &str,
    ) -> Option<Self> {
        let client_id = section.text("clientID").filter(|id| !id.is_empty());
        if !section.is_set("clientID") {
            section.error("clientID", without_client_id);
        }
        let client_secret = match secret {
            ClientSecretRule::Required => section.required_secret("clientSecret"),
            ClientSecretRule::Optional => Some(section.secret("clientSecret").unwrap_or_default()),
        };
        let redirect_uri = url_of(section, "redirectURI");
        let timeout = read_timeout(section);
        Some(Self {
            client_id: client_id?,
            client_secret: client_secret?,
            redirect_uri: redirect_uri?,
            timeout,
        })
    }
}

/// `timeout`, the time limit of one call.
pub(crate) fn read_timeout(section: &Section<'_>) -> Duration {
    let timeout = section.duration("timeout").unwrap_or(TIMEOUT);
    if timeout.is_zero() || timeout > LONGEST {
        section.error("timeout", "must be longer than 0s and at most 1m");
    }
    timeout.min(LONGEST)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientSecretRule {
    Required,
    Optional,
}

/// `Some(None)`: absent or empty. `None`: invalid, with a problem recorded.
#[expect(clippy::option_option, reason = "absent and wrong are two different answers")]
pub(crate) fn url_of(section: &Section<'_>, key: &'static str) -> Option<Option<Url>> {
    let Some(text) = section.text(key).filter(|text| !text.is_empty()) else {
        return Some(None);
    };
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => Some(Some(url)),
        _ => {
            section.error(key, format!("found {text:?}, expected an https URL"));
            None
        }
    }
}

/// The base URL of an upstream's API without a trailing slash; `default` if absent. Warns of http to another machine.
pub(crate) fn base_url(section: &Section<'_>, key: &'static str, default: &str) -> Option<Url> {
    let url = match url_of(section, key)? {
        Some(url) => url,
        None => Url::parse(default).ok()?,
    };
    warn_of_http(section, key, &url);
    let mut url = url;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

pub(crate) fn warn_of_http(section: &Section<'_>, key: &'static str, url: &Url) {
    let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    if url.scheme() == "http" && !here {
        section.warning(key, "is http: anybody on the network path can sign in as any user");
    }
}

/// A list of texts, or `default` if it is absent or empty.
pub(crate) fn texts_or(section: &Section<'_>, key: &'static str, default: &[&str]) -> Vec<String> {
    let configured = section.texts(key);
    if configured.is_empty() {
        default.iter().map(|text| (*text).to_owned()).collect()
    } else {
        configured
    }
}

/// A URL with `path` below the base, without doubled slashes.
pub(crate) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}
