//! `/token` (RFC 6749 section 3.2), `/token/introspect` (RFC 7662) and `/revoke` (RFC 7009): form requests and JSON
//! responses; the client is authenticated in the same way at all three.

mod request;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_core::{Client, GrantType, Secret};
use countersign_issuer::IssuerError;
use countersign_issuer::token::{TokenError, TokenErrorCode, TokenRequest, Tokens};
use serde::Serialize;

use crate::app::App;
use crate::form::{self, once};
use crate::metrics::LoginResult;
use crate::response::{json, json_bytes};
pub(crate) use request::caller;
use request::{client_credentials, invalid_client, token_request, uses_authorization_header};

type Pairs = [(String, String)];

const DEVICE_CODE: &str = GrantType::DeviceCode.as_str();

pub async fn post(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    issue(&app, &parts, body).await.unwrap_or_else(|error| error_response(&app, &parts, error))
}

/// Dex's older endpoint for devices (`POST /device/token`): `/token` for the device code grant only.
pub async fn post_device(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let result = async {
        let pairs = parameters(&parts, body).await?;
        if parameter(&pairs, "grant_type").is_some_and(|grant_type| grant_type != DEVICE_CODE) {
            let reason = format!("Only {DEVICE_CODE} is supported here");
            return Err(TokenError::refused(TokenErrorCode::UnsupportedGrantType, reason));
        }
        issue_for(&app, &parts, &pairs).await
    };
    result.await.unwrap_or_else(|error| error_response(&app, &parts, error))
}

async fn issue(app: &App, parts: &Parts, body: Body) -> Result<Response, TokenError> {
    let pairs = parameters(parts, body).await?;
    issue_for(app, parts, &pairs).await
}

async fn issue_for(app: &App, parts: &Parts, pairs: &Pairs) -> Result<Response, TokenError> {
    let client = authenticate(app, parts, pairs)?;
    let request = token_request(parts, pairs)?;
    let (grant_type, is_password) = (request.name(), matches!(request, TokenRequest::Password(_)));
    let result = app.issuer.token(&client, request).await;
    if is_password {
        count_password_login(app, &result);
    }
    let tokens = result?;
    app.metrics.tokens_issued(grant_type, client.id.as_str());
    Ok(json(StatusCode::OK, &tokens))
}

/// Counts the sign-in of a password grant like one on the login page. A request that is refused before the password is
/// verified is not counted.
fn count_password_login(app: &App, result: &Result<Tokens, TokenError>) {
    let Some(connector) = &app.issuer.settings.password_connector else { return };
    let result = match result {
        Ok(_) => LoginResult::Success,
        Err(TokenError::Refused(TokenErrorCode::InvalidGrant, _)) => LoginResult::Refused,
        Err(TokenError::Refused(TokenErrorCode::TooManyRequests, _)) => LoginResult::Delayed,
        Err(TokenError::Refused(..)) => return,
        Err(TokenError::Failed(error)) => LoginResult::of_error(error),
    };
    app.metrics.login(connector.as_str(), result);
}

/// 200 without a body, whether or not the token was issued here (RFC 7009 section 2.2).
pub async fn revoke(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let result = async {
        let (client, token) = client_and_token(&app, &parts, body).await?;
        app.issuer.revoke(&client, &token).await?;
        Ok(json_bytes(StatusCode::OK, Body::empty()))
    };
    result.await.unwrap_or_else(|error| error_response(&app, &parts, error))
}

/// Refuses public clients: a client id without a secret is not authentication (RFC 7662 section 2.1).
pub async fn introspect(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let result = async {
        let (client, token) = client_and_token(&app, &parts, body).await?;
        if client.secret.is_none() {
            return Err(invalid_client());
        }
        Ok(json(StatusCode::OK, &app.issuer.introspect(&client, &token).await?))
    };
    result.await.unwrap_or_else(|error| error_response(&app, &parts, error))
}

/// 405 with an OAuth error, for every method except POST.
pub async fn method_not_allowed(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let error = TokenError::refused(TokenErrorCode::InvalidRequest, "method not allowed");
    let mut response = error_response(&app, &parts, error);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

pub(crate) fn authenticate(
    app: &App,
    parts: &Parts,
    pairs: &Pairs,
) -> Result<Arc<Client>, TokenError> {
    let credentials = client_credentials(&parts.headers, pairs)?;
    app.issuer.clients.authenticate(&credentials).ok_or_else(invalid_client)
}

async fn client_and_token(
    app: &App,
    parts: &Parts,
    body: Body,
) -> Result<(Arc<Client>, Secret), TokenError> {
    let pairs = parameters(parts, body).await?;
    let client = authenticate(app, parts, &pairs)?;
    match parameter(&pairs, "token") {
        Some(token) => Ok((client, Secret::new(token))),
        None => invalid_request("Required param: token."),
    }
}

/// The form parameters, none of the known ones repeated (RFC 6749 section 3.2). Parameters in the query are refused,
/// because URLs are logged.
pub(crate) async fn parameters(parts: &Parts, body: Body) -> Result<form::Pairs, TokenError> {
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return invalid_request("Parameters belong in the body");
    }
    let pairs = form::read(&parts.headers, body).await.map_err(|status| {
        let reason = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "The body is too large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                "The body must be of type application/x-www-form-urlencoded"
            }
            _ => "The body is malformed",
        };
        TokenError::refused(TokenErrorCode::InvalidRequest, reason)
    })?;
    match repeated_parameter(&pairs) {
        Some(name) => invalid_request(format!("Parameter {name} is repeated")),
        None => Ok(pairs),
    }
}

/// The value of a parameter. An empty one counts as omitted (RFC 6749 section 3.2).
pub(crate) fn parameter<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    once(pairs, name).filter(|value| !value.is_empty())
}

/// The first known parameter that is repeated; unknown ones are ignored (section 3.2).
fn repeated_parameter(pairs: &Pairs) -> Option<&'static str> {
    const KNOWN: [&str; 20] = [
        "grant_type",
        "code",
        "redirect_uri",
        "code_verifier",
        "refresh_token",
        "scope",
        "client_id",
        "client_secret",
        "token",
        "device_code",
        "code_challenge",
        "code_challenge_method",
        "username",
        "password",
        "nonce",
        "subject_token",
        "subject_token_type",
        "requested_token_type",
        "connector_id",
        "actor_token",
    ];
    KNOWN.into_iter().find(|name| pairs.iter().filter(|(key, _)| key == name).count() > 1)
}

fn invalid_request<T>(description: impl Into<String>) -> Result<T, TokenError> {
    Err(TokenError::refused(TokenErrorCode::InvalidRequest, description))
}

/// The error response of RFC 6749 section 5.2. The cause of an internal error is logged and not sent to the client.
pub(crate) fn error_response(app: &App, parts: &Parts, error: TokenError) -> Response {
    match error {
        TokenError::Refused(code, description) => {
            tracing::info!(error = code.as_str(), reason = description, "token request refused");
            let mut response = oauth_error(code, &description);
            if code == TokenErrorCode::TooManyRequests {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            }
            if code == TokenErrorCode::InvalidClient && uses_authorization_header(&parts.headers) {
                let realm = format!("Basic realm=\"{}\"", app.issuer.settings.issuer.as_str());
                if let Ok(value) = HeaderValue::try_from(realm) {
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
                }
            }
            response
        }
        TokenError::Failed(
            error @ (IssuerError::Unavailable { .. } | IssuerError::OutcomeUnknown { .. }),
        ) => {
            tracing::error!(cause = %error, "a token request could not be answered");
            let code = TokenErrorCode::TemporarilyUnavailable;
            let description = match error {
                IssuerError::OutcomeUnknown { .. } => {
                    "The database did not confirm the change, which may have been made. Try again in a moment."
                }
                _ => "Try again in a moment.",
            };
            let mut response = oauth_error(code, description);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
        TokenError::Failed(IssuerError::Unstorable(_)) => {
            oauth_error(TokenErrorCode::InvalidGrant, "This server did not issue this value.")
        }
        TokenError::Failed(IssuerError::Misconfigured { what, missing, cause }) => {
            tracing::error!(
                upstream = what,
                cause,
                "a token request failed: misconfigured upstream"
            );
            // A description must be ASCII without quotation marks and backslashes (section 5.2).
            let printable = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
            let missing: String = missing.chars().filter(printable).collect();
            let description = format!("{missing} An administrator must act.");
            oauth_error(TokenErrorCode::ServerError, &description)
        }
        TokenError::Failed(error) => {
            tracing::error!(cause = %error, "a token request failed");
            oauth_error(TokenErrorCode::ServerError, "The server failed; its log has the cause.")
        }
    }
}

fn oauth_error(code: TokenErrorCode, description: &str) -> Response {
    #[derive(Serialize)]
    struct ErrorBody<'a> {
        error: &'a str,
        error_description: &'a str,
    }
    let status = match code {
        TokenErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
        TokenErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        TokenErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        TokenErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    json(status, &ErrorBody { error: code.as_str(), error_description: description })
}
