//! What API servers ask: whose a token is (`authentication.k8s.io` TokenReview), and which groups its
//! person has now (OpenID Connect Core 1.0 section 5.6.2). Never for browsers, never across origins.

use std::collections::BTreeMap;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use countersign_core::{ClientId, Secret};
use countersign_issuer::IssuerError;
use countersign_issuer::kubernetes::{Review, User};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::token::json;
use crate::userinfo::{bearer, refused};

/// A token of the greatest length that is looked at, twice over.
const BODY_BYTES: usize = 2 * 64 * 1024;
/// Both say the same in the same words.
const VERSIONS: [&str; 2] = ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"];
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    api_version: String,
    kind: String,
    spec: Spec,
}

/// `audiences` is not read: it names the API server in words that only it knows. An answer without
/// audiences says "for you", which is what it takes an ID token of its own for as well.
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'a str,
    kind: &'a str,
    status: Status,
}

#[derive(Default, Serialize)]
struct Status {
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserInfo>,
    /// Given with every no: without one the API server would remember it as long as a yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct UserInfo {
    username: String,
    groups: Vec<String>,
    extra: BTreeMap<&'static str, Vec<String>>,
}

pub async fn review(
    State(app): State<App>,
    Path(client): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let credential = bearer(&parts.headers);
    let Some(cluster) = app.issuer.cluster(&ClientId::new(client), credential.as_ref()) else {
        tracing::warn!("a token review without the credential of a webhook was refused");
        return refused(StatusCode::UNAUTHORIZED, credential.map(|_| "invalid_token"));
    };
    let Some(body) = read(body).await else {
        return invalid(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    };
    // Why it cannot be read is not told: the text might hold a part of the token.
    let Ok(Asked { api_version, kind, spec }) = serde_json::from_slice(&body) else {
        return invalid(StatusCode::BAD_REQUEST, "expected a TokenReview");
    };
    if kind != "TokenReview" || !VERSIONS.contains(&api_version.as_str()) {
        let why = "expected a TokenReview of authentication.k8s.io/v1 or v1beta1";
        return invalid(StatusCode::BAD_REQUEST, why);
    }
    let status = match app.issuer.review(cluster, &Secret::new(spec.token)).await {
        Ok(Review::Yes(user)) => {
            Status { authenticated: true, user: Some(user.into()), error: None }
        }
        Ok(Review::No(why)) => Status { error: Some(why), ..Status::default() },
        // Without Retry-After: the API server would wait and ask again, an engineer's request in its
        // hands, for up to a minute. It remembers nothing of a failure.
        Err(failure) => return failed(&failure),
    };
    json(StatusCode::OK, &Answer { api_version: &api_version, kind: &kind, status })
}

/// `None` when it is too large, which is seen before it is read if it says so.
async fn read(body: Body) -> Option<Bytes> {
    let fits = usize::try_from(body.size_hint().lower()).is_ok_and(|bytes| bytes <= BODY_BYTES);
    if !fits {
        return None;
    }
    to_bytes(body, BODY_BYTES).await.ok()
}

pub async fn groups(State(app): State<App>, headers: HeaderMap) -> Response {
    let Some(handle) = bearer(&headers) else { return refused(StatusCode::UNAUTHORIZED, None) };
    match app.issuer.groups_token(&handle).await {
        Ok(Some(token)) => {
            let mut response = Response::new(Body::from(token));
            let jwt = HeaderValue::from_static("application/jwt");
            response.headers_mut().insert(header::CONTENT_TYPE, jwt);
            response
        }
        Ok(None) => refused(StatusCode::UNAUTHORIZED, Some("invalid_token")),
        Err(failure) => {
            let mut response = failed(&failure);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
    }
}

fn failed(failure: &IssuerError) -> Response {
    tracing::error!(cause = %failure, "a cluster could not be answered");
    refused(
        match failure {
            IssuerError::Unavailable { .. } | IssuerError::OutcomeUnknown { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        },
        None,
    )
}

fn invalid(status: StatusCode, why: &str) -> Response {
    tracing::warn!(reason = why, "a token review could not be read");
    json(status, &serde_json::json!({ "error": "invalid_request", "error_description": why }))
}

impl From<User> for UserInfo {
    fn from(user: User) -> Self {
        let extra = user.credential_id.map(|id| (CREDENTIAL_ID, vec![id]));
        Self { username: user.username, groups: user.groups, extra: extra.into_iter().collect() }
    }
}
