//! Parameters of queries and forms, as lists: a repeated one must be seen (RFC 6749 section 3.1).

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use crate::app::App;
use crate::page_error::PageError;
use crate::pages::PageErrorKind;
use crate::request_context::RequestContext;

/// No form of ours and no token request comes near this.
const BODY_BYTES: usize = 64 * 1024;
const MOST_PARAMETERS: usize = 100;

pub type Pairs = Vec<(String, String)>;

/// The query, decoded; absent is empty.
pub struct Query(pub Pairs);

impl FromRequestParts<App> for Query {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let query = parts.uri.query().unwrap_or_default();
        match decode(query.as_bytes()) {
            Ok(pairs) => Ok(Self(pairs)),
            Err(status) => Err(unreadable(parts, app, status).await),
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
            Err(status) => Err(unreadable(&mut parts, app, status).await),
        }
    }
}

/// A page like any other error's, with the status that says what was wrong.
async fn unreadable(parts: &mut Parts, app: &App, status: StatusCode) -> Response {
    let Ok(context) = RequestContext::from_request_parts(parts, app).await;
    let mut response = PageError::from(PageErrorKind::BadRequest).show(app, &context);
    *response.status_mut() = status;
    response
}

/// Reads a form; the status says why it is none: 415, 413 or 400.
pub async fn read(headers: HeaderMap, body: Body) -> Result<Pairs, StatusCode> {
    if !is_form(&headers) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let bytes = to_bytes(body, BODY_BYTES).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    decode(&bytes)
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = value.unwrap_or_default().split(';').map(str::trim);
    let form = parts.next().is_some_and(|t| t.eq_ignore_ascii_case(FORM));
    form && parts.all(|parameter| {
        let charset = parameter.to_ascii_lowercase();
        !charset.starts_with("charset=") || charset.trim_matches('"').ends_with("utf-8")
    })
}

const FORM: &str = "application/x-www-form-urlencoded";

/// `name=value&…`, decoded; the status says why it is none.
pub fn decode(bytes: &[u8]) -> Result<Pairs, StatusCode> {
    let text = std::str::from_utf8(bytes).map_err(|_| StatusCode::BAD_REQUEST)?;
    let parts = text.split('&').filter(|part| !part.is_empty());
    let pairs: Option<Pairs> = parts
        .take(MOST_PARAMETERS + 1)
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect();
    pairs.filter(|pairs| pairs.len() <= MOST_PARAMETERS).ok_or(StatusCode::BAD_REQUEST)
}

/// Form-decoded text. `None` when it is not UTF-8: what cannot be sent back exactly is not taken in.
pub fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(|t| t.into_owned())
}

/// The value of a parameter that stands exactly once.
pub fn once<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = pairs.iter().filter(|(key, _)| key == name);
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value.as_str())
}
