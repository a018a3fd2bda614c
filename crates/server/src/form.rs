//! Parameters of queries and forms, as lists, because a repeated parameter must be noticed (RFC 6749 section 3.1).

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use crate::app::App;
use crate::page_error::PageError;
use crate::pages::PageErrorKind;
use crate::request_context::RequestContext;

/// The longest token that we verify (64 KiB), as a form parameter among others.
const MAX_BODY_BYTES: usize = 96 * 1024;
/// A SAML response of 256 kB as base64, percent-encoded.
const MAX_SAML_BODY_BYTES: usize = 512 * 1024;
const MAX_PARAMETERS: usize = 100;

pub type Pairs = Vec<(String, String)>;

/// The query, decoded; absent is empty.
pub struct Query(pub Pairs);

impl FromRequestParts<App> for Query {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let query = parts.uri.query().unwrap_or_default();
        match decode(query.as_bytes()) {
            Ok(pairs) => Ok(Self(pairs)),
            Err(status) => Err(error_page(parts, app, status).await),
        }
    }
}

/// A body of type `application/x-www-form-urlencoded`, decoded.
pub struct Form(pub Pairs);

impl FromRequest<App> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        match read(parts.headers.clone(), body).await {
            Ok(pairs) => Ok(Self(pairs)),
            Err(status) => Err(error_page(&mut parts, app, status).await),
        }
    }
}

/// A [`Form`] with a SAML response.
pub struct SamlForm(pub Pairs);

impl FromRequest<App> for SamlForm {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        match read_at_most(MAX_SAML_BODY_BYTES, parts.headers.clone(), body).await {
            Ok(pairs) => Ok(Self(pairs)),
            Err(status) => Err(error_page(&mut parts, app, status).await),
        }
    }
}

/// The page for a malformed request, with the exact status.
async fn error_page(parts: &mut Parts, app: &App, status: StatusCode) -> Response {
    let Ok(context) = RequestContext::from_request_parts(parts, app).await;
    let mut response = PageError::from(PageErrorKind::BadRequest).show(app, &context);
    *response.status_mut() = status;
    response
}

/// Reads a form. Errors: 415 (another content type), 413 (too large), 400 (malformed).
pub async fn read(headers: HeaderMap, body: Body) -> Result<Pairs, StatusCode> {
    read_at_most(MAX_BODY_BYTES, headers, body).await
}

async fn read_at_most(
    max_bytes: usize,
    headers: HeaderMap,
    body: Body,
) -> Result<Pairs, StatusCode> {
    if !is_form(&headers) {
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

/// Form-decoded text; `None` if it is not UTF-8, because then it cannot be echoed exactly.
pub fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

/// The value of a parameter that is there exactly once.
pub fn once<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = pairs.iter().filter(|(key, _)| key == name);
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value.as_str())
}
