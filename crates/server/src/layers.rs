//! What happens around every request: an id, one line in the log, limits, and headers on the answer.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;

use crate::app::App;
use crate::metrics::Told;
use crate::visit::{ClientAddress, RequestId, peer};

/// From the first header to the answer: a slow body, a slow upstream, a slow database.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// Outermost last.
pub fn around(router: Router<App>, app: &App) -> Router<App> {
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(app.clone(), headers))
        .layer(middleware::from_fn_with_state(app.clone(), log))
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

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LONGEST_REQUEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

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
