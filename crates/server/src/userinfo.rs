//! `/userinfo` (OpenID Connect Core 5.3): accepts an access token in the header, or in the body of a POST (RFC 6750
//! section 2), but not in the query.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_core::Secret;
use countersign_issuer::IssuerError;

use crate::app::App;
use crate::form::{self, once};
use crate::response::{json, json_bytes};

pub async fn get(State(app): State<App>, headers: HeaderMap) -> Response {
    respond(&app, bearer_token(&headers)).await
}

pub async fn post(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let in_header = bearer_token(&parts.headers);
    let pairs = form::read(&parts.headers, body).await.unwrap_or_default();
    let in_body = pairs.iter().any(|(name, _)| name == "access_token");
    match (&in_header, in_body) {
        (Some(_), true) => bearer_error(StatusCode::BAD_REQUEST, Some("invalid_request")),
        (None, true) => respond(&app, once(&pairs, "access_token").map(Secret::new)).await,
        (_, false) => respond(&app, in_header).await,
    }
}

async fn respond(app: &App, token: Option<Secret>) -> Response {
    let Some(token) = token else { return bearer_error(StatusCode::UNAUTHORIZED, None) };
    match app.issuer.userinfo(&token).await {
        Ok(Some(claims)) => json_bytes(StatusCode::OK, claims),
        Ok(None) | Err(IssuerError::Unstorable(_)) => {
            bearer_error(StatusCode::UNAUTHORIZED, Some("invalid_token"))
        }
        Err(error @ (IssuerError::Unavailable { .. } | IssuerError::OutcomeUnknown { .. })) => {
            tracing::error!(cause = %error, "userinfo could not be answered");
            let mut response = bearer_error(StatusCode::SERVICE_UNAVAILABLE, None);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
        Err(error) => {
            tracing::error!(cause = %error, "userinfo failed");
            bearer_error(StatusCode::INTERNAL_SERVER_ERROR, None)
        }
    }
}

/// The token of an Authorization header (RFC 6750 section 2.1).
pub fn bearer_token(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}

/// The error of a protected resource (RFC 6750 section 3.1). A request without a token receives a challenge without an
/// error code.
pub fn bearer_error(status: StatusCode, error: Option<&'static str>) -> Response {
    let default_code = match status {
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        StatusCode::INTERNAL_SERVER_ERROR => "server_error",
        _ => "access_denied",
    };
    let body = serde_json::json!({ "error": error.unwrap_or(default_code) });
    let mut response = json(status, &body);
    let challenge = match error {
        Some("invalid_token") => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        Some(_) => HeaderValue::from_static("Bearer error=\"invalid_request\""),
        None => HeaderValue::from_static("Bearer"),
    };
    if status.is_client_error() {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
