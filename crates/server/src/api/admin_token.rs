//! The only door of the API.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use countersign_issuer::admin::Administrator;

use super::problem_details::ProblemDetails;
use crate::app::App;
use crate::form::{Pairs, decode};
use crate::request_context::ClientAddress;
use crate::userinfo::bearer_token;

/// Whoever sent the request is an administrator, looked up now.
pub struct AdminToken(pub Administrator);

impl FromRequestParts<App> for AdminToken {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let token = bearer_token(&parts.headers);
        let token = token.ok_or_else(|| ProblemDetails::unauthenticated().into_response())?;
        let address = parts.extensions.get::<ClientAddress>().map(|found| found.0.to_string());
        match app.issuer.admit(&token, address).await {
            Ok(Ok(administrator)) => Ok(Self(administrator)),
            Ok(Err(refused)) => {
                tracing::warn!(reason = ?refused, "the API refused a token");
                Err(ProblemDetails::from(refused).into_response())
            }
            Err(failure) => Err(ProblemDetails::from(failure).into_response()),
        }
    }
}

/// The query, decoded.
pub struct QueryPairs(pub Pairs);

impl FromRequestParts<App> for QueryPairs {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Response> {
        let query = parts.uri.query().unwrap_or_default();
        match decode(query.as_bytes()) {
            Ok(pairs) => Ok(Self(pairs)),
            Err(status) => Err(super::problem_details::bare(status)),
        }
    }
}
