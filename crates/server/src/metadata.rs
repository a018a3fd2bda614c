//! Discovery (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use countersign_issuer::discovery::{self, Discovery};

use crate::app::App;
use crate::published::published;

pub async fn discovery(State(app): State<App>, headers: HeaderMap) -> Response {
    let keys = app.issuer.keyring.keys();
    let document = Discovery::of(&app.issuer.settings, keys.algorithms());
    let body = serde_json::to_string_pretty(&document).unwrap_or_default();
    let tag = discovery::entity_tag(&body);
    published(&headers, body, &tag, HeaderValue::from_static("public, max-age=300"))
}
