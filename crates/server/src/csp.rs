//! The headers of pages: nothing is framed, nothing inline runs, nothing leaks by the Referer.

use axum::http::{HeaderMap, HeaderValue, header};

/// Where a page's form may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormsEnd {
    /// Here.
    AtHome,
    /// Perhaps at a client. Browsers apply `form-action` to every hop after a form, so there is none.
    AtClients,
}

pub fn protect(headers: &mut HeaderMap, forms: FormsEnd, remote_images: bool, script: bool) {
    let mut policy = String::from("default-src 'none'; style-src 'self'; base-uri 'none'; ");
    policy.push_str(if remote_images { "img-src 'self' https:; " } else { "img-src 'self'; " });
    if script {
        policy.push_str("script-src 'self'; ");
    }
    if forms == FormsEnd::AtHome {
        policy.push_str("form-action 'self'; ");
    }
    policy.push_str("frame-ancestors 'none'");
    if let Ok(value) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, value);
    }
    // Some applications sign people in in a window of their own and wait for its answer, so pages on
    // the way to a client keep their opener.
    if forms == FormsEnd::AtHome {
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    }
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
}
