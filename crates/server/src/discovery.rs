//! Discovery (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3) and `/keys` (RFC 7517 section 5): public,
//! cacheable, and served from memory even while the database is unavailable.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_issuer::discovery::PublishedDocument;

use crate::app::App;

pub async fn metadata(State(app): State<App>, headers: HeaderMap) -> Response {
    let cache_control = HeaderValue::from_static("public, max-age=300");
    cacheable_json(&headers, &app.issuer.keyring.keys().metadata, cache_control)
}

pub async fn keys(State(app): State<App>, headers: HeaderMap) -> Response {
    let keys = app.issuer.keyring.keys();
    // An API server fetches the keys again only after max-age, so the header always has a value.
    let cache_control = match keys.is_stale(app.issuer.now()) {
        true => HeaderValue::from_static("public, max-age=0, must-revalidate"),
        false => HeaderValue::from_static("public, max-age=300, must-revalidate"),
    };
    cacheable_json(&headers, &keys.key_set, cache_control)
}

/// 304 without a body where `If-None-Match` names the document's entity tag (RFC 9110 section 13.1.2).
fn cacheable_json(
    request: &HeaderMap,
    document: &PublishedDocument,
    cache_control: HeaderValue,
) -> Response {
    let PublishedDocument { body, entity_tag } = document;
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| {
        known.split(',').any(|one| one.trim().trim_start_matches("W/") == entity_tag)
    });
    let mut response =
        Response::new(if unchanged { Body::empty() } else { Body::from(body.to_string()) });
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
