//! The issuer's own pages: who is signed in here, and the files the pages need.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use countersign_core::Session;

use crate::account_pages::{account_view, sign_in_link};
use crate::account_sessions::{Cards, end_flash, held};
use crate::admin::is_administrator;
use crate::app::App;
use crate::form::{Pairs, Query};
use crate::page_error::{PageError, into_response};
use crate::pages::{self, DisplayTime, HeldGroups, Page, PageErrorKind, SignedInUser, assets};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page};

/// What there is room for beside everything else; the rest has pages of its own.
const OTHER_SIGN_INS: usize = 3;
const GRANTS_HERE: usize = 4;
const GRANTS_ELSEWHERE: usize = 2;
const GROUP_BYTES: usize = 4 * 1024;

pub async fn get(State(app): State<App>, context: RequestContext, Query(pairs): Query) -> Response {
    into_response(&app, &context, home(&app, &context, &pairs).await)
}

async fn home(app: &App, context: &RequestContext, pairs: &Pairs) -> Result<Response, PageError> {
    let discovery = app.issuer.settings.issuer.endpoint("/.well-known/openid-configuration");
    let flash = end_flash(app, context, pairs);
    let Some(account_view) = account_view(app, context).await? else {
        let shown = pages::HomeSignedOut {
            layout: &app.layout,
            sign_in: &sign_in_link(app, "/", false),
            flash,
            discovery: &discovery,
        };
        return Ok(page(app, 200, PagePolicy::Standalone, shown.render()));
    };
    let session = &account_view.session;
    let now = app.issuer.now();
    let display_time = |at: countersign_core::Timestamp| {
        DisplayTime::new(at.millis(), now.millis(), app.layout.messages)
    };
    let sign_ins = app.issuer.account_sessions(session).await?;
    let of = Cards::new(app, session);
    let mut cards = of.of(sign_ins.iter().take(1), GRANTS_HERE).await?;
    cards.extend(of.of(sign_ins.iter().skip(1).take(OTHER_SIGN_INS), GRANTS_ELSEWHERE).await?);
    let groups = &session.identity.groups;
    let shown = pages::HomeSignedIn {
        layout: &app.layout,
        user: user(app, session),
        flash,
        since: display_time(session.auth_time),
        until: display_time(app.issuer.browser_until(session)),
        cards,
        sign_ins: sign_ins.len() as u64,
        all_sign_ins: &app.path("/sessions"),
        end: &app.path("/sessions"),
        groups: held(app, &account_view, HeldGroups::fitting(groups, GROUP_BYTES), groups.len()),
        all_groups: &app.path("/groups"),
        logout: &app.path("/logout"),
        csrf: &app.issuer.form_token(context.session.as_ref()),
        offers_tools: app.issuer.outlives_browser(session).await?,
        discovery: &discovery,
        admin: is_administrator(app, session).then(|| app.path("/admin")),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

pub(crate) fn user(app: &App, session: &Session) -> SignedInUser {
    let person = &session.identity;
    let name = [&person.username, &person.preferred_username, &person.email, &person.user_id];
    SignedInUser {
        name: name.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str).into(),
        email: (!person.email.is_empty()).then(|| person.email.as_str().into()),
        connector_name: connector_name(app, session).as_str().into(),
    }
}

pub(crate) fn connector_name(app: &App, session: &Session) -> String {
    let connector = app.issuer.connectors.get(&session.connector);
    connector.map_or_else(|| session.connector.to_string(), |found| found.name.clone())
}

/// The name of a file changes with its content, so it may be kept for ever.
pub async fn asset(
    State(app): State<App>,
    context: RequestContext,
    Path(file): Path<String>,
) -> Response {
    let Some(asset) = assets::find(&file) else {
        return PageError::from(PageErrorKind::NotFound).show(&app, &context);
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

pub async fn not_found(State(app): State<App>, context: RequestContext) -> Response {
    PageError::from(PageErrorKind::NotFound).show(&app, &context)
}
