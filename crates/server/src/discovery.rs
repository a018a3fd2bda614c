//! Discovery (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3) and `/keys` (RFC 7517 section 5): public,
//! cacheable, and served from memory even while the database is unavailable.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_issuer::discovery::{self, Discovery};

use crate::app::App;

pub async fn metadata(State(app): State<App>, headers: HeaderMap) -> Response {
    let keys = app.issuer.keyring.keys();
    let document = Discovery::of(&app.issuer.settings, keys.algorithms());
    let body = serde_json::to_string_pretty(&document).unwrap_or_default();
    let entity_tag = discovery::entity_tag(&body);
    let cache_control = HeaderValue::from_static("public, max-age=300");
    cacheable_json(&headers, body, &entity_tag, cache_control)
}

pub async fn keys(State(app): State<App>, headers: HeaderMap) -> Response {
    let keys = app.issuer.keyring.keys();
    // An API server fetches the keys again only after max-age, so the header always has a value.
    let cache_control = match keys.is_stale(app.issuer.now()) {
        true => HeaderValue::from_static("public, max-age=0, must-revalidate"),
        false => HeaderValue::from_static("public, max-age=300, must-revalidate"),
    };
    cacheable_json(&headers, keys.published.to_string(), &keys.entity_tag, cache_control)
}

/// 304 without a body if `If-None-Match` contains `entity_tag`, which includes its quotes (RFC 9110 section 13.1.2).
fn cacheable_json(
    request: &HeaderMap,
    body: String,
    entity_tag: &str,
    cache_control: HeaderValue,
) -> Response {
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| {
        known.split(',').any(|one| one.trim().trim_start_matches("W/") == entity_tag)
    });
    let mut response = Response::new(if unchanged { Body::empty() } else { Body::from(body) });
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, cache_control);
    if let Ok(entity_tag) = HeaderValue::try_from(entity_tag) {
        headers.insert(header::ETAG, entity_tag);
    }
    response
}
