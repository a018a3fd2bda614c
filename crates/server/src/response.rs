//! Building HTTP responses: HTML pages with their security headers, redirects, JSON.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::App;
use crate::cookies::SetCookies;

/// The security headers that an HTML page needs, depending on its role in a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagePolicy {
    /// Not part of a client's login: forms are posted to this origin only, and the page has no opener.
    Standalone,
    /// Between a client and its redirect URI, without a form that ends there. The page keeps its opener: clients that
    /// log in in a popup read `window.opener` after the callback, and a single page with `Cross-Origin-Opener-Policy:
    /// same-origin` in between would sever it permanently.
    LoginStep,
    /// As [`PagePolicy::LoginStep`], with a form whose redirects may end at a client. Browsers apply `form-action` to
    /// every redirect after a form, so it is omitted.
    LoginForm,
    /// As [`PagePolicy::LoginForm`], with a static script: the password form, and the form of
    /// `response_mode=form_post`. Both work without it.
    ScriptedLoginForm,
}

/// An HTML page with the headers of its policy; never cached.
pub fn page(app: &App, status: u16, policy: PagePolicy, html: String) -> Response {
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    set_page_headers(headers, policy, app.settings.allow_remote_logos);
    response
}

/// Denies framing (RFC 9700 section 4.16), and inline scripts and styles.
fn set_page_headers(headers: &mut HeaderMap, policy: PagePolicy, remote_images: bool) {
    let mut csp = String::from("default-src 'none'; style-src 'self'; base-uri 'none'; ");
    csp.push_str(if remote_images { "img-src 'self' https:; " } else { "img-src 'self'; " });
    if policy == PagePolicy::ScriptedLoginForm {
        csp.push_str("script-src 'self'; ");
    }
    if matches!(policy, PagePolicy::Standalone | PagePolicy::LoginStep) {
        csp.push_str("form-action 'self'; ");
    }
    csp.push_str("frame-ancestors 'none'");
    if let Ok(value) = HeaderValue::try_from(csp) {
        headers.insert(header::CONTENT_SECURITY_POLICY, value);
    }
    if policy == PagePolicy::Standalone {
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    }
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
}

/// Redirects with 303, so that a browser never posts a password again (RFC 9700 section 4.12).
pub fn see_other(location: &str) -> Response {
    let Ok(value) = HeaderValue::try_from(location) else {
        // Every part of a location is percent-encoded or configured, so this is an internal error.
        tracing::error!("a redirect location is not a valid header value");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub fn with_cookies(mut response: Response, cookies: SetCookies) -> Response {
    cookies.apply(response.headers_mut());
    response
}

/// A JSON response that is never cached (RFC 6749 section 5.1).
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => json_bytes(status, bytes),
        Err(_) => json_bytes(StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    }
}

/// Like [`json`], for a body that is already serialized, or empty.
pub fn json_bytes(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
