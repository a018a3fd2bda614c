//! Liveness, readiness and metrics. An unavailable upstream does not make a replica unready.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::App;
use crate::metrics::prometheus;
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
