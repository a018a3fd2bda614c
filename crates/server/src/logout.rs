//! `/logout`: confirmation, logout, and the page after it (OpenID Connect RP-Initiated Logout 1.0).
//!
//! A request ends a session without confirmation only if its `id_token_hint` was issued for that session. If the
//! browser has no session, or a client's back end sends the request, it ends the session of the hint. It redirects only
//! if a hint verifies the client for which the redirect URI is registered.

use axum::extract::State;
use axum::response::Response;
use countersign_core::{ClientId, Secret, Session};
use countersign_issuer::login::Params;
use countersign_issuer::logout::{LogoutRequest, SignOutOutcome};

use crate::account::{check_form, user};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Form, Query, once};
use crate::page_error::PageError;
use crate::pages::{self, Name, OfflineGrants, Page, PageErrorKind, PageLink};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page, see_other, with_cookies};

/// The hidden field, and the parameter of our own redirect, with the sealed logout request.
const REQUEST: &str = "request";

pub async fn get(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let request = match once(&pairs, REQUEST) {
        Some(sealed) => app.issuer.open_logout(sealed),
        None => parse(&app, &Params::new(pairs))?,
    };
    let session = app.issuer.session_for_any_client(context.session.as_ref()).await?;
    match (session, &context.session) {
        (Some(session), Some(cookie)) if request.proves(&session) => {
            sign_out(&app, &context, cookie, &request, false).await
        }
        (Some(session), _) => confirm(&app, &context, &session, &request).await,
        (None, _) => {
            let hint_refused = request.hint_refused();
            let ended = app.issuer.end_hinted_session(&request).await?;
            let notified = ended.unwrap_or_default().notified;
            let result = LogoutResult { notified, hint_refused, ..LogoutResult::default() };
            Ok(finish(&app, &request, result))
        }
    }
}

/// A client's request (which may be a POST, section 2), or the submitted confirmation.
pub async fn post(
    State(app): State<App>,
    context: RequestContext,
    Query(query): Query,
    Form(body): Form,
) -> Result<Response, PageError> {
    let is_confirmation = body.iter().any(|(name, _)| name == "csrf");
    let params = Params::new(query.into_iter().chain(body.iter().cloned()).collect());
    match !is_confirmation && LogoutRequest::is_requested_by(&params) {
        true => redirect_to_get(&app, &params),
        false => confirmed(&app, &context, &body).await,
    }
}

/// Redirects with 303 to the same request as GET: our cookies are `SameSite=Lax`, so a cross-site POST carries none.
fn redirect_to_get(app: &App, params: &Params) -> Result<Response, PageError> {
    let request = parse(app, params)?;
    let sealed = app.issuer.seal_logout(&request)?;
    Ok(see_other(&format!("{}?{REQUEST}={sealed}", app.path("/logout"))))
}

fn parse(app: &App, params: &Params) -> Result<LogoutRequest, PageError> {
    app.issuer
        .parse_logout(params)
        .map_err(|what| PageError::from(PageErrorKind::BadRequest).detail(what))
}

async fn confirm(
    app: &App,
    context: &RequestContext,
    session: &Session,
    request: &LogoutRequest,
) -> Result<Response, PageError> {
    let sealed = app.issuer.seal_logout(request)?;
    let view = pages::LogoutConfirm {
        layout: &app.layout,
        user: user(app, session),
        action: &app.path("/logout"),
        csrf: &app.issuer.form_token(context.session.as_ref()),
        fields: vec![(REQUEST, &sealed)],
        offers_tools: app.issuer.outlives_browser(session).await?,
    };
    // A client may log out in a popup, which finds its opener only if no page on the way to the client severs it.
    let policy = match (request.redirect(), request.return_link()) {
        (Some(_), _) => PagePolicy::LoginForm,
        (None, Some(_)) => PagePolicy::LoginStep,
        (None, None) => PagePolicy::Standalone,
    };
    Ok(page(app, 200, policy, view.render()))
}

async fn confirmed(
    app: &App,
    context: &RequestContext,
    pairs: &[(String, String)],
) -> Result<Response, PageError> {
    let request = app.issuer.open_logout(once(pairs, REQUEST).unwrap_or_default());
    let Some(cookie) = &context.session else {
        return Ok(finish(app, &request, LogoutResult::default()));
    };
    check_form(app, context, pairs)?;
    let tools = once(pairs, "tools") == Some("end");
    sign_out(app, context, cookie, &request, tools).await
}

/// What the logout ended, for the page after it.
#[derive(Default)]
struct LogoutResult {
    tools: Option<OfflineGrants>,
    notified: Vec<ClientId>,
    /// The upstream's own logout page.
    upstream: Option<PageLink>,
    /// The hint was not a valid token, so nothing was ended.
    hint_refused: bool,
}

async fn sign_out(
    app: &App,
    context: &RequestContext,
    cookie: &Secret,
    request: &LogoutRequest,
    tools: bool,
) -> Result<Response, PageError> {
    let session = app.issuer.session_for_any_client(Some(cookie)).await?;
    let had_tools = match &session {
        Some(session) => app.issuer.outlives_browser(session).await?,
        None => false,
    };
    let address = context.address.to_string();
    let end = app.issuer.end_browser_session(cookie, tools, &address).await?.unwrap_or_default();
    let SignOutOutcome { offline_grants_remain: tools_left, notified } = end;
    let tools =
        had_tools.then_some(if tools_left { OfflineGrants::Kept } else { OfflineGrants::Ended });
    let upstream = match &session {
        Some(session) if request.redirect().is_none() => app.issuer.upstream_logout(session).await,
        _ => None,
    };
    let upstream = upstream.map(|at| PageLink::UpstreamLogout(at.url.into(), Name::from(&at.name)));
    let mut cookies = SetCookies::default();
    cookies.no_session(&app.cookies);
    let result = LogoutResult { tools, notified, upstream, hint_refused: false };
    Ok(with_cookies(finish(app, request, result), cookies))
}

/// Redirects if a hint verified the client; otherwise a page, with a link to the client if its URI is registered.
fn finish(app: &App, request: &LogoutRequest, done: LogoutResult) -> Response {
    if let Some(uri) = request.redirect() {
        return see_other(uri);
    }
    let name = |id: &ClientId| app.issuer.clients.get(id).map(|client| Name::from(&client.name));
    let link = request.return_link();
    let link = link.and_then(|(id, uri)| Some(PageLink::BackToClient(uri.to_owned(), name(id)?)));
    let view = pages::SignedOut {
        layout: &app.layout,
        tools: done.tools.unwrap_or(OfflineGrants::None),
        notified: done.notified.iter().filter_map(name).collect(),
        unregistered: request.unregistered().and_then(|id| Some((name(id)?, id.as_str().into()))),
        hint_refused: done.hint_refused,
        link,
        upstream: done.upstream,
    };
    let policy = match view.link {
        Some(_) => PagePolicy::LoginStep,
        None => PagePolicy::Standalone,
    };
    page(app, 200, policy, view.render())
}
