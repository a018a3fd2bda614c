//! Clients and connectors, and how they are.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::ConnectorId;

use super::admin_token::AdminToken;
use super::problem_details::ProblemDetails;
use crate::app::App;
use crate::response::json;

pub async fn clients(State(app): State<App>, _: AdminToken) -> Result<Response, ProblemDetails> {
    let clients = app.issuer.client_views().await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "clients": clients })))
}

pub async fn connectors(State(app): State<App>, _: AdminToken) -> Result<Response, ProblemDetails> {
    let connectors = app.issuer.connector_views().await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "connectors": connectors })))
}

/// A person says that what this upstream answers is meant: the brake is let go.
pub async fn confirm(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    Path(id): Path<String>,
) -> Result<Response, ProblemDetails> {
    let released = app.issuer.confirm_connector(&who, &ConnectorId::new(id)).await?;
    match released {
        true => Ok(json(StatusCode::OK, &serde_json::json!({ "released": true }))),
        false => Err(ProblemDetails::not_found("connector with a brake")),
    }
}
