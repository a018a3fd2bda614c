//! The login over HTTP. These handlers parse requests and render pages; the login module of `countersign_issuer`
//! decides the next step and lists all steps.
//!
//! | URL | handler |
//! |---|---|
//! | `GET`, `POST /auth`, `/auth/{connector}` | [`authorization`]: an authorization request, or the choice of a connector |
//! | `GET`, `POST /auth/{connector}/login` | [`password`]: the password form |
//! | `GET`, `POST /callback`, `/callback/{connector}` | [`callback`]: the response of an upstream |
//! | `/device`, `/device/…` | [`device`]: the device authorization grant |
//! | `GET /continue`, `GET`, `POST /approval` | [`next_step`]: the step the issuer names, as a page or a redirect |
//!
//! Between requests a pending login is passed as `req`, sealed to the cookie that contains the [`BrowserBinding`].

pub mod authorization;
pub mod callback;
pub mod device;
pub mod next_step;
pub mod password;

use axum::response::Response;
use countersign_core::connector::Refusal;
use countersign_core::{ConnectorId, Timestamp};
use countersign_issuer::IssuerError;
use countersign_issuer::login::{BrowserBinding, PendingLogin, SignedInBrowser};

use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Pairs, once};
use crate::page_error::PageError;
use crate::pages::{ClientInfo, PageErrorKind, PageLink};
use crate::request_context::RequestContext;
use crate::response::{see_other, with_cookies};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The value of `req` for links and hidden fields.
fn seal_pending_login(
    app: &App,
    pending: &PendingLogin,
    binding: &BrowserBinding,
) -> Result<String, IssuerError> {
    pending.seal(&app.issuer.keyring.keys().sealing_settled, binding)
}

/// Opens the pending login in `req`, if this browser began it.
fn open_pending_login(
    app: &App,
    context: &RequestContext,
    req: Option<&str>,
) -> Result<(PendingLogin, BrowserBinding), PageError> {
    let keys = app.issuer.keyring.keys();
    let binding = context.binding.clone();
    binding
        .and_then(|binding| Some((PendingLogin::open(&keys.sealing, &binding, req?)?, binding)))
        .ok_or_else(|| login_expired(app))
}

/// `path` with the pending login, such as `/continue?req=…`.
fn login_link(app: &App, path: &str, req: &str) -> String {
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("req", req).finish();
    format!("{}?{query}", app.path(path))
}

/// The path of a connector; its id may contain spaces and colons.
fn connector_path(connector: &ConnectorId) -> String {
    let id = utf8_percent_encode(connector.as_str(), NON_ALPHANUMERIC).to_string();
    // Unreserved characters are not encoded (RFC 3986 section 2.3).
    let id = id.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_").replace("%7E", "~");
    format!("/auth/{id}")
}

/// The fields of a form. Clients that post only the visible fields to the URL of Dex's page send `req` in the query.
fn with_req_of_query(mut pairs: Pairs, query: &Pairs) -> Pairs {
    if once(&pairs, "req").is_none()
        && let Some(req) = once(query, "req")
    {
        pairs.push(("req".to_owned(), req.to_owned()));
    }
    pairs
}

/// The link of an error page that continues the login: to the selection of connectors, or to the only connector again.
fn retry_link(app: &App, pending: &PendingLogin, req: &str) -> PageLink {
    let to = login_link(app, "/continue", req);
    match has_other_connectors(app, pending) {
        true => PageLink::OtherConnectors(to),
        false => PageLink::TryAgain(to),
    }
}

fn has_other_connectors(app: &App, pending: &PendingLogin) -> bool {
    let client = app.issuer.clients.of_request(&pending.request);
    let count = client.map_or(0, |client| {
        app.issuer.connectors.for_client(&client, pending.request.grant_type()).count()
    });
    count > 1 && pending.request.connector.is_none()
}

fn login_expired(app: &App) -> PageError {
    PageError::from(PageErrorKind::LoginExpired).link(PageLink::Home(app.path("/")))
}

/// The client that requested the login, for the header of a page.
fn client_info(app: &App, pending: &PendingLogin) -> ClientInfo {
    if pending.request.account_page.is_some() {
        return ClientInfo { name: app.layout.issuer_name.clone(), host: None, logo: None };
    }
    let client = app.issuer.clients.of_request(&pending.request);
    let name = client.as_ref().map_or("", |client| client.name.as_str());
    let logo = client.as_ref().and_then(|client| client.logo_url.clone());
    ClientInfo {
        name: name.into(),
        host: countersign_core::Client::host_of(&pending.request.redirect_uri)
            .map(|host| host.as_str().into()),
        logo: logo.filter(|_| app.settings.allow_remote_logos),
    }
}

/// After a successful login: sets the session cookie, renews the browser binding (against session fixation) and
/// continues with the next step.
///
/// The explicit empty fragment replaces a fragment from the upstream, which browsers would otherwise keep across
/// redirects to the client.
fn signed_in(
    app: &App,
    proven: SignedInBrowser,
    binding: &BrowserBinding,
) -> Result<Response, PageError> {
    let binding = binding.renewed().map_err(IssuerError::from)?;
    let req = seal_pending_login(app, &proven.pending, &binding)?;
    let mut cookies = SetCookies::default();
    cookies.binding(&app.cookies, &binding.to_cookie());
    cookies.session(&app.cookies, proven.cookie.expose(), proven.lifetime.as_secs());
    if let Some(device) = &proven.device_cookie {
        cookies.device(&app.cookies, device);
    }
    cookies.last_connector(&app.cookies, proven.connector.as_str());
    let location = format!("{}#", login_link(app, "/continue", &req));
    Ok(with_cookies(see_other(&location), cookies))
}

/// The error page for a user blocked by an administrator, with the configured contact and the end of the block.
fn blocked_page(app: &App, until: Option<Timestamp>) -> PageError {
    let t = &app.layout.messages.problems;
    let until = until.map(|at| {
        let at = crate::account::display_time(app, at);
        t.blocked_until.plain(&at.exact.into())
    });
    let contact = app.issuer.settings.admin.contact.as_deref();
    let contact = contact.map(|contact| t.blocked_contact.plain(&contact.into()));
    PageError::from(PageErrorKind::Blocked).items(until.into_iter().chain(contact).collect())
}

/// A connector's refusal as an error page, for login methods without a form that could show it.
fn refusal_page(refusal: Refusal) -> PageError {
    match refusal {
        Refusal::NotInRequiredGroup { required } => {
            PageError::from(PageErrorKind::MissingGroups).items(required)
        }
        Refusal::UpstreamDenied { .. } => PageErrorKind::Refused.into(),
        Refusal::EmailNotVerified => PageErrorKind::EmailNotVerified.into(),
        Refusal::NotThroughProxy => PageErrorKind::ProxyRequired.into(),
        Refusal::UnclearHeaders { reason } | Refusal::InvalidResponse { reason } => {
            PageError::from(PageErrorKind::InvalidResponse).detail(reason)
        }
        Refusal::BadCredentials
        | Refusal::PasswordExpired
        | Refusal::AccountLocked
        | Refusal::AccountDisabled => PageErrorKind::NotAllowed.into(),
    }
}
