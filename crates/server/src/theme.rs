//! `/theme/{file}`: stylesheet, logo and favicon of one's own, at Dex's paths.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::app::App;
use crate::page_error::PageError;
use crate::pages::PageErrorKind;
use crate::request_context::RequestContext;

/// The files of `frontend.dir`, held in memory.
#[derive(Clone, Debug, Default)]
pub struct ThemeFiles {
    pub styles: Option<Vec<u8>>,
    pub logo: Option<Vec<u8>>,
    pub favicon: Option<Vec<u8>>,
}

pub const STYLES: &str = "styles.css";
pub const LOGO: &str = "logo.png";
pub const FAVICON: &str = "favicon.png";

impl ThemeFiles {
    fn find(&self, name: &str) -> Option<(&[u8], &'static str)> {
        let (bytes, content_type) = match name {
            STYLES => (&self.styles, "text/css; charset=utf-8"),
            LOGO => (&self.logo, "image/png"),
            FAVICON => (&self.favicon, "image/png"),
            _ => return None,
        };
        Some((bytes.as_deref()?, content_type))
    }
}

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
