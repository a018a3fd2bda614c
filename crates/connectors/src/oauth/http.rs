//! Requests to an upstream: without redirects and compression, limited in time and size.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use countersign_config::Section;
use countersign_core::text::causes;
use countersign_core::trace::EXPORTED_SPANS;
use countersign_core::{Secret, Trace};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::{Map, Value};
use tracing::Span;
use tracing::field::{Empty, display};
use url::Url;

use super::address::Resolver;
use super::failure;
use super::{Roots, UpstreamError};

/// A list of ten thousand groups fits.
pub(crate) const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_IDLE_CONNECTIONS: usize = 8;

/// Each connector has its own client, with its own certificates and `insecureSkipVerify`.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
}

/// One request to an endpoint.
pub(crate) struct ApiRequest<'a> {
    /// Name of the endpoint in errors and traces.
    endpoint: &'static str,
    url: &'a Url,
    headers: Vec<(&'static str, Secret)>,
    body: Body<'a>,
}

enum Body<'a> {
    /// Without a body: GET.
    None,
    Form(&'a [(&'a str, &'a str)]),
    Json(&'a Value),
}

/// A response of at most [`MAX_RESPONSE_BYTES`].
pub(crate) struct ApiResponse {
    endpoint: &'static str,
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl<'a> ApiRequest<'a> {
    pub fn get(endpoint: &'static str, url: &'a Url) -> Self {
        Self { endpoint, url, headers: Vec::new(), body: Body::None }
    }

    pub fn form(endpoint: &'static str, url: &'a Url, form: &'a [(&'a str, &'a str)]) -> Self {
        Self { body: Body::Form(form), ..Self::get(endpoint, url) }
    }

    pub fn json(endpoint: &'static str, url: &'a Url, json: &'a Value) -> Self {
        Self { body: Body::Json(json), ..Self::get(endpoint, url) }
    }

    /// RFC 6750 section 2.1.
    pub fn bearer(self, token: &Secret) -> Self {
        let value = Secret::new(format!("Bearer {}", token.expose()));
        self.header(AUTHORIZATION.as_str(), value)
    }

    pub fn header(mut self, name: &'static str, value: Secret) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The span of the request, for an OpenTelemetry collector: the host, but neither path nor query, which may contain
    /// names of users and groups. The upstream is not sent a `traceparent`: who operates it need not learn which
    /// requests belong together.
    fn span(&self) -> Span {
        let method = if matches!(self.body, Body::None) { "GET" } else { "POST" };
        tracing::info_span!(
            target: EXPORTED_SPANS,
            "upstream request",
            otel.name = %format_args!("{method} {}", self.endpoint),
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = method,
            server.address = self.url.host_str(),
            server.port = self.url.port_or_known_default(),
            http.response.status_code = Empty,
            "error.type" = Empty,
        )
    }
}

impl Http {
    /// `total` limits one call, from name resolution to the last byte. `configured` are the hosts from the
    /// configuration. `None` with a problem recorded.
    pub fn read(
        section: &Section<'_>,
        roots: Roots,
        total: Duration,
        configured: &[&Url],
    ) -> Option<Self> {
        let key = roots.key;
        let built = roots.config().and_then(|tls| Self::new(tls, total, configured));
        built.map_err(|reason| section.error(key, reason)).ok()
    }

    fn new(tls: ClientConfig, total: Duration, configured: &[&Url]) -> Result<Self, String> {
        let hosts = configured.iter().filter_map(|url| url.host_str()).map(str::to_owned);
        let configured: Arc<[String]> = hosts.collect();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Resolver { configured })
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(total))
            .timeout(total)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .user_agent("countersign")
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .build()
            .map_err(|e| format!("no HTTP client can be built: {}", chain(&e)))?;
        Ok(Self { client })
    }

    /// For a library that sends requests itself; the caller must apply the size limit and the trace.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Sends a request within the limits on time and size. Every status is a response; `Err` if none arrived
    /// completely.
    pub async fn send(
        &self,
        request: ApiRequest<'_>,
        trace: &mut Trace,
    ) -> Result<ApiResponse, UpstreamError> {
        let span = request.span();
        let result = self.exchange(request, trace).await;
        match &result {
            Ok(response) => {
                span.record("http.response.status_code", response.status);
                if response.status >= 400 {
                    let kind = display(response.status);
                    span.record("otel.status_code", "ERROR").record("error.type", kind);
                }
            }
            Err(error) => {
                span.record("otel.status_code", "ERROR").record("error.type", error.kind());
            }
        }
        result
    }

    async fn exchange(
        &self,
        request: ApiRequest<'_>,
        trace: &mut Trace,
    ) -> Result<ApiResponse, UpstreamError> {
        let ApiRequest { endpoint, url, headers, body } = request;
        let builder = match body {
            Body::None => self.client.get(url.clone()),
            Body::Form(form) => self.client.post(url.clone()).form(form),
            Body::Json(json) => self
                .client
                .post(url.clone())
                .header("content-type", "application/json")
                .body(json.to_string()),
        };
        let mut builder = builder.header(ACCEPT, "application/json");
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
                UpstreamError::NotSent { endpoint, reason: "a value for it does not fit a header" }
            })?;
            value.set_sensitive(true);
            builder = builder.header(name, value);
        }
        trace.request(format!("{endpoint}: {}", shown(url)));
        let mut response = builder.send().await.map_err(|e| broken(endpoint, e))?;
        let mut reply = ApiResponse {
            endpoint,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(|e| broken(endpoint, e))? {
            if reply.body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(UpstreamError::TooLarge { endpoint, limit_bytes: MAX_RESPONSE_BYTES });
            }
            reply.body.extend_from_slice(&chunk);
        }
        trace.response(format!("{endpoint}: {}, {} bytes", reply.status, reply.body.len()));
        Ok(reply)
    }
}

impl ApiResponse {
    pub fn endpoint(&self) -> &'static str {
        self.endpoint
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name, if it is ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The response if its status is 200, otherwise the failure that describes it.
    pub fn success(self) -> Result<Self, UpstreamError> {
        if self.status == 200 { Ok(self) } else { Err(self.failure()) }
    }

    pub fn failure(&self) -> UpstreamError {
        let (endpoint, status) = (self.endpoint, self.status);
        let retry_after = self.header(RETRY_AFTER.as_str()).and_then(|value| value.parse().ok());
        match (status, retry_after) {
            (429 | 503, Some(seconds)) => UpstreamError::Later { endpoint, status, seconds },
            _ => UpstreamError::Status { endpoint, status, code: self.error_code() },
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, UpstreamError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| UpstreamError::NotJson { endpoint: self.endpoint })
    }

    pub fn object(&self) -> Result<Map<String, Value>, UpstreamError> {
        self.json()
    }

    /// The member `error` (RFC 6749 section 5.2), if it is a known code.
    pub fn error_code(&self) -> Option<&'static str> {
        let object: Map<String, Value> = serde_json::from_slice(&self.body).ok()?;
        failure::known(object.get("error")?.as_str()?)
    }
}

/// For members that may be absent: null counts as absent, as for Dex, whose JSON parser leaves such a member as it is.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The URL for traces, without query and fragment, which may contain secrets.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let had_query = url.query().is_some();
    url.set_query(None);
    url.set_fragment(None);
    format!("{url}{}", if had_query { "?…" } else { "" })
}

fn broken(endpoint: &'static str, error: reqwest::Error) -> UpstreamError {
    if error.is_timeout() {
        return UpstreamError::Slow { endpoint };
    }
    let error = error.without_url();
    let reason = chain(&error);
    match is_certificate_error(&error) {
        true => UpstreamError::Certificate { endpoint, reason },
        false => UpstreamError::Unreachable { endpoint, reason },
    }
}

/// Whether the TLS handshake failed because of the server's certificate.
pub(crate) fn is_certificate_error(error: &(dyn Error + 'static)) -> bool {
    let is_invalid = |error: &rustls::Error| matches!(error, rustls::Error::InvalidCertificate(_));
    causes(error).any(|cause| tls_error(cause).is_some_and(is_invalid))
}

/// The TLS error, which may be wrapped in an `io::Error`, that again in another one. `source` of an `io::Error` skips
/// the error it wraps.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut error = error;
    loop {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        error = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}

/// The two innermost causes, which are the informative ones: "client error (Connect): … : invalid peer certificate:
/// Expired".
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.dedup();
    let skip = texts.len().saturating_sub(2);
    texts.into_iter().skip(skip).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::CertificateError::UnknownIssuer;

    use super::is_certificate_error;

    #[test]
    fn an_invalid_certificate_is_recognized_however_often_it_is_wrapped() {
        let invalid = || rustls::Error::InvalidCertificate(UnknownIssuer);
        assert!(is_certificate_error(&invalid()));
        assert!(is_certificate_error(&io::Error::other(invalid())));
        assert!(is_certificate_error(&io::Error::other(io::Error::other(invalid()))));
        assert!(!is_certificate_error(&io::Error::other(rustls::Error::DecryptError)));
        assert!(!is_certificate_error(&io::Error::other("connection refused")));
        assert!(!is_certificate_error(&io::Error::from(io::ErrorKind::TimedOut)));
    }
}
