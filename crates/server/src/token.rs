//! `/token` (RFC 6749 section 3.2): the body becomes a [`TokenRequest`] once, the client proves itself once.

mod client;
mod error;
mod revoke;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use countersign_core::{Scopes, Secret};
use countersign_issuer::token::{TokenError, TokenErrorCode, TokenRequest};

use crate::app::App;
use crate::form::{self, once};
use error::refusal;

pub use error::json;
pub use revoke::{introspect, revoke};

type Pairs = [(String, String)];

pub async fn post(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match answer(&app, &parts, body).await {
        Ok(response) => response,
        Err(error) => refusal(&app, error),
    }
}

pub async fn wrong_method(State(app): State<App>) -> Response {
    let error = TokenError::refused(TokenErrorCode::InvalidRequest, "method not allowed");
    let mut response = refusal(&app, error);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
    response
}

async fn answer(app: &App, parts: &Parts, body: Body) -> Result<Response, TokenError> {
    let pairs = parameters(parts, body).await?;
    let proof = client::proof(&parts.headers, &pairs)?;
    let client = app.issuer.clients.authenticate(&proof).ok_or_else(client::invalid)?;
    let grant = grant(&pairs)?;
    let name = grant.name();
    let tokens = app.issuer.token(client, grant).await?;
    app.metrics.tokens_issued(name, client.id.as_str());
    Ok(json(StatusCode::OK, &tokens))
}

/// The form of a client, each parameter once (RFC 6749 section 3.2).
async fn parameters(parts: &Parts, body: Body) -> Result<Vec<(String, String)>, TokenError> {
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        // Queries end in logs: secrets there are refused, and nothing else belongs there either.
        return invalid_request("Parameters belong in the body");
    }
    let pairs = form::read(parts.headers.clone(), body).await.map_err(|status| {
        let why = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "The body is too large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                "The body must be of type application/x-www-form-urlencoded"
            }
            _ => "The body is malformed",
        };
        TokenError::refused(TokenErrorCode::InvalidRequest, why)
    })?;
    match repeated(&pairs) {
        Some(name) => invalid_request(format!("Parameter {name} is repeated")),
        None => Ok(pairs),
    }
}

/// The one place where a body becomes a grant.
fn grant(pairs: &Pairs) -> Result<TokenRequest, TokenError> {
    let secret = |name| once(pairs, name).filter(|v| !v.is_empty()).map(Secret::new);
    match once(pairs, "grant_type") {
        Some("authorization_code") => {
            let Some(code) = secret("code") else {
                return invalid_request("Required param: code.");
            };
            Ok(TokenRequest::AuthorizationCode {
                code,
                redirect_uri: once(pairs, "redirect_uri").map(str::to_owned),
                verifier: secret("code_verifier"),
            })
        }
        Some("refresh_token") => {
            let Some(token) = secret("refresh_token") else {
                return invalid_request("No refresh token is found in request.");
            };
            Ok(TokenRequest::RefreshToken { token, scope: once(pairs, "scope").map(Scopes::parse) })
        }
        Some("client_credentials") => {
            Ok(TokenRequest::ClientCredentials { scope: once(pairs, "scope").map(Scopes::parse) })
        }
        Some(_) => Err(TokenError::refused(
            TokenErrorCode::UnsupportedGrantType,
            "This grant type is not supported",
        )),
        None => invalid_request("Required param: grant_type."),
    }
}

fn repeated(pairs: &Pairs) -> Option<&'static str> {
    const NAMES: [&str; 9] = [
        "grant_type",
        "code",
        "redirect_uri",
        "code_verifier",
        "refresh_token",
        "scope",
        "client_id",
        "client_secret",
        "token",
    ];
    NAMES.into_iter().find(|name| pairs.iter().filter(|(key, _)| key == name).count() > 1)
}

fn invalid_request<T>(description: impl Into<String>) -> Result<T, TokenError> {
    Err(TokenError::refused(TokenErrorCode::InvalidRequest, description))
}
