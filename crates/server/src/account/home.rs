//! `/`: the user's account page, or a description of this service if the browser is not signed in. `/groups`: all groups
//! of the user, with search and paging.

use axum::extract::State;
use axum::response::Response;

use super::sessions::end_flash;
use super::{
    AccountView, Cards, account_view, connector_name, display_time, sign_in_first, sign_in_link,
    user,
};
use crate::app::App;
use crate::form::{Query, once};
use crate::page_error::PageError;
use crate::pages::{self, HeldGroups, Name, Page};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page};

/// Limits of this page; the rest is on pages of its own.
const OTHER_SIGN_INS: usize = 3;
const GRANTS_HERE: usize = 4;
const GRANTS_OF_OTHER_SIGN_INS: usize = 2;
const GROUP_BYTES: usize = 3 * 1024;

pub async fn get(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let discovery = app.issuer.settings.issuer.endpoint("/.well-known/openid-configuration");
    let flash = end_flash(&app, &context, &pairs);
    let Some(account_view) = account_view(&app, &context).await? else {
        let shown = pages::HomeSignedOut {
            layout: &app.layout,
            sign_in: &sign_in_link(&app, "/", false),
            flash,
            discovery: &discovery,
        };
        return Ok(page(&app, 200, PagePolicy::Standalone, shown.render()));
    };
    let session = &account_view.session;
    let sign_ins = app.issuer.account_sessions(session).await?;
    let of = Cards::new(&app, session);
    let mut cards = of.of(sign_ins.iter().take(1), GRANTS_HERE).await?;
    cards.extend(
        of.of(sign_ins.iter().skip(1).take(OTHER_SIGN_INS), GRANTS_OF_OTHER_SIGN_INS).await?,
    );
    let groups = &session.identity.groups;
    let shown = pages::HomeSignedIn {
        layout: &app.layout,
        user: user(&app, session),
        flash,
        since: display_time(&app, session.auth_time),
        until: display_time(&app, app.issuer.browser_session_expires_at(session)),
        cards,
        sign_ins: sign_ins.len() as u64,
        all_sign_ins: &app.path("/sessions"),
        end: &app.path("/sessions"),
        groups: held_groups(
            &app,
            &account_view,
            HeldGroups::fitting(groups, GROUP_BYTES),
            groups.len(),
        ),
        all_groups: &app.path("/groups"),
        consents: &app.path("/consents"),
        logout: &app.path("/logout"),
        csrf: &app.issuer.form_token(context.session.as_ref()),
        offers_tools: app.issuer.outlives_browser(session).await?,
        discovery: &discovery,
        clusters: (!app.issuer.clusters_of(session).is_empty()).then(|| app.path("/clusters")),
        admin: app.issuer.administrator(session, None).is_some().then(|| app.path("/admin")),
    };
    Ok(page(&app, 200, PagePolicy::Standalone, shown.render()))
}

/// Markup bytes for the group names of one page.
const GROUPS_PAGE_BYTES: usize = 12 * 1024;

pub async fn get_groups(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let Some(account_view) = account_view(&app, &context).await? else {
        return Ok(sign_in_first(&app, "/groups", false));
    };
    if account_view.groups_not_requested {
        return Ok(sign_in_first(&app, "/groups", false));
    }
    let search: String = once(&pairs, "q").unwrap_or_default().trim().chars().take(256).collect();
    let from = once(&pairs, "from").and_then(|text| text.parse().ok()).unwrap_or(0);
    let wanted = search.to_lowercase();
    let all = &account_view.session.identity.groups;
    let found: Vec<&String> =
        all.iter().filter(|name| name.to_lowercase().contains(&wanted)).collect();
    let names = HeldGroups::fitting(found.iter().skip(from).copied(), GROUPS_PAGE_BYTES);
    let next = from.saturating_add(names.len());
    let link = |from: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &search).append_pair("from", &from.to_string());
        app.path(&format!("/groups?{}", query.finish()))
    };
    let shown = pages::Groups {
        layout: &app.layout,
        groups: held_groups(&app, &account_view, names, found.len()),
        search: &search,
        action: &app.path("/groups"),
        earlier: (from > 0).then(|| link(0)),
        more: (next < found.len()).then(|| link(next)),
    };
    Ok(page(&app, 200, PagePolicy::Standalone, shown.render()))
}

/// The groups shown on a page; `count` is their total number.
pub fn held_groups(
    app: &App,
    account_view: &AccountView,
    names: Vec<Name>,
    count: usize,
) -> HeldGroups {
    let session = &account_view.session;
    HeldGroups {
        names,
        count: count as u64,
        source: connector_name(app, session).into(),
        as_of: display_time(app, session.identity_at),
        stale: account_view.stale,
        ask: account_view.groups_not_requested.then(|| super::sign_in_link(app, "/", false)),
    }
}
