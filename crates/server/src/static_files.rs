//! Static files, the custom files of `frontend.dir`, `robots.txt`, and the page for unknown paths.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::page_error::PageError;
use crate::pages::{PageErrorKind, assets};

/// File names change with the content, so the response may be cached for a year.
pub async fn get(Path(file): Path<String>) -> Result<Response, PageError> {
    let asset = assets::find(&file).ok_or(PageErrorKind::NotFound)?;
    let mut response = Response::new(Body::from(asset.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    let ever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, ever);
    let policy = HeaderValue::from_static("default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// `/theme/{file}`: the custom stylesheet, logo and favicon, at Dex's paths.
pub async fn theme_file(
    State(app): State<App>,
    Path(file): Path<String>,
) -> Result<Response, PageError> {
    let (bytes, content_type) = app.settings.theme.find(&file).ok_or(PageErrorKind::NotFound)?;
    let mut response = Response::new(Body::from(bytes.to_vec()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The name does not change with the content, so the response is cached briefly.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    let policy = HeaderValue::from_static("default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

pub async fn robots() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain")], "User-agent: *\nDisallow: /\n")
}

pub async fn not_found() -> PageError {
    PageErrorKind::NotFound.into()
}
