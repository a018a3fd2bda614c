//! The page at the end of a login in the browser: the user, their groups and the expiry, or why the login failed.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tokio::sync::oneshot;
use url::Url;

use crate::error::Error;
use crate::id_token::IdTokenClaims;
use crate::profile::is_web_address;
use crate::terminal::printable;

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{margin:0;display:grid;min-height:100vh;place-items:center}\
main{max-width:34rem;padding:2rem 1.25rem;overflow-wrap:anywhere}\
h1{font-size:1.6rem;margin:0 0 1rem}h1::before{content:attr(data-mark);margin-right:.5rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1rem;margin:1.25rem 0}\
dt{opacity:.7}dd{margin:0}\
ul{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:.3rem}\
li{border:1px solid;border-radius:.4rem;padding:0 .45rem;opacity:.85}";
/// How long to wait until the browser has received the page.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(2);

/// A browser that waits for the result of the login.
pub struct CallbackPage {
    sender: oneshot::Sender<Html>,
    next: Option<Url>,
}

/// A complete page, or the URL to redirect to.
pub struct Html {
    body: String,
    next: Option<Url>,
    /// Dropped when the response has been passed to the connection.
    _delivered: oneshot::Sender<()>,
}

impl CallbackPage {
    pub fn new(sender: oneshot::Sender<Html>) -> Self {
        Self { sender, next: None }
    }

    /// Redirects to this URL after a successful login, instead of showing this program's page.
    pub fn then_open(self, next: Option<Url>) -> Self {
        Self { next: next.filter(is_web_address), ..self }
    }

    pub async fn show_signed_in(self, claims: &IdTokenClaims) {
        let mut rows = vec![("Signed in as", escaped(claims.display_name()))];
        let groups = claims.groups();
        if !groups.is_empty() {
            let items: String =
                groups.iter().map(|group| format!("<li>{}</li>", escaped(group))).collect();
            rows.push(("Groups", format!("<ul>{items}</ul>")));
        }
        let until = claims.expires_at.to_string().replace('T', " ").replace('Z', " UTC");
        rows.push(("Token until", format!("{until}, then renewed automatically")));
        let issuer = claims.text("iss").unwrap_or_default();
        rows.push(("Issuer", escaped(issuer)));
        let rows: String =
            rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).collect();
        let text =
            format!("<dl>{rows}</dl><p>You can close this tab and go back to the terminal.</p>");
        let next = self.next.clone();
        self.send(document("You are signed in", "✓", &text), next).await;
    }

    pub async fn show_error(self, error: &Error) {
        let text = format!(
            "<p>{}</p><p>You can close this tab; the terminal shows the same.</p>",
            escaped(&error.to_string())
        );
        self.send(document("You are not signed in", "✗", &text), None).await;
    }

    /// Returns when the page has been written to the connection, so that the process may exit.
    async fn send(self, body: String, next: Option<Url>) {
        let (delivered, delivery) = oneshot::channel();
        if self.sender.send(Html { body, next, _delivered: delivered }).is_ok() {
            let _ = tokio::time::timeout(DELIVERY_TIMEOUT, delivery).await;
            // The connection's task writes the response shortly after receiving it.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Html {
    pub fn response(self) -> Response<Full<Bytes>> {
        let location = self.next.and_then(|url| HeaderValue::try_from(url.as_str()).ok());
        let status = if location.is_some() { StatusCode::SEE_OTHER } else { StatusCode::OK };
        let mut response = html(status, self.body);
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// A page with one sentence.
pub fn simple(status: StatusCode, title: &str, text: &str) -> Response<Full<Bytes>> {
    html(status, document(title, "", &format!("<p>{}</p>", escaped(text))))
}

fn document(title: &str, mark: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><main><h1 data-mark=\"{mark}\">{title}</h1>{body}</main></body></html>"
    )
}

fn html(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; frame-ancestors 'none'; base-uri 'none'",
        STANDARD.encode(hash)
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONNECTION, "close"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn escaped(text: &str) -> String {
    let text = printable(text).replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::{STYLE, document, escaped};

    #[test]
    fn markup_of_strangers_is_text() {
        assert_eq!(escaped("<script>\"&'"), "&lt;script&gt;&quot;&amp;&#39;");
    }

    #[test]
    fn the_page_is_small() {
        assert!(document("You are signed in", "✓", "").len() < 2_000 && !STYLE.contains('<'));
    }
}
