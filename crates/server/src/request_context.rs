//! One request, as the handlers of pages see it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use countersign_core::Secret;
use countersign_issuer::login::{Browser, BrowserBinding};

use crate::app::App;
use crate::cookies::Cookies;

/// Names a request in the log, in the answer's header and on error pages.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Where the connection comes from, after the rule about proxies.
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
    /// A probe, which wants no page.
    pub asks_for_health: bool,
    from_elsewhere: bool,
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

    /// A form of ours, posted from another site: a login or an approval somebody else wants.
    ///
    /// The cookies are `Lax`, so such a post brings none of them; this says it in the browser's words.
    pub fn is_from_elsewhere(&self) -> bool {
        self.from_elsewhere
    }
}

impl FromRequestParts<App> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let cookies = Cookies::of(&parts.headers);
        let address = parts.extensions.get::<ClientAddress>().map(|found| found.0);
        let own = app.issuer.settings.issuer.url().origin().ascii_serialization();
        Ok(Self {
            id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            user_agent: text(&parts.headers, &header::USER_AGENT).unwrap_or_default().to_owned(),
            binding: cookies.binding(&app.cookies).and_then(BrowserBinding::from_cookie),
            session: cookies.session(&app.cookies).map(Secret::new),
            device_cookie: cookies.device(&app.cookies).map(str::to_owned),
            asks_for_health: parts.uri.path().ends_with("/healthz"),
            from_elsewhere: parts.method != Method::GET && is_foreign(&parts.headers, &own),
            cookies,
        })
    }
}

/// The address a connection comes from, for the layer that finds it once.
pub fn peer(parts: &axum::http::Extensions) -> IpAddr {
    let info = parts.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

/// `Sec-Fetch-Site` where the browser sends it; else an `Origin` that is not ours. With our own
/// `Referrer-Policy: no-referrer` browsers send `Origin: null`, which says nothing.
fn is_foreign(headers: &HeaderMap, own_origin: &str) -> bool {
    match headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => text(headers, &header::ORIGIN).is_some_and(|o| o != "null" && o != own_origin),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
