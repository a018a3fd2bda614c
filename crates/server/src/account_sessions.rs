//! `/sessions` and `/groups`: where a person is signed in, what that gave to which application, and the
//! buttons that end it. Who may end what is the issuer's to say.

use axum::extract::{Path, State};
use axum::response::Response;
use countersign_core::{GrantId, SessionId, Timestamp};
use countersign_issuer::authorize::AccountPage;
use serde::{Deserialize, Serialize};

use crate::account_pages::{
    AccountView, account_view, back_to, check_form, flash, live_session, sign_in_first,
};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Form, Pairs, Query, once};
use crate::home::connector_name;
use crate::page_error::{PageError, into_response};
use crate::pages::{self, EndFlash, HeldGroups, Name, Page, PageErrorKind};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page, with_cookies};

mod cards;

pub use cards::Cards;
use cards::display_time;

/// EndedItem fits on one page of under 30 KB.
const SIGN_INS_PER_PAGE: usize = 6;
const GRANTS_PER_SIGN_IN: usize = 2;
const GRANTS_PER_PAGE: usize = 15;
const GROUPS_PAGE_BYTES: usize = 12 * 1024;

/// Carried from the act to the page after it.
#[derive(Serialize, Deserialize)]
struct EndResult {
    what: EndedItem,
    tokens_until: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
enum EndedItem {
    SignIn,
    Grant(String),
    Others(u64),
}

const ABOUT: &str = "an end";

/// EndedItem was just ended by this browser, for the page it comes back to.
pub fn end_flash(app: &App, context: &RequestContext, pairs: &Pairs) -> Option<EndFlash> {
    let result: EndResult = flash(app, context, pairs, ABOUT)?;
    let alive = result.tokens_until.filter(|at| *at > app.issuer.now());
    Some(EndFlash {
        what: match result.what {
            EndedItem::SignIn => pages::EndedItem::SignIn,
            EndedItem::Grant(app) => pages::EndedItem::Grant(app.into()),
            EndedItem::Others(count) => pages::EndedItem::Others(count),
        },
        tokens_until: alive.map(|at| display_time(app, at)),
    })
}

pub async fn list(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Response {
    into_response(&app, &context, show_list(&app, &context, &pairs).await)
}

async fn show_list(
    app: &App,
    context: &RequestContext,
    pairs: &Pairs,
) -> Result<Response, PageError> {
    let Some(mine) = live_session(app, context).await? else {
        return sign_in_first(app, "/sessions", false);
    };
    let number = page_number(pairs);
    let all = app.issuer.account_sessions(&mine).await?;
    let links = PageLinks::of("/sessions", number, all.len(), SIGN_INS_PER_PAGE);
    let shown = all.iter().skip(links.skipped).take(SIGN_INS_PER_PAGE);
    let cards = Cards::new(app, &mine).of(shown, GRANTS_PER_SIGN_IN).await?;
    let shown = pages::Sessions {
        layout: &app.layout,
        flash: end_flash(app, context, pairs),
        cards,
        others: all.len() > 1,
        action: &app.path("/sessions"),
        csrf: &app.issuer.form_token(context.session.as_ref()),
        back: &links.here,
        newer: links.newer.map(|to| app.path(&to)),
        older: links.older.map(|to| app.path(&to)),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

pub async fn one(
    State(app): State<App>,
    context: RequestContext,
    Path(id): Path<String>,
    Query(pairs): Query,
) -> Response {
    into_response(&app, &context, show_one(&app, &context, SessionId::new(id), &pairs).await)
}

async fn show_one(
    app: &App,
    context: &RequestContext,
    id: SessionId,
    pairs: &Pairs,
) -> Result<Response, PageError> {
    let Some(mine) = live_session(app, context).await? else {
        return sign_in_first(app, "/sessions", false);
    };
    let found = app.issuer.own_session_of_id(&mine, &id).await?;
    let session = found.ok_or(PageErrorKind::NotFound)?;
    let number = page_number(pairs);
    let (card, count) =
        Cards::new(app, &mine).one(&session, number * GRANTS_PER_PAGE, GRANTS_PER_PAGE).await?;
    let links = PageLinks::of(&format!("/sessions/{}", session.id), number, count, GRANTS_PER_PAGE);
    let until = Some(app.issuer.browser_until(&session)).filter(|at| *at > app.issuer.now());
    let shown = pages::OneSession {
        layout: &app.layout,
        flash: end_flash(app, context, pairs),
        card,
        browser_until: until.map(|at| display_time(app, at)),
        action: &app.path("/sessions"),
        csrf: &app.issuer.form_token(context.session.as_ref()),
        back: &links.here,
        newer: links.newer.map(|to| app.path(&to)),
        older: links.older.map(|to| app.path(&to)),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

/// Which button was pressed: `session` and `grant` name one, `others` is all but this sign-in.
pub async fn end(State(app): State<App>, context: RequestContext, Form(pairs): Form) -> Response {
    into_response(&app, &context, end_asked(&app, &context, &pairs).await)
}

async fn end_asked(
    app: &App,
    context: &RequestContext,
    pairs: &Pairs,
) -> Result<Response, PageError> {
    check_form(app, context, pairs)?;
    let Some(mine) = live_session(app, context).await? else {
        return sign_in_first(app, "/", false);
    };
    let ip = context.address.to_string();
    let back = once(pairs, "back").and_then(AccountPage::parse).unwrap_or_else(AccountPage::home);
    let wanted = ["session", "grant", "others"].map(|name| once(pairs, name));
    match wanted {
        [Some(id), None, None] => {
            let id = SessionId::new(id);
            let ended = app.issuer.end_own_session(&mine, &id, &ip).await?;
            let ended = ended.ok_or(PageErrorKind::NotFound)?;
            let result = EndResult { what: EndedItem::SignIn, tokens_until: ended.tokens_until };
            after_sign_in(app, context, id == mine.id, &back, &result)
        }
        [None, Some(id), None] => {
            let ended = app.issuer.end_own_grant(&mine, &GrantId::new(id)).await?;
            let (grant, ended) = ended.ok_or(PageErrorKind::NotFound)?;
            let client = app.issuer.clients.get(&grant.client);
            let name = client.map_or(grant.client.as_str(), |client| &client.name);
            let what = EndedItem::Grant(name.to_owned());
            let result = EndResult { what, tokens_until: ended.tokens_until };
            back_to(app, context, back.as_str(), ABOUT, &result)
        }
        [None, None, Some("all")] => {
            let (count, ended) = app.issuer.end_own_others(&mine, &ip).await?;
            let result =
                EndResult { what: EndedItem::Others(count), tokens_until: ended.tokens_until };
            back_to(app, context, "/", ABOUT, &result)
        }
        _ => Err(PageError::from(PageErrorKind::BadRequest).detail("session, grant, others")),
    }
}

/// The page of a sign-in is gone with it; and with one's own this browser is signed out.
fn after_sign_in(
    app: &App,
    context: &RequestContext,
    own: bool,
    back: &AccountPage,
    result: &EndResult,
) -> Result<Response, PageError> {
    let gone = own || back.as_str().starts_with("/sessions/");
    let to = if gone { "/" } else { back.as_str() };
    let response = back_to(app, context, to, ABOUT, result)?;
    let mut cookies = SetCookies::default();
    if own {
        cookies.no_session(&app.cookies);
    }
    Ok(with_cookies(response, cookies))
}

pub async fn groups(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Response {
    into_response(&app, &context, show_groups(&app, &context, &pairs).await)
}

async fn show_groups(
    app: &App,
    context: &RequestContext,
    pairs: &Pairs,
) -> Result<Response, PageError> {
    let Some(account_view) = account_view(app, context).await? else {
        return sign_in_first(app, "/groups", false);
    };
    if account_view.groups_not_requested {
        return sign_in_first(app, "/groups", false);
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

/// The groups a page shows, of `count` in all.
pub fn held(app: &App, account_view: &AccountView, names: Vec<Name>, count: usize) -> HeldGroups {
    let session = &account_view.session;
    HeldGroups {
        names,
        count: count as u64,
        source: connector_name(app, session).into(),
        asked: display_time(app, session.identity_at),
        stale: account_view.stale,
        ask: account_view
            .groups_not_requested
            .then(|| crate::account_pages::sign_in_link(app, "/", false)),
    }
}

fn page_number(pairs: &Pairs) -> usize {
    once(pairs, "page").and_then(|text| text.parse().ok()).unwrap_or(0).min(10_000)
}

/// Turning pages: the one before, this one and the one after, as paths below the issuer's.
struct PageLinks {
    skipped: usize,
    here: String,
    newer: Option<String>,
    older: Option<String>,
}

impl PageLinks {
    fn of(path: &str, number: usize, count: usize, per_page: usize) -> Self {
        // Beyond the end, as after an end on the last page, is the last page.
        let number = number.min(count.saturating_sub(1) / per_page.max(1));
        let to = |number: usize| format!("{path}?page={number}");
        Self {
            skipped: number * per_page,
            here: to(number),
            newer: number.checked_sub(1).map(to),
            older: ((number + 1) * per_page < count).then(|| to(number + 1)),
        }
    }
}
