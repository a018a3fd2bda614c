//! The issuer's own pages: who is signed in here, signing out, and the files the pages need.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use countersign_core::Session;

use crate::answer::{page, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::csp::FormsEnd;
use crate::form::{Form, once};
use crate::pages::{self, HeldGroup, Moment, Page, Problem, Tools, User, assets};
use crate::trouble::{Trouble, settle};
use crate::visit::Visit;

pub async fn get(State(app): State<App>, visit: Visit) -> Response {
    settle(&app, &visit, home(&app, &visit).await)
}

async fn home(app: &App, visit: &Visit) -> Result<Response, Trouble> {
    let discovery = app.issuer.settings.issuer.endpoint("/.well-known/openid-configuration");
    let session = match app.issuer.browser_session(visit.session.as_ref()).await? {
        Some(session) if app.issuer.stands(None, &session).await? => Some(session),
        _ => None,
    };
    let Some(session) = session else {
        let shown = pages::HomeSignedOut { layout: &app.layout, discovery: &discovery };
        return Ok(page(app, 200, FormsEnd::AtHome, shown.render()));
    };
    let now = app.issuer.now();
    let idle = session.browser_seen + app.issuer.settings.sign_on.idle_lifetime;
    let until = session.cookie_until.min(idle);
    let moment =
        |at: countersign_core::Timestamp| Moment::new(at.millis(), now.millis(), app.layout.texts);
    let source = connector_name(app, &session);
    let groups = session.identity.groups.iter();
    let shown = pages::HomeSignedIn {
        layout: &app.layout,
        user: user(app, &session),
        since: moment(session.auth_time),
        until: moment(until),
        groups: groups
            .map(|name| HeldGroup { name: name.as_str().into(), source: source.as_str().into() })
            .collect(),
        logout: &app.path("/logout"),
        csrf: &app.issuer.form_token(visit.session.as_ref()),
        offers_tools: false,
        discovery: &discovery,
    };
    Ok(page(app, 200, FormsEnd::AtHome, shown.render()))
}

/// Never signs out by itself: a link on somebody's page would do it for them.
pub async fn logout_get(State(app): State<App>, visit: Visit) -> Response {
    settle(&app, &visit, confirm(&app, &visit).await)
}

async fn confirm(app: &App, visit: &Visit) -> Result<Response, Trouble> {
    let Some(session) = app.issuer.browser_session(visit.session.as_ref()).await? else {
        return Ok(signed_out(app));
    };
    let shown = pages::LogoutConfirm {
        layout: &app.layout,
        user: user(app, &session),
        action: &app.path("/logout"),
        csrf: &app.issuer.form_token(visit.session.as_ref()),
        fields: Vec::new(),
        offers_tools: false,
    };
    Ok(page(app, 200, FormsEnd::AtHome, shown.render()))
}

pub async fn logout_post(State(app): State<App>, visit: Visit, Form(pairs): Form) -> Response {
    settle(&app, &visit, sign_out(&app, &visit, &pairs).await)
}

async fn sign_out(
    app: &App,
    visit: &Visit,
    pairs: &[(String, String)],
) -> Result<Response, Trouble> {
    let Some(cookie) = &visit.session else { return Ok(signed_out(app)) };
    let token = app.issuer.form_token(Some(cookie));
    let given = countersign_core::Secret::new(once(pairs, "csrf").unwrap_or_default());
    if visit.is_from_elsewhere() || !given.matches(&token) {
        return Err(Problem::FormExpired.into());
    }
    app.issuer.sign_out(cookie).await?;
    let mut cookies = SetCookies::default();
    cookies.no_session(&app.cookies);
    Ok(with_cookies(signed_out(app), cookies))
}

fn signed_out(app: &App) -> Response {
    let shown = pages::SignedOut {
        layout: &app.layout,
        tools: Tools::Untouched,
        told: Vec::new(),
        way: None,
    };
    page(app, 200, FormsEnd::AtHome, shown.render())
}

fn user(app: &App, session: &Session) -> User {
    let person = &session.identity;
    let name = [&person.username, &person.preferred_username, &person.email, &person.user_id];
    User {
        name: name.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str).into(),
        email: (!person.email.is_empty()).then(|| person.email.as_str().into()),
        connector_name: connector_name(app, session).as_str().into(),
    }
}

fn connector_name(app: &App, session: &Session) -> String {
    let connector = app.issuer.connectors.get(&session.connector);
    connector.map_or_else(|| session.connector.to_string(), |found| found.name.clone())
}

/// The name of a file changes with its content, so it may be kept for ever.
pub async fn asset(State(app): State<App>, visit: Visit, Path(file): Path<String>) -> Response {
    let Some(asset) = assets::find(&file) else {
        return Trouble::from(Problem::NotFound).show(&app, &visit);
    };
    let mut response = Response::new(Body::from(asset.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    let ever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, ever);
    let policy = HeaderValue::from_static("default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

pub async fn robots() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain")], "User-agent: *\nDisallow: /\n")
}

pub async fn not_found(State(app): State<App>, visit: Visit) -> Response {
    Trouble::from(Problem::NotFound).show(&app, &visit)
}
