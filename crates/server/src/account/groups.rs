//! `/groups`: all groups of the user, with search and paging.

use axum::extract::State;
use axum::response::Response;

use super::{AccountView, account_view, connector_name, display_time, sign_in_first};
use crate::app::App;
use crate::form::{Pairs, Query, once};
use crate::page_error::{PageError, into_response};
use crate::pages::{self, HeldGroups, Name, Page};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page};

/// Markup bytes for the group names of one page.
const GROUPS_PAGE_BYTES: usize = 12 * 1024;

pub async fn get_groups(State(app): State<App>, context: RequestContext, Query(pairs): Query) -> Response {
    into_response(&app, &context, show_groups(&app, &context, &pairs).await)
}

async fn show_groups(
    app: &App,
    context: &RequestContext,
    pairs: &Pairs,
) -> Result<Response, PageError> {
    let Some(account_view) = account_view(app, context).await? else {
        return Ok(sign_in_first(app, "/groups", false));
    };
    if account_view.groups_not_requested {
        return Ok(sign_in_first(app, "/groups", false));
    }
    let search: String = once(pairs, "q").unwrap_or_default().trim().chars().take(256).collect();
    let from = once(pairs, "from").and_then(|text| text.parse().ok()).unwrap_or(0);
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
        groups: held(app, &account_view, names, found.len()),
        search: &search,
        action: &app.path("/groups"),
        earlier: (from > 0).then(|| link(0)),
        more: (next < found.len()).then(|| link(next)),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

/// The groups shown on a page; `count` is their total number.
pub fn held(app: &App, account_view: &AccountView, names: Vec<Name>, count: usize) -> HeldGroups {
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
