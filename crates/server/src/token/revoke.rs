//! `/revoke` (RFC 7009) and `/token/introspect` (RFC 7662): a client, proven as at `/token`, about one token.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::{Client, Secret};
use countersign_issuer::token::{TokenError, TokenErrorCode};

use super::error::{json, refusal};
use super::{client, parameters};
use crate::app::App;
use crate::form::once;

pub async fn revoke(State(app): State<App>, request: Request) -> Response {
    match about(&app, request).await {
        Ok((client, token)) => match app.issuer.revoke(client, &token).await {
            // An empty answer, whatever the token was (section 2.2).
            Ok(()) => {
                let mut response = json(StatusCode::OK, &());
                *response.body_mut() = Body::empty();
                response
            }
            Err(failure) => refusal(&app, failure.into()),
        },
        Err(error) => refusal(&app, error),
    }
}

pub async fn introspect(State(app): State<App>, request: Request) -> Response {
    match about(&app, request).await {
        // Whoever may ask must have proved it: a public client's name proves nothing.
        Ok((client, _)) if client.secret.is_none() => refusal(&app, client::invalid()),
        Ok((client, token)) => match app.issuer.introspect(client, &token).await {
            Ok(answer) => json(StatusCode::OK, &answer),
            Err(failure) => refusal(&app, failure.into()),
        },
        Err(error) => refusal(&app, error),
    }
}

async fn about(app: &App, request: Request) -> Result<(&Client, Secret), TokenError> {
    let (parts, body) = request.into_parts();
    let pairs = parameters(&parts, body).await?;
    let proof = client::proof(&parts.headers, &pairs)?;
    let client = app.issuer.clients.authenticate(&proof).ok_or_else(client::invalid)?;
    let token = once(&pairs, "token").filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| {
        TokenError::refused(TokenErrorCode::InvalidRequest, "Required param: token.")
    })?;
    Ok((client, Secret::new(token)))
}
