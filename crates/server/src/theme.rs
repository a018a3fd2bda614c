//! `/theme/{file}`: stylesheet, logo and favicon of one's own, at Dex's paths.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::app::App;
use crate::page_error::PageError;
use crate::pages::PageErrorKind;
use crate::request_context::RequestContext;

pub async fn get(
    State(app): State<App>,
    context: RequestContext,
    Path(file): Path<String>,
) -> Response {
    let Some((bytes, content_type)) = app.settings.theme.find(&file) else {
        return PageError::from(PageErrorKind::NotFound).show(&app, &context);
    };
    let mut response = Response::new(Body::from(bytes.to_vec()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The name stays when the content changes.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    let policy = HeaderValue::from_static("default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
