//! What the handlers of pages need from a request.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, header};
use countersign_core::Secret;
use countersign_issuer::login::{Browser, BrowserBinding};

use crate::app::App;
use crate::cookies::Cookies;

/// Identifies a request in the log, in the header `X-Request-Id`, and on error pages.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

impl RequestId {
    /// The id that the middleware gave the request; empty without one.
    pub fn of(extensions: &Extensions) -> String {
        extensions.get::<Self>().map(|id| id.0.clone()).unwrap_or_default()
    }
}

/// The client's address, determined by `web.clientRemoteIP`.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

pub struct RequestContext {
    pub id: String,
    pub address: IpAddr,
    pub cookies: Cookies,
    pub user_agent: String,
    pub binding: Option<BrowserBinding>,
    pub session: Option<Secret>,
    /// The device cookie, which selects the counter of password attempts.
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
    /// them; this check is independent of that.
    pub fn is_cross_site(&self) -> bool {
        self.is_cross_site
    }
}

impl FromRequestParts<App> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::new(app, &parts.method, &parts.headers, &parts.extensions))
    }
}

impl RequestContext {
    fn new(app: &App, method: &Method, headers: &HeaderMap, extensions: &Extensions) -> Self {
        let cookies = Cookies::of(headers);
        let address = extensions.get::<ClientAddress>().map(|found| found.0);
        Self {
            id: RequestId::of(extensions),
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            user_agent: text(headers, &header::USER_AGENT).unwrap_or_default().to_owned(),
            binding: cookies.binding(&app.cookies).and_then(BrowserBinding::from_cookie),
            session: cookies.session(&app.cookies).map(Secret::new),
            device_cookie: cookies.device(&app.cookies).map(str::to_owned),
            is_cross_site: *method != Method::GET && is_cross_site(headers, &app.origin),
            cookies,
        }
    }
}

/// Decides by `Sec-Fetch-Site`, or without it by `Origin`. An `Origin` of `null` is accepted: browsers send it from our
/// own pages because of `Referrer-Policy: no-referrer`.
fn is_cross_site(headers: &HeaderMap, own_origin: &str) -> bool {
    match headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => text(headers, &header::ORIGIN).is_some_and(|o| o != "null" && o != own_origin),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
