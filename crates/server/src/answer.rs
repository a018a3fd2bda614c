//! Turning what the issuer decided into HTTP.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_core::client::OUT_OF_BAND;
use countersign_issuer::IssuerError;
use countersign_issuer::login::{
    AuthorizationResponse, BrowserBinding, PendingLogin, ResponseMode, Step,
};

use crate::app::App;
use crate::cookies::SetCookies;
use crate::csp::{self, FormsEnd};
use crate::page_error::PageError;
use crate::pages::{FormPost, OutOfBand, Page, PageErrorKind, PageLink};
use crate::request_context::RequestContext;

mod step;

pub use step::{app_of, scope_for_display, step_response};

/// An HTML page that nobody keeps.
pub fn page(app: &App, status: u16, forms: FormsEnd, html: String) -> Response {
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    csp::protect(headers, forms, app.settings.allow_remote_logos, false);
    response
}

/// 303, so that a posted password is never posted again (RFC 9700 section 4.12).
pub fn see_other(location: &str) -> Result<Response, PageError> {
    let value = HeaderValue::try_from(location)
        .map_err(|_| IssuerError::Broken("a redirect is not a header value".to_owned()))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The way back to the client.
pub fn to_client(
    app: &App,
    client_name: &str,
    answer: &AuthorizationResponse,
) -> Result<Response, PageError> {
    if answer.redirect_uri == OUT_OF_BAND {
        let Some(code) = answer.field("code") else {
            let said = answer.field("error_description").unwrap_or_default();
            return Err(PageError::from(PageErrorKind::Refused).detail(said));
        };
        let shown = OutOfBand { layout: &app.layout, client_name: client_name.into(), code };
        return Ok(page(app, 200, FormsEnd::AtHome, shown.render()));
    }
    match answer.mode {
        ResponseMode::Query => see_other(&answer.location().ok_or_else(|| {
            IssuerError::Broken("a registered redirect URI is not a URL".to_owned())
        })?),
        ResponseMode::FormPost => Ok(form_post(app, client_name, answer)),
    }
}

fn form_post(app: &App, client_name: &str, answer: &AuthorizationResponse) -> Response {
    let fields = answer.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let shown = FormPost {
        layout: &app.layout,
        client_name: client_name.into(),
        action: &answer.redirect_uri,
        fields,
    };
    let mut response = page(app, 200, FormsEnd::AtClients, shown.render());
    let remote = app.settings.allow_remote_logos;
    csp::protect(response.headers_mut(), FormsEnd::AtClients, remote, true);
    response
}

pub fn with_cookies(mut response: Response, cookies: SetCookies) -> Response {
    cookies.apply(response.headers_mut());
    response
}

/// The envelope as it stands in the `req` of links and forms.
pub fn sealed(
    app: &App,
    pending: &PendingLogin,
    binding: &BrowserBinding,
) -> Result<String, IssuerError> {
    pending.seal(&app.issuer.keyring.keys().sealing_settled, binding)
}

/// A page of ours with the login in flight, such as `/continue?req=…`.
pub fn link(app: &App, path: &str, req: &str) -> String {
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("req", req).finish();
    format!("{}?{query}", app.path(path))
}

/// On with the login in flight: by another of its ways in, or by the only one once more.
pub fn another_way(app: &App, pending: &PendingLogin, req: &str) -> PageLink {
    let to = link(app, "/continue", req);
    match has_other_ways(app, pending) {
        true => PageLink::OtherConnectors(to),
        false => PageLink::TryAgain(to),
    }
}

pub fn has_other_ways(app: &App, pending: &PendingLogin) -> bool {
    let client = app.issuer.clients.behind(&pending.request);
    let ways = client.map_or(0, |client| app.issuer.connectors.for_client(client).count());
    ways > 1 && pending.request.connector.is_none()
}

/// The envelope a request brought, if this browser began it.
pub fn opened(
    app: &App,
    context: &RequestContext,
    req: Option<&str>,
) -> Result<(PendingLogin, BrowserBinding), PageError> {
    let keys = app.issuer.keyring.keys();
    let binding = context.binding.clone();
    binding
        .and_then(|binding| Some((PendingLogin::open(&keys.sealing, &binding, req?)?, binding)))
        .ok_or_else(|| start_again(app))
}

pub fn start_again(app: &App) -> PageError {
    PageError::from(PageErrorKind::LoginExpired).link(PageLink::Home(app.path("/")))
}

/// Steps that are answered without the browser's binder: `prompt=none` never sets one.
pub fn is_answer(step: &Step) -> bool {
    matches!(step, Step::Respond(_) | Step::AccountPage(_))
}
