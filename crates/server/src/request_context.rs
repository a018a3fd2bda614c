//! What the handlers of pages need to know of a request.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use countersign_core::Secret;
use countersign_issuer::login::{Browser, BrowserBinding};

use crate::app::App;
use crate::cookies::Cookies;

/// Identifies a request in the log, in the header `X-Request-Id` and on error pages.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The client's address by `web.clientRemoteIP`.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

pub struct RequestContext {
    pub id: String,
    pub address: IpAddr,
    pub cookies: Cookies,
    pub user_agent: String,
    pub binding: Option<BrowserBinding>,
    pub session: Option<Secret>,
    /// Proof of an earlier success with a password, for the limits on attempts.
    pub device_cookie: Option<String>,
    is_cross_site: bool,
}

impl RequestContext {
    pub fn browser(&self) -> Browser {
        Browser {
            cookie: self.session.clone(),
            address: self.address,
            user_agent: self.user_agent.clone(),
            device_cookie: self.device_cookie.clone(),
        }
    }

    /// Whether another origin posted this form (CSRF). Our cookies are `SameSite=Lax`, so such a POST carries none of
    /// them; this check does not depend on that.
    pub fn is_cross_site(&self) -> bool {
        self.is_cross_site
    }
}

impl FromRequestParts<App> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let cookies = Cookies::of(&parts.headers);
        let address = parts.extensions.get::<ClientAddress>().map(|found| found.0);
        let own_origin = app.issuer.settings.issuer.url().origin().ascii_serialization();
        Ok(Self {
            id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            user_agent: text(&parts.headers, &header::USER_AGENT).unwrap_or_default().to_owned(),
            binding: cookies.binding(&app.cookies).and_then(BrowserBinding::from_cookie),
            session: cookies.session(&app.cookies).map(Secret::new),
            device_cookie: cookies.device(&app.cookies).map(str::to_owned),
            is_cross_site: parts.method != Method::GET
                && is_cross_site(&parts.headers, &own_origin),
            cookies,
        })
    }
}

/// By `Sec-Fetch-Site`; without it by `Origin`, where `null` decides nothing: browsers send it from our own pages,
/// because of `Referrer-Policy: no-referrer`.
fn is_cross_site(headers: &HeaderMap, own_origin: &str) -> bool {
    match headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => text(headers, &header::ORIGIN).is_some_and(|o| o != "null" && o != own_origin),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
