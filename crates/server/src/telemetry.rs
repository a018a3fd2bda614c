//! Liveness, readiness, metrics, and the spans of requests. An unavailable upstream does not make a replica unready.

use std::net::IpAddr;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::Span;
use tracing::field::{Empty, display};

use crate::app::App;
use crate::metrics::prometheus;
use crate::process_state::RequestTraces;
use crate::response::json;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    draining: bool,
    database: bool,
    keys: bool,
    clock: bool,
    /// Why the service that keeps the signing key did not sign, or did not name its versions, the last time. Does not
    /// make the replica unready, because it still verifies tokens; versions read too long ago do (`keys`).
    #[serde(skip_serializing_if = "Option::is_none")]
    signer_problem: Option<String>,
    /// Why `database` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    database_problem: Option<String>,
}

async fn readiness(app: &App) -> Readiness {
    let draining = app.process.is_draining();
    let clock = !app.process.is_clock_off();
    let keyring = app.issuer.keyring.keys();
    let (keys, signer_problem) = (!keyring.is_stale(app.issuer.now()), keyring.signer_problem());
    let database_problem = app.issuer.store.ping().await.err().map(|error| error.to_string());
    let database = database_problem.is_none();
    let ready = !draining && database && keys && clock;
    Readiness { ready, draining, database, keys, clock, signer_problem, database_problem }
}

pub async fn ready(State(app): State<App>) -> Response {
    let readiness = readiness(&app).await;
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, &readiness)
}

pub async fn live() -> &'static str {
    "ok"
}

/// `/healthz` of the main listener, with Dex's response texts.
pub async fn healthz(State(app): State<App>) -> Response {
    match readiness(&app).await.ready {
        true => "Health check passed".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "Health check failed").into_response(),
    }
}

/// OpenMetrics if `Accept` contains it, as with Prometheus 2.5 and later; otherwise the older text format.
pub async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let Ok(text) = app.metrics.encode() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut accepted = accept.flat_map(|value| value.split(','));
    match accepted.any(|kind| kind.trim().starts_with("application/openmetrics-text")) {
        true => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        false => ([(header::CONTENT_TYPE, PROMETHEUS)], prometheus(&text)).into_response(),
    }
}

/// The span of a request: its fields are in each line of the log about the request, and with a collector it is exported
/// with the names of OpenTelemetry's semantic conventions for HTTP servers. Exported are the route and not the path,
/// which may contain ids, and no query, header, cookie or body.
///
/// Fields without a dot are those of the log, those with a dot are exported only. Empty fields cost nothing.
pub fn request_span(request_id: &str, address: IpAddr) -> Span {
    tracing::info_span!(
        "request",
        request_id = %request_id,
        client_remote_addr = %address,
        trace_id = Empty,
        otel.name = Empty,
        otel.kind = Empty,
        otel.status_code = Empty,
        http.request.method = Empty,
        http.route = Empty,
        http.response.status_code = Empty,
        url.scheme = Empty,
        network.protocol.version = Empty,
        "error.type" = Empty,
    )
}

/// Describes the request and continues its trace.
pub fn begin_request(traces: &dyn RequestTraces, span: &Span, request: &Request, secure: bool) {
    let method = method_name(request.method());
    span.record("otel.kind", "server").record("http.request.method", method);
    span.record("url.scheme", if secure { "https" } else { "http" });
    if let Some(version) = version_name(request.version()) {
        span.record("network.protocol.version", version);
    }
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some(route) => {
            span.record("http.route", route);
            span.record("otel.name", display(format_args!("{method} {route}")));
        }
        None => {
            span.record("otel.name", method);
        }
    }
    if let Some(trace_id) = traces.continue_trace(span, request.headers()) {
        span.record("trace_id", trace_id.as_str());
    }
}

/// Records the status. A refusal (4xx) is not an error of the server.
pub fn end_request(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR").record("error.type", display(status));
    }
}

/// Unknown methods share one name.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

fn version_name(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}
