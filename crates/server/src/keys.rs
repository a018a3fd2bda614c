//! `/keys`: the published keys (RFC 7517 section 5), from memory also when the database is down.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::app::App;

pub async fn get(State(app): State<App>, headers: HeaderMap) -> Response {
    let keys = app.issuer.keyring.keys();
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| {
        known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == keys.entity_tag)
    });
    let mut response = Response::new(match unchanged {
        true => Body::empty(),
        false => Body::from(keys.published.to_string()),
    });
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    // An API server looks again only when this has passed, so it is never sent without a number.
    let age = match keys.is_stale(app.issuer.now()) {
        true => HeaderValue::from_static("public, max-age=0, must-revalidate"),
        false => HeaderValue::from_static("public, max-age=300, must-revalidate"),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, age);
    if let Ok(tag) = HeaderValue::try_from(keys.entity_tag.as_str()) {
        headers.insert(header::ETAG, tag);
    }
    response
}
