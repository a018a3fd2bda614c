//! What happens around every request: request id and log line, limits, security headers, and error bodies for
//! refusals that no handler worded.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument;

use crate::app::App;
use crate::metrics::RequestMetrics;
use crate::page_error::{PageError, RETRY_AFTER};
use crate::pages::PageErrorKind;
use crate::proxy_headers::{self, StrippedHeaders, peer_address, trusted_header_names};
use crate::request_context::{ClientAddress, RequestContext, RequestId};
use crate::request_limits;
use crate::response::json;
use countersign_core::connector::ProxyHeaders;

/// From the end of the request to the response: a slow upstream or database.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The last layer is the outermost.
pub fn layers(router: Router<App>, app: &App) -> Router<App> {
    let timeout = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT);
    let fixed = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    router
        .layer(CatchPanicLayer::custom(handle_panic))
        .layer(timeout)
        .layer(middleware::from_fn(run_to_completion))
        .layer(middleware::from_fn_with_state(app.clone(), request_limits::buffer_body))
        .layer(middleware::from_fn(require_one_host))
        .layer(middleware::from_fn_with_state(app.clone(), request_limits::limit_headers))
        .layer(middleware::from_fn_with_state(app.clone(), render_bare_errors))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(middleware::from_fn_with_state(app.clone(), set_headers))
        .layer(middleware::from_fn_with_state(app.clone(), log_request))
        .layer(middleware::from_fn_with_state(app.clone(), strip_trusted_headers))
}

/// `web.allowedOrigins`. Without credentials: no endpoint that is open to other origins reads cookies.
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

/// Runs the handler in its own task, so that a client disconnect cannot cancel it: otherwise a rotated upstream
/// refresh token could be lost between the upstream's response and our commit.
async fn run_to_completion(request: Request, next: Next) -> Response {
    let work = tokio::spawn(next.run(request).in_current_span());
    work.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// 400 for an HTTP/1.1 request without exactly one Host header (RFC 9112 section 3.2).
async fn require_one_host(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if request.version() == Version::HTTP_11 && hosts != 1 {
        return StatusCode::BAD_REQUEST.into_response();
    }
    next.run(request).await
}

/// Gives an error response that has no body of its own (404, 405, 413, 503, ...) one that its caller can read.
async fn render_bare_errors(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(context) = RequestContext::from_request_parts(&mut parts, &app).await;
    let path = parts.uri.path().to_owned();
    let format = ErrorFormat::for_path(&path);
    let bare = next.run(Request::from_parts(parts, body)).await;
    let status = bare.status();
    let has_body = bare.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind != PLAIN_TEXT);
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || has_body {
        return bare;
    }
    let mut response = match format {
        ErrorFormat::Unchanged => return bare,
        ErrorFormat::ProblemDetails => crate::admin::problem_details::bare(status),
        ErrorFormat::OAuth => json(status, &serde_json::json!({ "error": oauth_code(status) })),
        ErrorFormat::Page => {
            PageError::from(PageErrorKind::of_status(status.as_u16())).show(&app, &context)
        }
    };
    *response.status_mut() = status;
    // An API server would wait and repeat the review, instead of sending it to another replica.
    if status == StatusCode::SERVICE_UNAVAILABLE && !path.contains("/kubernetes/") {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    // Allow, Retry-After and the CORS headers still apply.
    for (name, value) in bare.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// What a caller of a path can read.
enum ErrorFormat {
    Page,
    /// RFC 6749 section 5.2.
    OAuth,
    /// RFC 9457.
    ProblemDetails,
    /// Health probes read the status alone.
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

fn handle_panic(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked; this is a bug");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Cache-Control and HSTS, then the configured headers in place of ours. While this replica drains, HTTP/1.1
/// connections end with their next response; HTTP/2 ones are sent GOAWAY by the listener.
async fn set_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let version = request.version();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if app.process.is_draining() && version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    // What does not allow caching is not cached, by HTTP/1.0 caches either.
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
    response
}

/// All headers of trusted-header connectors together.
const MAX_TRUSTED_HEADER_BYTES: usize = 32 * 1024;

/// Removes the headers of trusted-header connectors before any handler can read them, and passes them to the callback
/// of those connectors as [`StrippedHeaders`].
async fn strip_trusted_headers(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let connectors: Vec<_> = app.issuer.connectors.iter().collect();
    let names: Vec<&str> = trusted_header_names(connectors.iter()).collect();
    if !names.is_empty() {
        let fields = proxy_headers::strip(request.headers_mut(), &names);
        let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_TRUSTED_HEADER_BYTES {
            return StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response();
        }
        let peer = peer_address(request.extensions());
        request.extensions_mut().insert(StrippedHeaders(ProxyHeaders { peer, fields }));
    }
    next.run(request).await
}

/// One log line per request, with the path but never the query, which may hold a code.
///
/// The request id is always made here: a client cannot choose what the log is searched for.
async fn log_request(State(app): State<App>, mut request: Request, next: Next) -> Response {
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
    let span = tracing::info_span!("request", request_id = %id, client_remote_addr = %address);
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Ok(value) = HeaderValue::try_from(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    let duration = begun.elapsed();
    let code = response.status().as_u16();
    span.in_scope(|| {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(method, path, status = code, ms, "request");
    });
    let size_bytes = Body::size_hint(response.body()).exact();
    app.metrics.request(RequestMetrics { code, method, handler, size_bytes, duration });
    response
}

const UNKNOWN_ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// The route below the issuer's path, as Dex labels it: `/token`.
fn route_label(route: Option<&str>, base: &str) -> String {
    let Some(route) = route else { return "unknown".to_owned() };
    match route.strip_prefix(base).unwrap_or(route) {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// The method as a metric label; unknown methods share one, so that callers cannot add labels.
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
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::routing::get;
    use tokio::sync::{Notify, mpsc};
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_handler_runs_to_its_end_although_the_client_disconnects() {
        let (begun, upstream) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (done, mut is_done) = mpsc::channel(1);
        let (begins, upstream_ended) = (begun.clone(), upstream.clone());
        let handler = async move || {
            begins.notify_one();
            upstream_ended.notified().await;
            done.send(()).await.unwrap();
        };
        let router = Router::new().route("/", get(handler));
        let router = router.layer(axum::middleware::from_fn(super::run_to_completion));
        let request = router.oneshot(Request::new(Body::empty()));
        tokio::select! {
            _ = request => panic!("the upstream has not answered"),
            () = begun.notified() => {}
        }
        // The request future is dropped here, as a server drops it when the client disconnects.
        upstream.notify_one();
        let waited = tokio::time::timeout(Duration::from_secs(10), is_done.recv()).await;
        assert_eq!(waited, Ok(Some(())));
    }
}
