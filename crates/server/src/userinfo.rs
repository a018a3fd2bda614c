//! `/userinfo` (OpenID Connect Core 5.3): an access token in the header, or in the body of a POST
//! (RFC 6750 section 2), never in the query.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_core::Secret;
use countersign_issuer::IssuerError;

use crate::app::App;
use crate::form::{self, once};
use crate::token::json;

pub async fn get(State(app): State<App>, headers: HeaderMap) -> Response {
    answer(&app, bearer(&headers)).await
}

pub async fn post(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let in_header = bearer(&parts.headers);
    let pairs = form::read(parts.headers, body).await.unwrap_or_default();
    let in_body = pairs.iter().any(|(name, _)| name == "access_token");
    match (&in_header, in_body) {
        (Some(_), true) => refused(StatusCode::BAD_REQUEST, Some("invalid_request")),
        (None, true) => answer(&app, once(&pairs, "access_token").map(Secret::new)).await,
        (_, false) => answer(&app, in_header).await,
    }
}

async fn answer(app: &App, token: Option<Secret>) -> Response {
    let Some(token) = token else { return refused(StatusCode::UNAUTHORIZED, None) };
    match app.issuer.userinfo(&token).await {
        Ok(Some(claims)) => {
            let mut response = json(StatusCode::OK, &());
            *response.body_mut() = Body::from(claims);
            response
        }
        Ok(None) | Err(IssuerError::Unstorable(_)) => {
            refused(StatusCode::UNAUTHORIZED, Some("invalid_token"))
        }
        Err(
            failure @ (IssuerError::Unavailable { .. } | IssuerError::OutcomeUnknown { .. }),
        ) => {
            tracing::error!(cause = %failure, "userinfo could not be answered");
            let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, None);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
        Err(failure) => {
            tracing::error!(cause = %failure, "userinfo failed");
            refused(StatusCode::INTERNAL_SERVER_ERROR, None)
        }
    }
}

/// The token of an Authorization header (RFC 6750 section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}

/// RFC 6750 section 3.1; a request without a token is told the scheme and nothing else.
pub fn refused(status: StatusCode, error: Option<&'static str>) -> Response {
    let word = match status {
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        StatusCode::INTERNAL_SERVER_ERROR => "server_error",
        _ => "access_denied",
    };
    let body = serde_json::json!({ "error": error.unwrap_or(word) });
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
