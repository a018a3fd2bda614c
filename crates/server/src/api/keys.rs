//! The signing keys.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::admin_token::AdminToken;
use super::problem_details::ProblemDetails;
use crate::app::App;
use crate::response::json;

pub async fn keys(State(app): State<App>, _: AdminToken) -> Result<Response, ProblemDetails> {
    let keys = app.issuer.signing_keys().await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "keys": keys })))
}

/// Publishes the next key now.
pub async fn rotate(
    State(app): State<App>,
    AdminToken(who): AdminToken,
) -> Result<Response, ProblemDetails> {
    Ok(json(StatusCode::OK, &app.issuer.rotate_keys(&who).await?))
}
