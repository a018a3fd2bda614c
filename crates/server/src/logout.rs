//! `/logout`: asking first, signing out, and the page after it (OpenID Connect RP-Initiated Logout 1.0).
//!
//! Nobody is signed out by a link alone, unless it brings an ID token of this very sign-in. Nobody is sent
//! on unless a token of ours names the client that registered the address.

use axum::extract::State;
use axum::response::Response;
use countersign_core::{ClientId, Secret, Session};
use countersign_issuer::login::Params;
use countersign_issuer::logout::{LogoutRequest, SignOutOutcome};

use crate::account::check_form;
use crate::account::user;
use crate::answer::{page, see_other, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::csp::FormsEnd;
use crate::form::{Form, Pairs, Query, once};
use crate::page_error::{PageError, into_response};
use crate::pages::{self, Name, OfflineGrants, Page, PageErrorKind, PageLink};
use crate::request_context::RequestContext;

/// The hidden field, and the parameter of our own redirect, with what an application asked.
const ASKED: &str = "request";

pub async fn get(State(app): State<App>, context: RequestContext, Query(pairs): Query) -> Response {
    into_response(&app, &context, asked(&app, &context, pairs).await)
}

/// An application's request, or the answer to our question.
pub async fn post(
    State(app): State<App>,
    context: RequestContext,
    Query(query): Query,
    Form(body): Form,
) -> Response {
    let is_answer = body.iter().any(|(name, _)| name == "csrf");
    let params = Params::new(query.into_iter().chain(body.iter().cloned()).collect());
    let settled = match !is_answer && LogoutRequest::is_requested_by(&params) {
        true => as_get(&app, &params),
        false => answered(&app, &context, &body).await,
    };
    into_response(&app, &context, settled)
}

/// The cookies are `Lax`: a post from an application's page brings none of them, the GET after it does.
fn as_get(app: &App, params: &Params) -> Result<Response, PageError> {
    let request = read(app, params)?;
    let sealed = app.issuer.seal_logout(&request)?;
    see_other(&format!("{}?{ASKED}={sealed}", app.path("/logout")))
}

fn read(app: &App, params: &Params) -> Result<LogoutRequest, PageError> {
    app.issuer
        .parse_logout(params)
        .map_err(|what| PageError::from(PageErrorKind::BadRequest).detail(what))
}

async fn asked(app: &App, context: &RequestContext, pairs: Pairs) -> Result<Response, PageError> {
    let request = match once(&pairs, ASKED) {
        Some(sealed) => app.issuer.open_logout(sealed),
        None => read(app, &Params::new(pairs))?,
    };
    let session = app.issuer.session_for_any_client(context.session.as_ref()).await?;
    match (session, &context.session) {
        (Some(session), Some(cookie)) if request.proves(&session) => {
            sign_out(app, context, cookie, &request, false).await
        }
        (Some(session), _) => confirm(app, context, &session, &request).await,
        (None, _) => leave(app, &request, Done::default()),
    }
}

async fn confirm(
    app: &App,
    context: &RequestContext,
    session: &Session,
    request: &LogoutRequest,
) -> Result<Response, PageError> {
    let sealed = app.issuer.seal_logout(request)?;
    let shown = pages::LogoutConfirm {
        layout: &app.layout,
        user: user(app, session),
        action: &app.path("/logout"),
        csrf: &app.issuer.form_token(context.session.as_ref()),
        fields: vec![(ASKED, &sealed)],
        offers_tools: app.issuer.outlives_browser(session).await?,
    };
    let forms = match request.redirect() {
        Some(_) => FormsEnd::AtClients,
        None => FormsEnd::AtHome,
    };
    Ok(page(app, 200, forms, shown.render()))
}

async fn answered(
    app: &App,
    context: &RequestContext,
    pairs: &[(String, String)],
) -> Result<Response, PageError> {
    let request = app.issuer.open_logout(once(pairs, ASKED).unwrap_or_default());
    let Some(cookie) = &context.session else { return leave(app, &request, Done::default()) };
    check_form(app, context, pairs)?;
    let tools = once(pairs, "tools") == Some("end");
    sign_out(app, context, cookie, &request, tools).await
}

/// What happened, for the page after it.
#[derive(Default)]
struct Done {
    tools: Option<OfflineGrants>,
    told: Vec<ClientId>,
    /// Where to sign out of the upstream as well.
    upstream: Option<PageLink>,
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
    let SignOutOutcome { offline_grants_remain: tools_left, notified: told } = end;
    let tools =
        had_tools.then_some(if tools_left { OfflineGrants::Kept } else { OfflineGrants::Ended });
    let upstream = match &session {
        Some(session) if request.redirect().is_none() => app.issuer.upstream_logout(session).await,
        _ => None,
    };
    let upstream = upstream.map(|at| PageLink::UpstreamLogout(at.url.into(), Name::from(&at.name)));
    let mut cookies = SetCookies::default();
    cookies.no_session(&app.cookies);
    Ok(with_cookies(leave(app, request, Done { tools, told, upstream })?, cookies))
}

/// To the application, where a token of ours proved that it asked; else a page, perhaps with a link there.
fn leave(app: &App, request: &LogoutRequest, done: Done) -> Result<Response, PageError> {
    if let Some(uri) = request.redirect() {
        return see_other(uri);
    }
    let name = |id: &ClientId| app.issuer.clients.get(id).map(|client| Name::from(&client.name));
    let link = request.return_link();
    let link = link.and_then(|(id, uri)| Some(PageLink::BackToClient(uri.to_owned(), name(id)?)));
    let shown = pages::SignedOut {
        layout: &app.layout,
        tools: done.tools.unwrap_or(OfflineGrants::None),
        told: done.told.iter().filter_map(name).collect(),
        link,
        upstream: done.upstream,
    };
    Ok(page(app, 200, FormsEnd::AtHome, shown.render()))
}
