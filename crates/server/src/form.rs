//! Parameters of queries and forms. They are lists, because a repeated parameter must be detected (RFC 6749 section 3.1).
//!
//! Flash messages: the result that a page shows after a form was submitted. The redirect carries the message sealed to the
//! browser, so that reloading the page repeats nothing and no one else can create a message.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::page_error::PageError;
use crate::pages::PageErrorKind;
use crate::process_state;
use crate::request_context::RequestContext;
use crate::response::see_other;

/// Limit of a form: the longest token that is verified (64 KiB) plus other parameters.
const MAX_BODY_BYTES: usize = 96 * 1024;
/// Limit of a form with a SAML response: no longer body of a request is read.
const MAX_SAML_BODY_BYTES: usize = process_state::MAX_BODY_BYTES;
const MAX_PARAMETERS: usize = 100;

pub type Pairs = Vec<(String, String)>;

/// Extractor: the decoded query; empty if there is none.
pub struct Query(pub Pairs);

impl FromRequestParts<App> for Query {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Response> {
        let query = parts.uri.query().unwrap_or_default();
        decode(query.as_bytes()).map(Self).map_err(error_page)
    }
}

/// Extractor: a decoded body of type `application/x-www-form-urlencoded`.
pub struct Form(pub Pairs);

impl FromRequest<App> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, _: &App) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        read(&parts.headers, body).await.map(Self).map_err(error_page)
    }
}

/// Extractor: like [`Form`], with the larger limit for SAML responses.
pub struct SamlForm(pub Pairs);

impl FromRequest<App> for SamlForm {
    type Rejection = Response;

    async fn from_request(request: Request, _: &App) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        read_at_most(MAX_SAML_BODY_BYTES, &parts.headers, body).await.map(Self).map_err(error_page)
    }
}

/// The error page for a malformed request, with this status.
fn error_page(status: StatusCode) -> Response {
    let mut response = PageError::from(PageErrorKind::BadRequest).into_response();
    *response.status_mut() = status;
    response
}

/// Reads a form. Errors: 415 (another content type), 413 (too large), 400 (malformed).
pub async fn read(headers: &HeaderMap, body: Body) -> Result<Pairs, StatusCode> {
    read_at_most(MAX_BODY_BYTES, headers, body).await
}

async fn read_at_most(
    max_bytes: usize,
    headers: &HeaderMap,
    body: Body,
) -> Result<Pairs, StatusCode> {
    if !is_form(headers) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let bytes = to_bytes(body, max_bytes).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    decode(&bytes)
}

const FORM: &str = "application/x-www-form-urlencoded";

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = value.unwrap_or_default().split(';').map(str::trim);
    let form = parts.next().is_some_and(|t| t.eq_ignore_ascii_case(FORM));
    form && parts.all(|parameter| {
        let charset = parameter.to_ascii_lowercase();
        !charset.starts_with("charset=") || charset.trim_matches('"').ends_with("utf-8")
    })
}

/// Decodes `name=value&…`; 400 if it is malformed or has too many parameters.
pub fn decode(bytes: &[u8]) -> Result<Pairs, StatusCode> {
    let text = std::str::from_utf8(bytes).map_err(|_| StatusCode::BAD_REQUEST)?;
    let parts = text.split('&').filter(|part| !part.is_empty());
    let pairs: Option<Pairs> = parts
        .take(MAX_PARAMETERS + 1)
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect();
    pairs.filter(|pairs| pairs.len() <= MAX_PARAMETERS).ok_or(StatusCode::BAD_REQUEST)
}

/// Decodes form-encoded text; `None` if it is not UTF-8, since it could not be returned unchanged.
pub fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

/// The value of a parameter that occurs exactly once.
pub fn once<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = pairs.iter().filter(|(key, _)| key == name);
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value.as_str())
}

/// Redirects with 303 to `page` (a path relative to the issuer, with or without a query), which reads the message with
/// [`flash`]. `about` names the kind of message. Without a browser binding the message is omitted.
pub fn redirect_with_flash(
    app: &App,
    context: &RequestContext,
    page: &str,
    about: &str,
    message: &impl Serialize,
) -> Result<Response, PageError> {
    let path = app.path(page);
    let Some(binding) = &context.binding else { return Ok(see_other(&path)) };
    let sealed = app.issuer.seal_flash(about, binding, message)?;
    let joint = if page.contains('?') { '&' } else { '?' };
    Ok(see_other(&format!("{path}{joint}flash={sealed}")))
}

/// The message of [`redirect_with_flash`], if it was sealed to this browser, for the same `about`, within the last
/// minutes.
pub fn flash<T: DeserializeOwned>(
    app: &App,
    context: &RequestContext,
    pairs: &[(String, String)],
    about: &str,
) -> Option<T> {
    app.issuer.open_flash(about, context.binding.as_ref()?, once(pairs, "flash")?)
}
