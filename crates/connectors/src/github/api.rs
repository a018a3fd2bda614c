//! Calls the REST API with a user's access token.
//!
//! Of octocrab only `_get` is used: it builds the request with the token and sends it through our own client.
//! octocrab's `get` would read responses, even error responses, without a size limit. Size, rate limits, paging and the
//! interpretation of responses are implemented here. No request is repeated, and only links below the API's own URL are
//! followed.

use std::error::Error;

use countersign_core::text::causes;
use countersign_core::{Secret, Timestamp, Trace};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use octocrab::Octocrab;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::limits;
use crate::oauth::{Http, MAX_RESPONSE_BYTES, UpstreamError, chain, is_certificate_error};

/// The maximum that GitHub permits.
const PER_PAGE: usize = 100;
/// Limits a list to ten thousand teams.
const MAX_PAGES: usize = 100;

/// Why there is no usable response.
pub(super) enum ApiError {
    Failed(UpstreamError),
    /// "Bad credentials": the token was revoked, has expired, or was the oldest of more than ten.
    Revoked,
    Suspended,
}

impl From<UpstreamError> for ApiError {
    fn from(failure: UpstreamError) -> Self {
        Self::Failed(failure)
    }
}

pub(super) struct Api<'a> {
    crab: Octocrab,
    base: &'a Url,
    now: Timestamp,
}

/// A response that callers interpret by its status.
pub(super) struct ApiReply {
    endpoint: &'static str,
    pub status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// The JSON body of an error response.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: String,
}

impl<'a> Api<'a> {
    /// One instance per login: octocrab sends the token with absolute URLs only if the builder was given it.
    pub fn new(
        http: &Http,
        base: &'a Url,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Self, UpstreamError> {
        let bearer = Secret::new(format!("Bearer {}", token.expose()));
        if HeaderValue::from_str(bearer.expose()).is_err() {
            // octocrab's builder panics on such a token.
            let reason = "the token does not fit a header";
            return Err(UpstreamError::NotSent { endpoint: "API", reason });
        }
        let built = Octocrab::builder().base_uri(base.as_str()).and_then(|builder| {
            builder
                .add_header(ACCEPT, "application/vnd.github+json".to_owned())
                .personal_token(token.expose().to_owned())
                .build_with_reqwest(http.client().clone())
        });
        let crab =
            built.map_err(|e| UpstreamError::Configuration(format!("octocrab: {}", chain(&e))))?;
        Ok(Self { crab, base, now })
    }

    /// Requests `path`, which begins with a slash and is relative to the API's URL.
    pub async fn get(
        &self,
        endpoint: &'static str,
        path: &str,
        trace: &mut Trace,
    ) -> Result<ApiReply, ApiError> {
        let (shown, query) = path.split_once('?').map_or((path, ""), |(p, _)| (p, "?…"));
        let base = self.base.as_str().trim_end_matches('/');
        trace.request(format!("{endpoint}: {base}{shown}{query}"));
        let response = self.crab._get(path).await;
        let (head, body) = response.map_err(|e| broken(endpoint, &e))?.into_parts();
        let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
        let body = body.map_err(|e| match e.is::<LengthLimitError>() {
            true => UpstreamError::TooLarge { endpoint, limit_bytes: MAX_RESPONSE_BYTES },
            false => broken(endpoint, &*e),
        })?;
        let status = head.status.as_u16();
        let reply =
            ApiReply { endpoint, status, headers: head.headers, body: body.to_bytes().into() };
        let left = reply.header("x-ratelimit-remaining").map(|left| format!(", {left} left"));
        let left = left.unwrap_or_default();
        trace.response(format!("{endpoint}: {status}, {} bytes{left}", reply.body.len()));
        self.stop(&reply, trace).map_or(Ok(reply), Err)
    }

    /// Requests all pages of a list.
    pub async fn list<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        path: &str,
        trace: &mut Trace,
    ) -> Result<Vec<T>, ApiError> {
        let mut found = Vec::new();
        let mut next = format!("{path}?per_page={PER_PAGE}");
        for _ in 0..MAX_PAGES {
            let reply = self.get(endpoint, &next, trace).await?;
            let page: Vec<T> = reply.json()?;
            found.extend(page);
            match reply.next() {
                Some(link) => next = self.path_of(endpoint, &link)?,
                None => return Ok(found),
            }
        }
        let reason = "too many requests for one login";
        Err(UpstreamError::NotSent { endpoint, reason }.into())
    }

    /// The error of a response that must not be interpreted: a rate limit, a revoked token, a suspended account.
    fn stop(&self, reply: &ApiReply, trace: &mut Trace) -> Option<ApiError> {
        let ApiReply { endpoint, status, .. } = *reply;
        if !matches!(status, 401 | 403 | 429) {
            return None;
        }
        let message = reply.message();
        if let Some(limit) = limits::read(status, &reply.headers, &message, self.now) {
            trace.note(format!("GitHub limits this person's requests: {}", limit.what));
            return Some(UpstreamError::Later { endpoint, status, seconds: limit.seconds }.into());
        }
        match status {
            // A proxy may also answer 401; only GitHub's own message means that the token is invalid.
            401 if message.eq_ignore_ascii_case("Bad credentials") => Some(ApiError::Revoked),
            401 => Some(reply.failure().into()),
            _ if message.contains("account was suspended") => Some(ApiError::Suspended),
            _ => None,
        }
    }

    /// Only the path of a link is used, and only below the API's URL, so that a response cannot redirect the token or a
    /// request to another host.
    fn path_of(&self, endpoint: &'static str, link: &str) -> Result<String, UpstreamError> {
        let foreign_link =
            || UpstreamError::NotSent { endpoint, reason: "its next page is somewhere else" };
        let url = Url::parse(link).map_err(|_| foreign_link())?;
        let base = self.base.path().trim_end_matches('/');
        let path = url.path().strip_prefix(base).filter(|path| path.starts_with('/'));
        match path {
            Some(path) if url.origin() == self.base.origin() => {
                Ok(url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
            }
            _ => Err(foreign_link()),
        }
    }
}

impl ApiReply {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, UpstreamError> {
        match self.status {
            200 => serde_json::from_slice(&self.body)
                .map_err(|_| UpstreamError::NotJson { endpoint: self.endpoint }),
            _ => Err(self.failure()),
        }
    }

    pub fn failure(&self) -> UpstreamError {
        UpstreamError::Status { endpoint: self.endpoint, status: self.status, code: None }
    }

    /// The organization requires that the token is authorized for its SAML single sign-on.
    pub fn demands_sso(&self) -> bool {
        self.header("x-github-sso").is_some_and(|value| value.starts_with("required"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Used for comparison only, never logged or shown.
    fn message(&self) -> String {
        serde_json::from_slice::<Refusal>(&self.body).unwrap_or_default().message
    }

    /// `rel="next"` of the header `Link` (RFC 8288 section 3).
    fn next(&self) -> Option<String> {
        let mut rest = self.header("link")?;
        while let Some((_, after)) = rest.split_once('<') {
            let (url, parameters) = after.split_once('>')?;
            let end = parameters.find('<').unwrap_or(parameters.len());
            let (own, others) = parameters.split_at(end);
            if own.split([';', ',']).any(|word| matches!(word.trim(), "rel=\"next\"" | "rel=next"))
            {
                return Some(url.to_owned());
            }
            rest = others;
        }
        None
    }
}

/// Whether the name has the format of a GitHub login or organization; other names could change the request path.
pub(super) fn is_login(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=100).contains(&name.len()) && name.chars().all(fits)
}

fn broken(endpoint: &'static str, error: &(dyn Error + 'static)) -> UpstreamError {
    let is_timeout = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout)
    };
    if causes(error).any(is_timeout) {
        return UpstreamError::Slow { endpoint };
    }
    let reason = chain(error);
    match is_certificate_error(error) {
        true => UpstreamError::Certificate { endpoint, reason },
        false => UpstreamError::Unreachable { endpoint, reason },
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue, LINK};

    use super::{ApiReply, is_login};

    #[test]
    fn the_next_page_is_found_among_the_links() {
        let next = "https://api.github.com/user/teams?per_page=100&page=2";
        for (link, expected) in [
            (format!("<{next}>; rel=\"next\", <https://x/?page=9>; rel=\"last\""), Some(next)),
            (format!("<https://x/?page=1>; rel=\"prev\", <{next}>; rel=\"next\""), Some(next)),
            (format!("<https://x/?a=1,2>; rel=\"prev\",<{next}>;rel=\"next\""), Some(next)),
            (format!("<{next}>; title=\"y\"; rel=next"), Some(next)),
            ("<https://x/?page=1>; rel=\"first\"".to_owned(), None),
            ("<https://x/?page=1; rel=\"next\"".to_owned(), None),
            ("nonsense".to_owned(), None),
            ("<<<>>>".to_owned(), None),
            (String::new(), None),
        ] {
            let headers = HeaderMap::from_iter([(LINK, HeaderValue::from_str(&link).unwrap())]);
            let reply = ApiReply { endpoint: "x", status: 200, headers, body: Vec::new() };
            assert_eq!(reply.next().as_deref(), expected, "{link}");
        }
    }

    #[test]
    fn a_login_stays_in_its_place_in_a_path() {
        for (name, expected) in [
            ("jane", true),
            ("jane-doe", true),
            ("jane_acme", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("a?b", false),
            ("a%2fb", false),
            ("jané", false),
        ] {
            assert_eq!(is_login(name), expected, "{name}");
        }
    }
}
