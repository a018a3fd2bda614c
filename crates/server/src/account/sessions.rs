//! `/sessions`: the user's sessions with the grants of each, and the forms that end them. `/consents`: the stored consents
//! by client, and the form that withdraws one.

use axum::extract::{Path, State};
use axum::response::Response;
use countersign_core::{ClientId, GrantId, SessionId, Timestamp};
use countersign_issuer::login::AccountPage;
use serde::{Deserialize, Serialize};

use super::{Cards, check_form, display_time, live_session, sign_in_first};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Form, Pairs, Query, flash, once, redirect_with_flash};
use crate::login::next_step::scope_for_display;
use crate::page_error::PageError;
use crate::pages::{self, ConsentLine, EndFlash, Page, PageErrorKind};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page, see_other, with_cookies};

const SIGN_INS_PER_PAGE: usize = 6;
const GRANTS_PER_SIGN_IN: usize = 2;
const GRANTS_PER_PAGE: usize = 15;

/// Content of the flash message after something was ended.
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
    /// The consent of the client with this name.
    Consent(String),
}

const ABOUT: &str = "an end";

/// The flash message about what this browser has just ended, if there is one.
pub fn end_flash(app: &App, context: &RequestContext, pairs: &Pairs) -> Option<EndFlash> {
    let result: EndResult = flash(app, context, pairs, ABOUT)?;
    let alive = result.tokens_until.filter(|at| *at > app.issuer.now());
    Some(EndFlash {
        what: match result.what {
            EndedItem::SignIn => pages::EndedItem::SignIn,
            EndedItem::Grant(app) => pages::EndedItem::Grant(app.into()),
            EndedItem::Others(count) => pages::EndedItem::Others(count),
            EndedItem::Consent(app) => pages::EndedItem::Consent(app.into()),
        },
        tokens_until: alive.map(|at| display_time(app, at)),
    })
}

/// Redirects to the consents page with a flash message about the withdrawn consent.
pub fn consent_withdrawn(
    app: &App,
    context: &RequestContext,
    page: &str,
    name: &str,
    tokens_until: Option<Timestamp>,
) -> Result<Response, PageError> {
    let result = EndResult { what: EndedItem::Consent(name.to_owned()), tokens_until };
    redirect_with_flash(app, context, page, ABOUT, &result)
}

pub async fn list(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let Some(mine) = live_session(&app, &context).await? else {
        return Ok(sign_in_first(&app, "/sessions", false));
    };
    let number = page_number(&pairs);
    let all = app.issuer.account_sessions(&mine).await?;
    let links = PageLinks::of("/sessions", number, all.len(), SIGN_INS_PER_PAGE);
    let shown = all.iter().skip(links.skipped).take(SIGN_INS_PER_PAGE);
    let cards = Cards::new(&app, &mine).of(shown, GRANTS_PER_SIGN_IN).await?;
    let shown = pages::Sessions {
        layout: &app.layout,
        flash: end_flash(&app, &context, &pairs),
        cards,
        others: all.len() > 1,
        action: &app.path("/sessions"),
        csrf: &app.issuer.form_token(context.session.as_ref()),
        back: &links.here,
        newer: links.newer.map(|to| app.path(&to)),
        older: links.older.map(|to| app.path(&to)),
    };
    Ok(page(&app, 200, PagePolicy::Standalone, shown.render()))
}

pub async fn one(
    State(app): State<App>,
    context: RequestContext,
    Path(id): Path<String>,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let id = SessionId::new(id);
    let Some(mine) = live_session(&app, &context).await? else {
        return Ok(sign_in_first(&app, "/sessions", false));
    };
    let found = app.issuer.account_session(&mine, &id).await?;
    let session = found.ok_or(PageErrorKind::NotFound)?;
    let number = page_number(&pairs);
    let (card, count) =
        Cards::new(&app, &mine).one(&session, number * GRANTS_PER_PAGE, GRANTS_PER_PAGE).await?;
    let links = PageLinks::of(&format!("/sessions/{}", session.id), number, count, GRANTS_PER_PAGE);
    let until =
        Some(app.issuer.browser_session_expires_at(&session)).filter(|at| *at > app.issuer.now());
    let shown = pages::OneSession {
        layout: &app.layout,
        flash: end_flash(&app, &context, &pairs),
        card,
        browser_until: until.map(|at| display_time(&app, at)),
        action: &app.path("/sessions"),
        csrf: &app.issuer.form_token(context.session.as_ref()),
        back: &links.here,
        newer: links.newer.map(|to| app.path(&to)),
        older: links.older.map(|to| app.path(&to)),
    };
    Ok(page(&app, 200, PagePolicy::Standalone, shown.render()))
}

/// Handles the buttons: `session` and `grant` end the named one, `others` ends all sessions except this one.
pub async fn end(
    State(app): State<App>,
    context: RequestContext,
    Form(pairs): Form,
) -> Result<Response, PageError> {
    check_form(&app, &context, &pairs)?;
    // The session of this browser may have just ended by the same button, so no login begins here.
    let Some(mine) = live_session(&app, &context).await? else {
        return Ok(see_other(&app.path("/")));
    };
    let ip = context.address.to_string();
    let back = once(&pairs, "back").and_then(AccountPage::parse).unwrap_or_else(AccountPage::home);
    let wanted = ["session", "grant", "others"].map(|name| once(&pairs, name));
    match wanted {
        [Some(id), None, None] => {
            let id = SessionId::new(id);
            let ended = app.issuer.end_account_session(&mine, &id, &ip).await?;
            let ended = ended.ok_or(PageErrorKind::NotFound)?;
            let result = EndResult { what: EndedItem::SignIn, tokens_until: ended.tokens_until };
            after_session_end(&app, &context, id == mine.id, &back, &result)
        }
        [None, Some(id), None] => {
            let ended = app.issuer.end_account_grant(&mine, &GrantId::new(id), &ip).await?;
            let (grant, ended) = ended.ok_or(PageErrorKind::NotFound)?;
            let client = app.issuer.clients.get(&grant.client);
            let name = client.as_ref().map_or(grant.client.as_str(), |client| &client.name);
            let what = EndedItem::Grant(name.to_owned());
            let result = EndResult { what, tokens_until: ended.tokens_until };
            redirect_with_flash(&app, &context, back.as_str(), ABOUT, &result)
        }
        [None, None, Some("all")] => {
            let (count, ended) = app.issuer.end_other_account_sessions(&mine, &ip).await?;
            let result =
                EndResult { what: EndedItem::Others(count), tokens_until: ended.tokens_until };
            redirect_with_flash(&app, &context, "/", ABOUT, &result)
        }
        _ => Err(PageError::from(PageErrorKind::BadRequest).detail("session, grant, others")),
    }
}

/// Redirects after a session ended: its own page no longer exists, and ending the session of this browser signs it out.
fn after_session_end(
    app: &App,
    context: &RequestContext,
    own: bool,
    back: &AccountPage,
    result: &EndResult,
) -> Result<Response, PageError> {
    let gone = own || back.as_str().starts_with("/sessions/");
    let to = if gone { "/" } else { back.as_str() };
    let response = redirect_with_flash(app, context, to, ABOUT, result)?;
    let mut cookies = SetCookies::default();
    if own {
        cookies.no_session(&app.cookies);
    }
    Ok(with_cookies(response, cookies))
}

fn page_number(pairs: &Pairs) -> usize {
    once(pairs, "page").and_then(|text| text.parse().ok()).unwrap_or(0).min(10_000)
}

/// Links of a paged list: the previous page, this one and the next, as paths relative to the issuer.
struct PageLinks {
    skipped: usize,
    here: String,
    newer: Option<String>,
    older: Option<String>,
}

impl PageLinks {
    fn of(path: &str, number: usize, count: usize, per_page: usize) -> Self {
        // A number beyond the last page, as after ending something on it, means the last page.
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

const CONSENTS_PATH: &str = "/consents";

pub async fn list_consents(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let Some(mine) = live_session(&app, &context).await? else {
        return Ok(sign_in_first(&app, CONSENTS_PATH, false));
    };
    let consents = app.issuer.account_consents(&mine).await?;
    let lines = consents.iter().map(|consent| {
        let client = app.issuer.clients.get(&consent.client);
        ConsentLine {
            client_id: consent.client.to_string(),
            app: client.as_ref().map_or(consent.client.as_str(), |client| &client.name).into(),
            scopes: consent.scopes.iter().map(|scope| scope_for_display(&app, scope)).collect(),
            granted: display_time(&app, consent.granted_at),
        }
    });
    let shown = pages::Consents {
        layout: &app.layout,
        flash: end_flash(&app, &context, &pairs),
        consents: lines.collect(),
        action: &app.path(CONSENTS_PATH),
        csrf: &app.issuer.form_token(context.session.as_ref()),
    };
    Ok(page(&app, 200, PagePolicy::Standalone, shown.render()))
}

pub async fn withdraw_consent(
    State(app): State<App>,
    context: RequestContext,
    Form(pairs): Form,
) -> Result<Response, PageError> {
    check_form(&app, &context, &pairs)?;
    let Some(mine) = live_session(&app, &context).await? else {
        return Ok(sign_in_first(&app, CONSENTS_PATH, false));
    };
    let client = once(&pairs, "client").map(ClientId::new);
    let client =
        client.ok_or_else(|| PageError::from(PageErrorKind::BadRequest).detail("client"))?;
    let Some(ended) = app.issuer.withdraw_account_consent(&mine, &client).await? else {
        // As by a second click: the list no longer has it.
        return Ok(see_other(&app.path(CONSENTS_PATH)));
    };
    let known = app.issuer.clients.get(&client);
    let name = known.as_ref().map_or(client.as_str(), |client| &client.name);
    consent_withdrawn(&app, &context, CONSENTS_PATH, name, ended.tokens_until)
}
