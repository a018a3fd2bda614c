//! `/admin/end`: which sessions would end, and ending them.

use axum::extract::State;
use axum::response::Response;
use countersign_core::{ClientId, SessionFilter, Timestamp};
use countersign_issuer::admin::asked::{BULK_FIELDS, BadField, Fields};
use serde::{Deserialize, Serialize};

use super::entrance::AdminSession;
use super::fields::{address, field, with};
use super::sessions::narrowing;
use super::{client_name, count, display_time};
use crate::account_pages::{back_to, notice};
use crate::answer::page;
use crate::app::App;
use crate::csp::FormsEnd;
use crate::form::{Form, Pairs, once};
use crate::page_error::{PageError, into_response};
use crate::pages::admin::{Announcement, Chip, EndMany, Ended, Preview, Section};
use crate::pages::{Name, Page};
use crate::request_context::RequestContext;

const PATH: &str = "/admin/end";
const ABOUT: &str = "an administrator's end";
const APPS: usize = 20;

/// Carried from an end to the page after it.
#[derive(Serialize, Deserialize)]
pub struct Told {
    pub sessions: u64,
    pub grants: u64,
    pub tokens_until: Option<Timestamp>,
    pub more: bool,
}

impl Told {
    pub fn announcement(&self, app: &App) -> Announcement {
        let alive = self.tokens_until.filter(|at| *at > app.issuer.now());
        Announcement {
            sessions: self.sessions,
            grants: self.grants,
            tokens_until: alive.map(|at| display_time(app, at)),
        }
    }
}

pub async fn preview(
    State(app): State<App>,
    context: RequestContext,
    entered: AdminSession,
) -> Response {
    into_response(&app, &context, look(&app, &context, &entered).await)
}

async fn look(
    app: &App,
    context: &RequestContext,
    entered: &AdminSession,
) -> Result<Response, PageError> {
    let pairs = entered.asked();
    if pairs.iter().all(|(_, value)| value.trim().is_empty()) {
        return Ok(offer(app, context, entered, None));
    }
    let meant = match Meant::of(app, &pairs) {
        Ok(meant) => meant,
        Err(bad) => return Ok(offer(app, context, entered, Some(&bad))),
    };
    match notice::<Told>(app, context, &entered.pairs, ABOUT) {
        Some(told) => Ok(ended(app, context, entered, &meant, (&told, false))),
        None => would_end(app, context, entered, &meant, false).await,
    }
}

pub async fn end(
    State(app): State<App>,
    context: RequestContext,
    entered: AdminSession,
    Form(form): Form,
) -> Response {
    into_response(&app, &context, end_asked(&app, &context, &entered, &form).await)
}

async fn end_asked(
    app: &App,
    context: &RequestContext,
    entered: &AdminSession,
    form: &Pairs,
) -> Result<Response, PageError> {
    if let Some(first) = entered.proves_first(app, context, form)? {
        return Ok(first);
    }
    let meant = match Meant::of(app, &entered.asked()) {
        Ok(meant) => meant,
        Err(bad) => return Ok(offer(app, context, entered, Some(&bad))),
    };
    if meant.is_wide() && once(form, "sure") != Some("yes") {
        return would_end(app, context, entered, &meant, true).await;
    }
    let batch = app.issuer.end_matching(&entered.who, meant.filter.clone()).await?;
    let told = Told {
        sessions: count(batch.sessions),
        grants: count(batch.grants),
        tokens_until: batch.tokens_until,
        more: batch.more,
    };
    // No upstream is asked here: what ended must be told, though it be down.
    match app.issuer.browser_session(context.session.as_ref()).await {
        Ok(Some(_)) => back_to(app, context, &address(PATH, &meant.pairs), ABOUT, &told),
        // Signed out by this: another request could not tell them any more.
        _ => Ok(ended(app, context, entered, &meant, (&told, true))),
    }
}

/// Which sessions are meant, so that the same ones are meant in the next request.
struct Meant {
    filter: SessionFilter,
    /// The fields of it, instants absolute.
    pairs: Pairs,
    /// As they were typed.
    typed: Pairs,
}

impl Meant {
    fn of(app: &App, pairs: &Pairs) -> Result<Self, BadField> {
        let now = app.issuer.now();
        let known: Vec<&str> = BULK_FIELDS.iter().copied().chain(["everything"]).collect();
        let fields = Fields::new(pairs, &known, now)?;
        let filter = fields.bulk()?;
        let typed = narrowing(pairs);
        if filter.is_everything() {
            return Ok(Self { filter, pairs: pairs.clone(), typed: Vec::new() });
        }
        // Whoever signs in after the preview was not in it.
        let end = Timestamp::from_millis(now.millis() + 1);
        let before = filter.created_before.map_or(end, |given| given.min(end));
        let filter = SessionFilter { created_before: Some(before), ..filter };
        let instants = [
            ("seen_since", filter.seen_since),
            ("seen_before", filter.seen_before),
            ("created_since", filter.created_since),
            ("created_before", filter.created_before),
        ];
        let pairs = instants.iter().fold(typed.clone(), |pairs, (name, instant)| {
            with(&pairs, name, instant.map(exactly).as_deref())
        });
        Ok(Self { filter, pairs, typed })
    }

    /// Nothing but time narrows it.
    fn is_wide(&self) -> bool {
        let f = &self.filter;
        let texts = [&f.text, &f.user, &f.group, &f.ip].iter().any(|text| text.is_some());
        !texts && f.connector.is_none() && f.client.is_none()
    }

    fn chips(&self, app: &App) -> Vec<Chip> {
        let t = &app.layout.texts.admin;
        let given = self.typed.iter().filter(|(_, value)| !value.trim().is_empty());
        given.map(|(name, value)| Chip { label: t.label(name), value: value.into() }).collect()
    }
}

/// RFC 3339 with its milliseconds.
fn exactly(at: Timestamp) -> String {
    format!("{}.{:03}Z", at.to_string().trim_end_matches('Z'), at.millis().rem_euclid(1000))
}

fn offer(
    app: &App,
    context: &RequestContext,
    entered: &AdminSession,
    problem: Option<&BadField>,
) -> Response {
    const SINCE: &str = "created_since";
    let pairs = entered.asked();
    let shown = EndMany {
        layout: &app.layout,
        frame: entered.frame(app, context, Section::Sessions),
        since: field(app, SINCE, &pairs, problem),
        problem: problem.filter(|bad| bad.field != SINCE).map(|bad| bad.to_string().into()),
        action: app.path(PATH),
    };
    let status = if problem.is_some() { 400 } else { 200 };
    page(app, status, FormsEnd::AtHome, shown.render())
}

async fn would_end(
    app: &App,
    context: &RequestContext,
    entered: &AdminSession,
    meant: &Meant,
    forgotten: bool,
) -> Result<Response, PageError> {
    let found = app.issuer.preview_end(&meant.filter).await?;
    let mine = &entered.session;
    let yours = SessionFilter {
        person: Some((mine.connector.clone(), mine.identity.user_id.clone())),
        ..meant.filter.clone()
    };
    let yours = found.sessions > 0 && app.issuer.preview_end(&yours).await?.sessions > 0;
    let shown = Preview {
        layout: &app.layout,
        frame: entered.frame(app, context, Section::Sessions),
        chips: meant.chips(app),
        sessions: count(found.sessions),
        people: count(found.people),
        grants: count(found.grants),
        apps: apps(app, &found.clients),
        more_apps: found.clients.len().saturating_sub(APPS),
        tokens_until: found
            .tokens_until
            .filter(|at| *at > app.issuer.now())
            .map(|at| display_time(app, at)),
        yours,
        sure: meant.is_wide().then_some(forgotten),
        action: app.path(&address(PATH, &meant.pairs)),
        back: back(app, meant),
    };
    let status = if forgotten { 400 } else { 200 };
    Ok(page(app, status, FormsEnd::AtHome, shown.render()))
}

fn apps(app: &App, clients: &[(ClientId, i64)]) -> Vec<(Name, u64)> {
    let clients = clients.iter().take(APPS);
    clients.map(|(id, grants)| (client_name(app, id.as_str()), count(*grants))).collect()
}

fn ended(
    app: &App,
    context: &RequestContext,
    entered: &AdminSession,
    meant: &Meant,
    (told, own_ended): (&Told, bool),
) -> Response {
    let shown = Ended {
        layout: &app.layout,
        frame: entered.frame(app, context, Section::Sessions),
        chips: Some(meant.chips(app)),
        done: told.announcement(app),
        more: (told.more && !own_ended).then(|| app.path(&address(PATH, &meant.pairs))),
        own_ended,
        sure: meant.is_wide(),
        back: back(app, meant),
    };
    page(app, 200, FormsEnd::AtHome, shown.render())
}

/// The list that the sessions were chosen from.
fn back(app: &App, meant: &Meant) -> String {
    app.path(&address(Section::Sessions.path(), &meant.typed))
}
