//! The page `/admin/end`: preview of the sessions that match a filter, and ending them.

use super::super::filters::{Chip, field, path_with_query, with};
use super::super::frame::{
    Section, client_name, connector_name, count, display_time, found_or_problem,
};
use super::end_views::{EndMany, EndSummary, Ended, PersonLine, Preview};
use super::{names, narrowing};
use crate::admin::AdminSession;
use crate::app::App;
use crate::form::{Form, Pairs, flash, once, redirect_with_flash};
use crate::page_error::PageError;
use crate::pages::{Name, Page};
use crate::response::{PagePolicy, page};
use std::collections::BTreeSet;

use axum::response::Response;
use countersign_core::{ClientId, SessionFilter, Timestamp};
use countersign_issuer::admin::fields::{BULK_FIELDS, FieldError, Fields};
use countersign_issuer::admin::queries::Page as PageRequest;
use serde::{Deserialize, Serialize};

const PATH: &str = "/admin/end";
const ABOUT: &str = "an administrator's end";
const APPS: usize = 20;
/// Users named in a preview, and the number of sessions that are searched for them.
const PEOPLE: usize = 12;
const SESSIONS_READ: i64 = 50;

/// Content of the flash message after sessions were ended.
#[derive(Serialize, Deserialize)]
pub struct EndResult {
    pub sessions: u64,
    pub grants: u64,
    pub tokens_until: Option<Timestamp>,
    pub more: bool,
}

impl EndResult {
    pub fn summary(&self, app: &App) -> EndSummary {
        let alive = self.tokens_until.filter(|at| *at > app.issuer.now());
        EndSummary {
            sessions: self.sessions,
            grants: self.grants,
            tokens_until: alive.map(|at| display_time(app, at)),
        }
    }
}

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    let pairs = admin.query();
    if pairs.iter().all(|(_, value)| value.trim().is_empty()) {
        return Ok(end_many_page(&admin, None));
    }
    let selection = match EndSelection::of(app, &pairs) {
        Ok(selection) => selection,
        Err(bad) => return Ok(end_many_page(&admin, Some(&bad))),
    };
    match flash::<EndResult>(app, context, &admin.pairs, ABOUT) {
        Some(result) => Ok(ended(&admin, &selection, &result, false)),
        None => preview_page(&admin, &selection, false).await,
    }
}

pub async fn post_page(admin: AdminSession, Form(form): Form) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    if let Some(first) = admin.require_fresh_sign_in(&form)? {
        return Ok(first);
    }
    let selection = match EndSelection::of(app, &admin.query()) {
        Ok(selection) => selection,
        Err(bad) => return Ok(end_many_page(&admin, Some(&bad))),
    };
    if selection.is_wide() && once(&form, "sure") != Some("yes") {
        return preview_page(&admin, &selection, true).await;
    }
    let batch = app.issuer.end_sessions(&admin.who, selection.filter.clone()).await?;
    let result = EndResult {
        sessions: count(batch.sessions),
        grants: count(batch.grants),
        tokens_until: batch.tokens_until,
        more: batch.more,
    };
    // No request to the upstream here: the result must be shown even if the upstream is unavailable.
    match app.issuer.browser_session(context.session.as_ref()).await {
        Ok(Some(_)) => redirect_with_flash(
            app,
            context,
            &path_with_query(PATH, &selection.pairs),
            ABOUT,
            &result,
        ),
        // The administrator's own session may have ended: a further request would be refused.
        _ => Ok(ended(&admin, &selection, &result, true)),
    }
}

/// The selected sessions, in a form that selects the same ones in the next request.
struct EndSelection {
    filter: SessionFilter,
    /// The fields of the filter, with absolute instants.
    pairs: Pairs,
    /// The fields as submitted.
    typed: Pairs,
}

impl EndSelection {
    fn of(app: &App, pairs: &Pairs) -> Result<Self, FieldError> {
        let now = app.issuer.now();
        let known: Vec<&str> = BULK_FIELDS.iter().copied().chain(["everything"]).collect();
        let fields = Fields::new(pairs, &known, now)?;
        let filter = fields.bulk()?;
        let typed = narrowing(pairs);
        if filter.is_everything() {
            return Ok(Self { filter, pairs: pairs.clone(), typed: Vec::new() });
        }
        // Excludes sessions that begin after the preview.
        let end = Timestamp::from_millis(now.millis() + 1);
        let before = filter.created_before.map_or(end, |bound| bound.min(end));
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

    /// Whether only instants narrow the filter.
    fn is_wide(&self) -> bool {
        let f = &self.filter;
        let texts = [&f.text, &f.user, &f.group, &f.ip].iter().any(|text| text.is_some());
        !texts && f.connector.is_none() && f.client.is_none() && f.sessions.is_empty()
    }

    fn chips(&self, app: &App) -> Vec<Chip> {
        let t = &app.layout.messages.admin;
        let filled = self.typed.iter().filter(|(_, value)| !value.trim().is_empty());
        let filled = filled.filter(|(name, _)| name != "id");
        let chip =
            |(name, value): &(String, String)| Chip { label: t.label(name), value: value.into() };
        let selected = self.filter.sessions.len() as u64;
        let selected = (selected > 0)
            .then(|| Chip { label: t.label("id"), value: t.list.found.of(selected).into() });
        filled.map(chip).chain(selected).collect()
    }
}

/// RFC 3339 with milliseconds.
fn exactly(at: Timestamp) -> String {
    format!("{}.{:03}Z", at.to_string().trim_end_matches('Z'), at.millis().rem_euclid(1000))
}

fn end_many_page(admin: &AdminSession, problem: Option<&FieldError>) -> Response {
    const SINCE: &str = "created_since";
    let app = &admin.app;
    let pairs = admin.query();
    let shown = EndMany {
        layout: &app.layout,
        frame: admin.frame(Section::Sessions),
        since: field(app, SINCE, &pairs, problem),
        problem: problem.filter(|bad| bad.field != SINCE).map(|bad| bad.to_string().into()),
        action: app.path(PATH),
    };
    let status = if problem.is_some() { 400 } else { 200 };
    page(app, status, PagePolicy::Standalone, shown.render())
}

async fn preview_page(
    admin: &AdminSession,
    selection: &EndSelection,
    forgotten: bool,
) -> Result<Response, PageError> {
    let app = &admin.app;
    let found = app.issuer.preview_end_sessions(&selection.filter).await?;
    let mine = &admin.session;
    let yours = SessionFilter {
        person: Some((mine.connector.clone(), mine.identity.user_id.clone())),
        ..selection.filter.clone()
    };
    let yours = found.sessions > 0 && app.issuer.preview_end_sessions(&yours).await?.sessions > 0;
    let shown = Preview {
        layout: &app.layout,
        frame: admin.frame(Section::Sessions),
        chips: selection.chips(app),
        sessions: count(found.sessions),
        people: count(found.people),
        who: people(app, &selection.filter).await?,
        grants: count(found.grants),
        apps: apps(app, &found.clients),
        more_apps: found.clients.len().saturating_sub(APPS),
        tokens_until: found
            .tokens_until
            .filter(|at| *at > app.issuer.now())
            .map(|at| display_time(app, at)),
        yours,
        sure: selection.is_wide().then_some(forgotten),
        action: app.path(&path_with_query(PATH, &selection.pairs)),
        back: back(app, selection),
    };
    let status = if forgotten { 400 } else { 200 };
    Ok(page(app, status, PagePolicy::Standalone, shown.render()))
}

/// The users of the newest sessions that match.
async fn people(app: &App, filter: &SessionFilter) -> Result<Vec<PersonLine>, PageError> {
    let first = PageRequest { after: None, limit: SESSIONS_READ };
    let found = app.issuer.find_sessions(filter, &first).await;
    let (found, _) = found_or_problem(found)?;
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for session in &found.sessions {
        if lines.len() < PEOPLE && seen.insert((&session.connector, &session.user_id)) {
            let (name, login) = names(session);
            let connector = connector_name(app, &session.connector);
            lines.push(PersonLine { name, login, connector });
        }
    }
    Ok(lines)
}

fn apps(app: &App, clients: &[(ClientId, i64)]) -> Vec<(Name, u64)> {
    let clients = clients.iter().take(APPS);
    clients.map(|(id, grants)| (client_name(app, id.as_str()), count(*grants))).collect()
}

fn ended(
    admin: &AdminSession,
    selection: &EndSelection,
    result: &EndResult,
    own_ended: bool,
) -> Response {
    let app = &admin.app;
    let shown = Ended {
        layout: &app.layout,
        frame: admin.frame(Section::Sessions),
        chips: Some(selection.chips(app)),
        done: result.summary(app),
        more: (result.more && !own_ended)
            .then(|| app.path(&path_with_query(PATH, &selection.pairs))),
        own_ended,
        sure: selection.is_wide(),
        back: back(app, selection),
    };
    page(app, 200, PagePolicy::Standalone, shown.render())
}

/// Link to the list that the sessions were selected from.
fn back(app: &App, selection: &EndSelection) -> String {
    app.path(&path_with_query(Section::Sessions.path(), &selection.typed))
}
