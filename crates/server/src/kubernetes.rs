//! Endpoints for Kubernetes API servers: the token webhook (`authentication.k8s.io` TokenReview), and the groups of a
//! user as distributed claims (OpenID Connect Core 5.6.2). Neither allows cross-origin requests.

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
use crate::response::json;
use crate::userinfo::{bearer_error, bearer_token};

/// Allows the longest token that is verified plus the rest of the review.
const MAX_BODY_BYTES: usize = 2 * 64 * 1024;
/// Supported versions, whose fields are identical.
const VERSIONS: [&str; 2] = ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"];
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenReviewRequest {
    api_version: String,
    kind: String,
    spec: Spec,
}

/// `spec.audiences` is ignored: it contains the API server's own identifiers, which are not client ids. A status
/// without audiences means that the token is valid for the requesting API server.
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenReviewResponse<'a> {
    api_version: &'a str,
    kind: &'a str,
    status: Status,
}

#[derive(Default, Serialize)]
struct Status {
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserInfo>,
    /// Set with every refusal: without it the API server caches the refusal like a success.
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
    let credential = bearer_token(&parts.headers);
    let Some(cluster) = app.issuer.cluster(&ClientId::new(client), credential.as_ref()) else {
        tracing::warn!("refused a token review without a webhook credential");
        return bearer_error(StatusCode::UNAUTHORIZED, credential.map(|_| "invalid_token"));
    };
    let Some(body) = read_body(body).await else {
        return invalid_review(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    };
    // The parser's message is discarded because it may quote part of the token.
    let Ok(TokenReviewRequest { api_version, kind, spec }) = serde_json::from_slice(&body) else {
        return invalid_review(StatusCode::BAD_REQUEST, "expected a TokenReview");
    };
    if kind != "TokenReview" || !VERSIONS.contains(&api_version.as_str()) {
        let reason = "expected a TokenReview of authentication.k8s.io/v1 or v1beta1";
        return invalid_review(StatusCode::BAD_REQUEST, reason);
    }
    let status = match app.issuer.review(&cluster, &Secret::new(spec.token)).await {
        Ok(Review::Yes(user)) => {
            Status { authenticated: true, user: Some(user.into()), error: None }
        }
        Ok(Review::No(reason)) => Status { error: Some(reason), ..Status::default() },
        // No Retry-After: the API server would obey it while the user's request waits, for up to a minute. It does not
        // cache failures.
        Err(error) => return failed(&error),
    };
    json(StatusCode::OK, &TokenReviewResponse { api_version: &api_version, kind: &kind, status })
}

/// The body; `None` if it is too large. A Content-Length above the limit is refused before reading.
async fn read_body(body: Body) -> Option<Bytes> {
    let fits = usize::try_from(body.size_hint().lower()).is_ok_and(|bytes| bytes <= MAX_BODY_BYTES);
    if !fits {
        return None;
    }
    to_bytes(body, MAX_BODY_BYTES).await.ok()
}

pub async fn groups(State(app): State<App>, headers: HeaderMap) -> Response {
    let Some(handle) = bearer_token(&headers) else {
        return bearer_error(StatusCode::UNAUTHORIZED, None);
    };
    match app.issuer.groups_token(&handle).await {
        Ok(Some(token)) => {
            let mut response = Response::new(Body::from(token));
            let jwt = HeaderValue::from_static("application/jwt");
            response.headers_mut().insert(header::CONTENT_TYPE, jwt);
            response
        }
        Ok(None) => bearer_error(StatusCode::UNAUTHORIZED, Some("invalid_token")),
        Err(error) => {
            let mut response = failed(&error);
            // What only an administrator can correct does not pass by itself.
            if response.status() == StatusCode::SERVICE_UNAVAILABLE {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            response
        }
    }
}

fn failed(error: &IssuerError) -> Response {
    tracing::error!(cause = %error, "a request of a cluster failed");
    bearer_error(
        match error {
            IssuerError::Unavailable { .. } | IssuerError::OutcomeUnknown { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        },
        None,
    )
}

fn invalid_review(status: StatusCode, reason: &str) -> Response {
    tracing::warn!(reason = reason, "refused a malformed token review");
    json(status, &serde_json::json!({ "error": "invalid_request", "error_description": reason }))
}

impl From<User> for UserInfo {
    fn from(user: User) -> Self {
        let extra = user.credential_id.map(|id| (CREDENTIAL_ID, vec![id]));
        Self { username: user.username, groups: user.groups, extra: extra.into_iter().collect() }
    }
}
