//! `/keys`: the published keys (RFC 7517 section 5), from memory also when the database is down.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use crate::app::App;
use crate::published::published;

pub async fn get(State(app): State<App>, headers: HeaderMap) -> Response {
    let keys = app.issuer.keyring.keys();
    // An API server looks again only when this has passed, so it is never sent without a number.
    let age = match keys.is_stale(app.issuer.now()) {
        true => HeaderValue::from_static("public, max-age=0, must-revalidate"),
        false => HeaderValue::from_static("public, max-age=300, must-revalidate"),
    };
    published(&headers, keys.published.to_string(), &keys.entity_tag, age)
}
