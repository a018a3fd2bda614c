//! What the operations of the API share: its OpenAPI 3.1 description, and its errors, which are problem details
//! (RFC 9457) with stable types.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_issuer::IssuerError;
use countersign_issuer::admin::AdminTokenError;
use countersign_issuer::admin::fields::{FieldError, RequestError};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::App;
use crate::response::json;

const DESCRIPTION: &str = include_str!("openapi.json");

/// `GET /api/v1/openapi.json`. It is public: of this installation it contains only the issuer URL.
pub async fn description(State(app): State<App>) -> Result<Response, ProblemDetails> {
    let broken = |_| IssuerError::Broken("openapi.json is not JSON".to_owned());
    let mut document: Map<String, Value> = serde_json::from_str(DESCRIPTION).map_err(broken)?;
    let here = app.issuer.settings.issuer.endpoint("/api/v1");
    document.insert("servers".to_owned(), serde_json::json!([{ "url": here }]));
    Ok(json(StatusCode::OK, &document))
}

/// One kind of problem; its `type` is `urn:countersign:problem:` and the name.
#[derive(Serialize)]
pub struct ProblemDetails {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The invalid field, if the error is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl ProblemDetails {
    fn new(status: StatusCode, name: &str, title: &'static str) -> Self {
        let kind = format!("urn:countersign:problem:{name}");
        Self { kind, title, status: status.as_u16(), detail: None, field: None }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub fn unauthenticated() -> Self {
        let problem =
            Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Authentication required");
        problem.detail("Send an access token with the scope countersign:admin as a Bearer token")
    }

    pub fn not_found(what: &str) -> Self {
        let problem = Self::new(StatusCode::NOT_FOUND, "not-found", "Not found");
        problem.detail(format!("no live {what} has this id"))
    }

    /// The server cannot reload: it is shutting down, or is a command on the database.
    pub fn reload_unavailable() -> Self {
        let (status, name) = (StatusCode::SERVICE_UNAVAILABLE, "unavailable");
        Self::new(status, name, "Service unavailable").detail("this server does not reload now")
    }

    pub fn bad_body() -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, "bad-request", "Invalid request body");
        problem.detail("expected a JSON object of at most 64 KB whose values are texts")
    }
}

impl From<AdminTokenError> for ProblemDetails {
    fn from(refused: AdminTokenError) -> Self {
        match refused {
            AdminTokenError::InvalidToken => {
                Self::new(StatusCode::UNAUTHORIZED, "invalid-token", "Invalid token")
            }
            AdminTokenError::Failed(error) => Self::from(error),
            AdminTokenError::InsufficientScope => {
                let (status, name) = (StatusCode::FORBIDDEN, "not-an-administrator");
                Self::new(status, name, "Not an administrator").detail(
                    "It must be issued to a client of admin.clients, with the scope \
                     countersign:admin, for a person in admin.groups or for the client itself, and for \
                     no other application",
                )
            }
        }
    }
}

impl From<RequestError> for ProblemDetails {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Field(bad) => Self::from(bad),
            RequestError::Failed(error) => Self::from(error),
        }
    }
}

impl From<FieldError> for ProblemDetails {
    fn from(bad: FieldError) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, "bad-field", "Invalid parameter");
        Self { field: Some(bad.field), ..problem.detail(bad.problem) }
    }
}

impl From<IssuerError> for ProblemDetails {
    fn from(failure: IssuerError) -> Self {
        match failure {
            IssuerError::Unavailable { ref what, .. } => {
                tracing::error!(cause = %failure, "the API could not answer");
                let (status, name) = (StatusCode::SERVICE_UNAVAILABLE, "unavailable");
                Self::new(status, name, "Service unavailable")
                    .detail(format!("{what} is unavailable"))
            }
            IssuerError::OutcomeUnknown { ref what, .. } => {
                tracing::error!(cause = %failure, "the outcome of an API call is unknown");
                let (status, name) = (StatusCode::SERVICE_UNAVAILABLE, "unavailable");
                Self::new(status, name, "Service unavailable")
                    .detail(format!("{what} did not confirm the change, which may have been made"))
            }
            IssuerError::Misconfigured { what, missing, cause } => {
                tracing::error!(upstream = what, cause, "the API could not answer");
                let (status, name) = (StatusCode::BAD_GATEWAY, "upstream-misconfigured");
                Self::new(status, name, "The upstream is misconfigured").detail(missing)
            }
            IssuerError::KeyOfSigner(way) => {
                let (status, name) = (StatusCode::CONFLICT, "key-of-signer");
                Self::new(status, name, "The key is kept by another service").detail(way)
            }
            IssuerError::Unstorable(what) => {
                let (status, name) = (StatusCode::BAD_REQUEST, "bad-request");
                Self::new(status, name, "Invalid request").detail(what)
            }
            IssuerError::Broken(cause) => {
                tracing::error!(cause, "the API failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error")
            }
        }
    }
}

impl IntoResponse for ProblemDetails {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        let status = StatusCode::from_u16(self.status);
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        // RFC 6750 section 3: the expected credentials, and why those sent are invalid.
        let challenge = match (self.status, self.kind.rsplit(':').next()) {
            (401, Some("invalid-token")) => Some("Bearer error=\"invalid_token\""),
            (401, _) => Some("Bearer"),
            (403, _) => Some("Bearer error=\"insufficient_scope\", scope=\"countersign:admin\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.status == 503 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// The response for a path that the API does not have.
pub async fn not_found() -> ProblemDetails {
    ProblemDetails::new(StatusCode::NOT_FOUND, "not-found", "Not found")
}

/// The body for an error response without one, such as a wrong method.
pub fn bare(status: StatusCode) -> Response {
    let title = status.canonical_reason().unwrap_or("Invalid request");
    ProblemDetails::new(status, "bad-request", title).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Parses the routes from the source of the route table: `.route(&api_at("/x"),
    /// get(admin::x::api_list).delete(admin::x::api_delete))`.
    fn routed() -> BTreeSet<(String, String)> {
        let table = include_str!("../lib.rs");
        let routes = table.split("api_at(\"").skip(1);
        let split = |route: &str| {
            let (path, rest) = route.split_once('"').unwrap();
            let call = rest.split(".route(").next().unwrap();
            let methods = ["get", "post", "delete"];
            let named = methods.into_iter().filter(|m| call.contains(&format!("{m}(admin::")));
            named.map(|m| (path.to_owned(), m.to_owned())).collect::<Vec<_>>()
        };
        routes.flat_map(split).collect()
    }

    #[test]
    fn the_description_names_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(super::DESCRIPTION).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert((path.clone(), method.clone()));
            }
        }
        assert!(described.len() > 10);
        assert_eq!(routed(), described);
    }
}
