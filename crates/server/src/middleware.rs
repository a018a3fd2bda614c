//! The processing around every handler: request id and log line, limits, security headers, and bodies for error
//! responses without one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;

use crate::app::App;
use crate::connection::RequestSlot;
use crate::metrics::RequestMetrics;
use crate::page_error::{self, PageError, RETRY_AFTER};
use crate::pages::PageErrorKind;
use crate::proxy_headers::{self, StrippedHeaders, peer_address};
use crate::request_context::{ClientAddress, RequestId};
use crate::request_limits::{self, BodyPermit};
use crate::response::json;
use crate::telemetry;
use countersign_core::connector::ProxyHeaders;

/// From the end of the request to the response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A single layer for all processing around a handler. axum clones and boxes the stack of layers below each layer for
/// each request, so ten layers would cost fifty allocations.
pub fn layers(router: Router<App>, app: &App) -> Router<App> {
    router.layer(middleware::from_fn_with_state(app.clone(), around_handler))
}

async fn around_handler(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match strip_trusted_headers(&app, &mut request) {
        Ok(()) => log_request(&app, request, next).await,
        Err(status) => status.into_response(),
    }
}

/// The response with all headers, for handlers and for refusals before them.
async fn respond(app: &App, request: Request, next: Next) -> Response {
    let version = request.version();
    let format = ErrorFormat::for_path(request.uri().path());
    let request_id = RequestId::of(request.extensions());
    let path = request.uri().clone();
    let response = page_error::render(app, &request_id, checked(app, request, next).await);
    let mut response = match is_bare_error(&response) {
        true => {
            let error = BareError { format, path: path.path(), request_id: &request_id };
            render_bare_error(app, response, &error)
        }
        false => response,
    };
    set_headers(app, version, response.headers_mut());
    response
}

/// The response of the handler, or of a check before it.
async fn checked(app: &App, request: Request, next: Next) -> Response {
    if let Some(refused) = request_limits::refuse_headers(app, &request) {
        return refused;
    }
    if !has_one_host(&request) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    match request_limits::buffer_body(app, request).await {
        Ok((request, body)) => run_to_completion(request, body, next).await,
        Err(refused) => refused,
    }
}

/// CORS according to `web.allowedOrigins`. Without credentials, because these endpoints do not read cookies.
pub fn cors(app: &App) -> CorsLayer {
    let settings = &app.settings;
    let any = settings.allowed_origins.iter().any(|origin| origin == "*");
    let origins = settings.allowed_origins.iter().filter_map(|o| HeaderValue::try_from(o).ok());
    let allowed = settings.allowed_headers.iter().filter_map(|h| HeaderName::try_from(h).ok());
    CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers(allowed.collect::<Vec<_>>())
        .allow_origin(match any {
            true => AllowOrigin::any(),
            false => AllowOrigin::list(origins),
        })
}

/// Refuses HEAD with 405, for paths whose GET has side effects: axum routes HEAD to the handler of GET.
pub async fn reject_head(request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST")]).into_response();
    }
    next.run(request).await
}

/// Runs the handler in its own task, so that a client disconnect cannot cancel it: otherwise a rotated upstream refresh
/// token could be lost between the upstream's response and our commit. Returns 503 after [`REQUEST_TIMEOUT`] or when
/// too many handlers of the connection are running, and 500 if the handler panics.
///
/// The task keeps the connection's slot, and the memory of the body reserved, also after the client has disconnected.
async fn run_to_completion(mut request: Request, body: BodyPermit, next: Next) -> Response {
    // Removed, because the request has been read, and handlers may keep it for as long as they run.
    let received = request.extensions_mut().remove::<Arc<RequestSlot>>();
    let slot = match received.map(|received| received.connection().begin_handler()) {
        Some(None) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(slot) => slot,
        None => None,
    };
    let handler = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request));
    let handler = async move {
        let response = handler.await;
        drop((slot, body));
        response
    };
    match tokio::spawn(handler.in_current_span()).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(error) => {
            if error.is_panic() {
                tracing::error!("a handler panicked; this is a bug");
            }
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// An HTTP/1.1 request has exactly one Host header (RFC 9112 section 3.2).
fn has_one_host(request: &Request) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    request.version() != Version::HTTP_11 || hosts == 1
}

/// Whether an error response (404, 405, 413, 503, ...) has no body of its own.
fn is_bare_error(response: &Response) -> bool {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let has_body = kind.is_some_and(|kind| kind != PLAIN_TEXT);
    (status.is_client_error() || status.is_server_error()) && !has_body
}

struct BareError<'a> {
    format: ErrorFormat,
    path: &'a str,
    request_id: &'a str,
}

/// Adds a body in the format of the path to an error response.
fn render_bare_error(app: &App, bare: Response, error: &BareError<'_>) -> Response {
    let status = bare.status();
    let mut response = match error.format {
        ErrorFormat::ProblemDetails => crate::admin::api::bare(status),
        ErrorFormat::OAuth => json(status, &serde_json::json!({ "error": oauth_code(status) })),
        ErrorFormat::Page => {
            let kind = PageErrorKind::of_status(status.as_u16());
            PageError::from(kind).show(app, error.request_id)
        }
        ErrorFormat::Unchanged => return bare,
    };
    *response.status_mut() = status;
    // On 503 with Retry-After an API server would wait and repeat the review instead of sending it to another replica.
    if status == StatusCode::SERVICE_UNAVAILABLE && !error.path.contains("/kubernetes/") {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    // Keeps the other headers, such as Allow, Retry-After and those of CORS.
    for (name, value) in bare.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The format of error responses for a path.
enum ErrorFormat {
    Page,
    /// RFC 6749 section 5.2.
    OAuth,
    /// RFC 9457.
    ProblemDetails,
    /// Health probes read only the status.
    Unchanged,
}

impl ErrorFormat {
    fn for_path(path: &str) -> Self {
        const OAUTH: [&str; 8] = [
            "/token",
            "/token/introspect",
            "/revoke",
            "/device/code",
            "/device/token",
            "/keys",
            "/userinfo",
            "/.well-known/openid-configuration",
        ];
        if path.contains("/api/v1/") {
            Self::ProblemDetails
        } else if path.contains("/kubernetes/") || OAUTH.iter().any(|end| path.ends_with(end)) {
            Self::OAuth
        } else if path.ends_with("/healthz") {
            Self::Unchanged
        } else {
            Self::Page
        }
    }
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

fn oauth_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request",
    }
}

/// Sets the headers of every response, then the configured ones, which replace ours. While this replica drains,
/// HTTP/1.1 connections are closed with their next response; HTTP/2 connections receive GOAWAY from the listener.
fn set_headers(app: &App, version: Version, headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if app.process.is_draining() && version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    // Responses without Cache-Control are not cached, including by HTTP/1.0 caches.
    let cache_control = headers.entry(header::CACHE_CONTROL);
    if *cache_control.or_insert(HeaderValue::from_static("no-store")) == "no-store" {
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    }
    if app.issuer.settings.issuer.is_https() {
        let one_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, one_year);
    }
    for (name, value) in &app.headers {
        headers.insert(name.clone(), value.clone());
    }
}

/// Limit for all headers of trusted-header connectors together.
const MAX_TRUSTED_HEADER_BYTES: usize = 32 * 1024;

/// Removes the headers of trusted-header connectors before a handler can read them, and passes them to the callback of
/// those connectors as [`StrippedHeaders`].
fn strip_trusted_headers(app: &App, request: &mut Request) -> Result<(), StatusCode> {
    let names = app.issuer.connectors.trusted_headers();
    if names.is_empty() {
        return Ok(());
    }
    let fields = proxy_headers::strip(request.headers_mut(), &names);
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_TRUSTED_HEADER_BYTES {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let peer = peer_address(request.extensions());
    request.extensions_mut().insert(StrippedHeaders(ProxyHeaders { peer, fields }));
    Ok(())
}

/// Logs one line per request, with the path but without the query, which may contain a code.
///
/// The request id is always generated here, so that a client cannot choose it.
async fn log_request(app: &App, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = countersign_core::ids::random_id().unwrap_or_default();
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let peer = peer_address(request.extensions()).unwrap_or(UNKNOWN_ADDRESS);
    let address = app.settings.client_address.client(peer, request.headers());
    let route = request.extensions().get::<MatchedPath>();
    let handler =
        route_label(route.map(MatchedPath::as_str), app.issuer.settings.issuer.base_path());
    let method = method_label(request.method());
    let path: String = request.uri().path().chars().take(200).collect();
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(ClientAddress(address));
    let span = telemetry::request_span(&id, address);
    let traces = app.process.request_traces();
    if let Some(traces) = traces {
        let secure = app.issuer.settings.issuer.is_https();
        telemetry::begin_request(traces, &span, &request, secure);
    }
    let mut response = respond(app, request, next).instrument(span.clone()).await;
    if let Ok(value) = HeaderValue::try_from(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    let duration = begun.elapsed();
    let code = response.status().as_u16();
    if traces.is_some() {
        telemetry::end_request(&span, code);
    }
    span.in_scope(|| {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(method, path, status = code, ms, "request");
    });
    let size_bytes = HttpBody::size_hint(response.body()).exact();
    app.metrics.request(RequestMetrics { code, method, handler, size_bytes, duration });
    response
}

const UNKNOWN_ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// The route relative to the issuer's path, as Dex labels it: `/token`.
fn route_label(route: Option<&str>, base: &str) -> String {
    let Some(route) = route else { return "unknown".to_owned() };
    match route.strip_prefix(base).unwrap_or(route) {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// The method as a metric label; unknown methods share one label, so that clients cannot create labels.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "post",
        Method::HEAD => "head",
        Method::OPTIONS => "options",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
