//! The configuration file of this server: whether the configuration in use equals the file, what a reload would change,
//! and reloading it.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use countersign_core::Secret;
use serde::Serialize;

use super::AdminToken;
use super::api::ProblemDetails;
use crate::app::App;
use crate::process_state::{DIGEST_KEY_HEADER, ReloadAction};
use crate::response::json;

#[derive(Serialize)]
struct ConfigurationView {
    loaded_at: Option<String>,
    failed_at: Option<String>,
    failure: Option<String>,
    needs_restart: Vec<String>,
}

pub async fn api_show(State(app): State<App>, _: AdminToken) -> Response {
    let state = app.process.reload_state();
    let (failed_at, failure) = state.failure.unzip();
    let view = ConfigurationView {
        loaded_at: state.loaded_at.map(|at| at.to_string()),
        failed_at: failed_at.map(|at| at.to_string()),
        failure,
        needs_restart: state.needs_restart,
    };
    json(StatusCode::OK, &view)
}

pub async fn api_plan(State(app): State<App>, _: AdminToken) -> Result<Response, ProblemDetails> {
    reload(&app, ReloadAction::Plan).await
}

/// As [`api_plan`], for a configuration that is not in this server's file.
pub async fn api_compare(
    State(app): State<App>,
    _: AdminToken,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let digest = serde_json::from_slice(&body).map_err(|_| ProblemDetails::bad_body())?;
    let key = headers.get(DIGEST_KEY_HEADER).and_then(|key| key.to_str().ok());
    let key = Secret::new(key.unwrap_or_default());
    reload(&app, ReloadAction::Compare { digest: Box::new(digest), key }).await
}

/// Applies the file to this replica only; each replica reads its own file.
pub async fn api_reload(
    State(app): State<App>,
    AdminToken(who): AdminToken,
) -> Result<Response, ProblemDetails> {
    let actor = who.actor();
    tracing::info!(event = "configuration_reload_requested", actor, "a reload was requested");
    reload(&app, ReloadAction::Apply { actor: actor.into() }).await
}

async fn reload(app: &App, action: ReloadAction) -> Result<Response, ProblemDetails> {
    let report = app.process.request_reload(action).await;
    let report = report.ok_or_else(ProblemDetails::reload_unavailable)?;
    Ok(json(StatusCode::OK, &report))
}
