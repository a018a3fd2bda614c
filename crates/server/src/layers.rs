//! What happens around every request: an id, one line in the log, limits, and headers on the answer.

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
use tracing::Instrument;

use crate::app::App;
use crate::metrics::Told;
use crate::page_error::PageError;
use crate::pages::PageErrorKind;
use crate::request_context::{ClientAddress, RequestContext, RequestId, peer};
use crate::token::json;
use crate::trusted_headers;

/// From the first header to the answer: a slow body, a slow upstream, a slow database.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// Outermost last.
pub fn around(router: Router<App>, app: &App) -> Router<App> {
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(to_its_end))
        .layer(middleware::from_fn(one_host))
        .layer(middleware::from_fn_with_state(app.clone(), dressed))
        .layer(middleware::from_fn_with_state(app.clone(), headers))
        .layer(middleware::from_fn_with_state(app.clone(), log))
        .layer(middleware::from_fn_with_state(app.clone(), trusted_headers::take_off))
}

/// `web.allowedOrigins`, without credentials: no cookie of ours is ever of use across origins.
pub fn cross_origin(app: &App) -> CorsLayer {
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

/// What was begun is done, though the client hangs up: else what an upstream gave anew, and took the old
/// one for, would be lost between its answer and our commit.
async fn to_its_end(request: Request, next: Next) -> Response {
    let work = tokio::spawn(next.run(request).in_current_span());
    work.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LONGEST_REQUEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response(),
    }
}

/// RFC 9112 section 3.2: two names, or none, are two opinions about whose request this is.
async fn one_host(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if request.version() == Version::HTTP_11 && hosts != 1 {
        return StatusCode::BAD_REQUEST.into_response();
    }
    next.run(request).await
}

/// Asking about a step of a login is taking it: such a path knows GET and POST, and no HEAD.
pub async fn no_head(request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST")]).into_response();
    }
    next.run(request).await
}

/// A refusal that no handler has put into words becomes a page, or JSON where programs ask.
async fn dressed(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(context) = RequestContext::from_request_parts(&mut parts, &app).await;
    let path = parts.uri.path();
    let for_programs = PROGRAMS.iter().any(|end| path.ends_with(end)) || path.contains(CLUSTERS);
    let for_administrators = path.contains(API);
    let bare = next.run(Request::from_parts(parts, body)).await;
    let status = bare.status();
    let worded = bare.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind != PLAIN);
    let refused = status.is_client_error() || status.is_server_error();
    if !refused || worded || context.asks_for_health {
        return bare;
    }
    let mut response = match for_programs {
        _ if for_administrators => crate::admin::problem_details::bare(status),
        true => json(status, &serde_json::json!({ "error": "invalid_request" })),
        false => PageError::from(PageErrorKind::of_status(status.as_u16())).show(&app, &context),
    };
    *response.status_mut() = status;
    // What was said around it still holds: Allow, Retry-After, who may read it.
    for (name, value) in bare.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

const PROGRAMS: [&str; 6] = [
    "/token",
    "/token/introspect",
    "/revoke",
    "/keys",
    "/userinfo",
    "/.well-known/openid-configuration",
];
/// Below it paths may end in the id of a client.
const CLUSTERS: &str = "/kubernetes/";
const API: &str = "/api/v1/";
const PLAIN: &str = "text/plain; charset=utf-8";

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked; this is a bug");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// On every answer, then the configured ones in place of ours.
async fn headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // What does not say that it may be kept is not kept, by caches of HTTP/1.0 either.
    let kept = headers.entry(header::CACHE_CONTROL);
    if *kept.or_insert(HeaderValue::from_static("no-store")) == "no-store" {
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    }
    if app.issuer.settings.issuer.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    for (name, value) in &app.headers {
        headers.insert(name.clone(), value.clone());
    }
    response
}

/// One line a request: the route and the path, never the query, which may hold a code.
async fn log(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = countersign_core::ids::random_id().unwrap_or_default();
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let address = app.settings.address_rule.client(peer(request.extensions()), request.headers());
    let route = request.extensions().get::<MatchedPath>();
    let handler = label(route.map(MatchedPath::as_str), app.issuer.settings.issuer.base_path());
    let method = known_method(request.method());
    let path: String = request.uri().path().chars().take(200).collect();
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(ClientAddress(address));
    let span = tracing::info_span!("request", request_id = %id, client_remote_addr = %address);
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Ok(value) = HeaderValue::try_from(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    let took = begun.elapsed();
    let code = response.status().as_u16();
    span.in_scope(|| {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(method, path, status = code, ms, "request");
    });
    let size_bytes = Body::size_hint(response.body()).exact();
    app.metrics.request(Told { code, method, handler, size_bytes }, took);
    response
}

/// The route below the issuer, as Dex names it: `/token`.
fn label(route: Option<&str>, base: &str) -> String {
    let Some(route) = route else { return "unknown".to_owned() };
    match route.strip_prefix(base).unwrap_or(route) {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// A method as a label: what strangers make up is one word.
fn known_method(method: &Method) -> &'static str {
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
    async fn what_was_begun_is_done_though_the_client_hangs_up() {
        let (begun, upstream) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (done, mut is_done) = mpsc::channel(1);
        let (begins, answers) = (begun.clone(), upstream.clone());
        let handler = async move || {
            begins.notify_one();
            answers.notified().await;
            done.send(()).await.unwrap();
        };
        let router = Router::new().route("/", get(handler));
        let router = router.layer(axum::middleware::from_fn(super::to_its_end));
        let request = router.oneshot(Request::new(Body::empty()));
        tokio::select! {
            _ = request => panic!("the upstream has not answered"),
            () = begun.notified() => {}
        }
        // The request is dropped here, as a server drops it whose client is gone.
        upstream.notify_one();
        let waited = tokio::time::timeout(Duration::from_secs(10), is_done.recv()).await;
        assert_eq!(waited, Ok(Some(())));
    }
}
