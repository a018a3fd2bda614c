//! Errors of the token endpoint as RFC 6749 section 5.2 spells them.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_issuer::IssuerError;
use countersign_issuer::token::{TokenError, TokenErrorCode};
use serde::Serialize;

use crate::app::App;

#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
    error_description: &'a str,
}

/// JSON that nobody keeps.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

pub fn refusal(app: &App, error: TokenError) -> Response {
    match error {
        TokenError::Refused(code, description) => {
            tracing::info!(error = code.as_str(), reason = description, "token request refused");
            refused(app, code, &description)
        }
        TokenError::Failed(failure @ IssuerError::Unavailable { .. }) => {
            tracing::error!(cause = %failure, "a token request could not be answered");
            let code = TokenErrorCode::TemporarilyUnavailable;
            let mut response = refused(app, code, "Try again in a moment; nothing was used up.");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
        TokenError::Failed(failure @ IssuerError::OutcomeUnknown { .. }) => {
            tracing::error!(cause = %failure, "the outcome of a token request is unknown");
            let code = TokenErrorCode::TemporarilyUnavailable;
            let mut response = refused(app, code, "Try again in a moment.");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
        TokenError::Failed(IssuerError::Unstorable(_)) => {
            refused(app, TokenErrorCode::InvalidGrant, "Not text this server ever gave out.")
        }
        TokenError::Failed(IssuerError::Misconfigured { what, missing, cause }) => {
            tracing::error!(
                upstream = what,
                cause,
                "a token request failed: misconfigured upstream"
            );
            let printable = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
            let missing: String = missing.chars().filter(printable).collect();
            let description = format!("{missing} An administrator must act.");
            refused(app, TokenErrorCode::ServerError, &description)
        }
        TokenError::Failed(failure) => {
            tracing::error!(cause = %failure, "a token request failed");
            refused(app, TokenErrorCode::ServerError, "The server failed; its log has the cause.")
        }
    }
}

fn refused(app: &App, code: TokenErrorCode, description: &str) -> Response {
    let status = match code {
        TokenErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
        TokenErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        TokenErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = Refusal { error: code.as_str(), error_description: description };
    let mut response = json(status, &body);
    if code == TokenErrorCode::InvalidClient {
        let realm = format!("Basic realm=\"{}\"", app.issuer.settings.issuer.as_str());
        if let Ok(value) = HeaderValue::try_from(realm) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
    }
    response
}
