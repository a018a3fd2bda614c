//! Discovery (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use countersign_issuer::discovery::Discovery;

use crate::app::App;

pub async fn discovery(State(app): State<App>) -> Response {
    let keys = app.issuer.keyring.keys();
    let document = Discovery::of(&app.issuer.settings, keys.algorithms());
    let body = serde_json::to_string_pretty(&document).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
