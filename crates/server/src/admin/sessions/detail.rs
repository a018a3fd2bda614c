//! The page `/admin/sessions/{id}`: one session with its grants, groups, events and trace, and the buttons that end
//! the session or one grant.

use axum::extract::Path;
use axum::response::Response;

use countersign_core::{ConnectorId, GrantId, SessionId};
use countersign_issuer::admin::view::{EventView, GrantView, SessionDetailView, SessionView};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::blocked_users::block::block_path;
use super::super::events::{EventRow, row as event_row};
use super::super::filters::{Part, part, part_of_names, path_with_query, requested_offset};
use super::super::frame::{Frame, Section, client_name, connector_name, display_time_of};
use super::end::EndResult;
use super::end_views::{EndSummary, Ended};
use super::{EndedLine, ended_line, person};
use crate::admin::AdminSession;
use crate::app::App;
use crate::form::{Form, flash, once, redirect_with_flash};
use crate::page_error::PageError;
use crate::pages::messages::FormattedMessage;
use crate::pages::messages::admin::Admin;
use crate::pages::{Device, DisplayTime, Layout, Name, Page, PageErrorKind};
use crate::response::{PagePolicy, page, see_other};

#[derive(askama::Template)]
#[template(path = "pages/admin_session.html")]
pub struct SessionDetail<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// What was just ended on this page.
    pub done: Option<EndSummary>,
    pub id: &'a str,
    /// It is the administrator's own session.
    pub own: bool,
    pub name: Name,
    /// Label and value.
    pub facts: Vec<(&'static str, Name)>,
    pub since: DisplayTime,
    pub proved: DisplayTime,
    pub used: DisplayTime,
    pub ended: Option<EndedLine>,
    pub tokens_until: Option<DisplayTime>,
    pub groups: Part<Name>,
    pub groups_as_of: DisplayTime,
    pub grants: Part<GrantRow>,
    pub events: Vec<EventRow>,
    pub all_events: String,
    pub trace: Part<Name>,
    /// Path of the search for this user.
    pub of_person: String,
    pub explain: String,
    /// Link to the page that blocks this user.
    pub block: String,
    /// Reason of the block, if the user is blocked.
    pub blocked: Option<Name>,
    /// Where the buttons are posted.
    pub action: String,
}

pub struct GrantRow {
    pub id: String,
    pub app: Name,
    pub scopes: Name,
    pub refreshable: bool,
    pub granted: DisplayTime,
    pub used: DisplayTime,
    pub until: DisplayTime,
    pub ended: Option<EndedLine>,
}

impl SessionDetail<'_> {
    fn title(&self) -> String {
        self.t().one.heading.plain(&self.name)
    }

    fn heading(&self) -> FormattedMessage<'static> {
        self.t().one.heading.with(&self.name)
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }

    fn fold_label(&self) -> String {
        self.t().one.show_groups.of(self.groups.total as u64)
    }
}

impl GrantRow {
    fn end_label(&self, t: &Admin) -> String {
        t.one.end_grant.plain(&self.app)
    }
}

/// Limits of this page; the rest is on the next one.
const GRANTS: usize = 4;
const EVENTS: usize = 3;
const GROUP_BYTES: usize = 768;
const TRACE_BYTES: usize = 768;

const ABOUT: &str = "an end in a session";

pub async fn get_page(admin: AdminSession, Path(id): Path<String>) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    let id = SessionId::new(id);
    let found = app.issuer.session_details(&id).await?.ok_or(PageErrorKind::NotFound)?;
    let SessionDetailView { session, grants, events } = &found;
    let connector = ConnectorId::new(&session.connector);
    let blocked = app.issuer.blocked_user(&connector, &session.user_id).await?;
    let pairs = admin.query();
    let (path, of_person, explain) = links(session);
    let here = (path.as_str(), pairs.as_slice());
    let begin = requested_offset(&pairs, "grants", grants.len());
    let shown_grants = grants.iter().skip(begin).take(GRANTS).map(|grant| grant_row(app, grant));
    let result = flash::<EndResult>(app, context, &admin.pairs, ABOUT);
    let shown = SessionDetail {
        layout: &app.layout,
        frame: admin.frame(Section::Sessions),
        done: result.map(|result| result.summary(app)),
        id: &session.id,
        own: id == admin.session.id,
        name: person(session).into(),
        facts: facts(app, session),
        since: display_time_of(app, &session.signed_in),
        proved: display_time_of(app, &session.auth_time),
        used: display_time_of(app, &session.last_seen),
        ended: session.ended.as_ref().map(|ended| ended_line(app, ended)),
        tokens_until: session.tokens_until.as_deref().map(|until| display_time_of(app, until)),
        groups: part_of_names(app, here, "groups", &session.groups, GROUP_BYTES),
        groups_as_of: display_time_of(app, &session.groups_as_of),
        grants: part(app, here, "grants", grants.len(), (begin, shown_grants.collect())),
        events: events.iter().take(EVENTS).map(|event| own_event(app, event)).collect(),
        all_events: app
            .path(&path_with_query("/admin/events", &[("session".into(), session.id.clone())])),
        trace: part_of_names(app, here, "trace", &session.trace, TRACE_BYTES),
        of_person: app.path(&of_person),
        explain: app.path(&explain),
        block: app.path(&block_path(&session.connector, &session.user_id)),
        blocked: blocked.map(|block| block.reason.into()),
        action: app.path(&path),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

/// Links to this page, to the user's sessions, and to the explanation for the user.
fn links(session: &SessionView) -> (String, String, String) {
    let user = ("user".to_owned(), session.user_id.clone());
    let connector = ("connector".to_owned(), session.connector.clone());
    (
        format!("/admin/sessions/{}", session.id),
        path_with_query(Section::Sessions.path(), &[user.clone(), connector]),
        path_with_query(Section::Explain.path(), &[user]),
    )
}

fn facts(app: &App, session: &SessionView) -> Vec<(&'static str, Name)> {
    let t = &app.layout.messages.admin;
    let device = Device::of(&session.user_agent).label(app.layout.messages);
    let facts = [
        (t.list.connector, connector_name(app, &session.connector)),
        (t.one.login, session.preferred_username.as_str().into()),
        (t.one.email, session.email.as_str().into()),
        (t.one.user_id, session.user_id.as_str().into()),
        (t.one.address, session.ip.as_str().into()),
        (t.one.program, device),
        (t.one.session, session.id.as_str().into()),
    ];
    facts.into_iter().filter(|(_, value)| value.as_str() != "—").collect()
}

/// An event row without the link to this page.
fn own_event(app: &App, event: &EventView) -> EventRow {
    EventRow { session: None, ..event_row(app, event) }
}

fn grant_row(app: &App, grant: &GrantView) -> GrantRow {
    GrantRow {
        id: grant.id.clone(),
        app: client_name(app, &grant.client),
        scopes: grant.scope.as_str().into(),
        refreshable: grant.refreshable,
        granted: display_time_of(app, &grant.granted),
        used: display_time_of(app, &grant.last_used),
        until: display_time_of(app, &grant.tokens_until),
        ended: grant.ended.as_ref().map(|ended| ended_line(app, ended)),
    }
}

/// Handles the buttons: `session` and `grant` end the named one.
pub async fn post_page(
    admin: AdminSession,
    Path(id): Path<String>,
    Form(form): Form,
) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    let id = SessionId::new(id);
    if let Some(first) = admin.require_fresh_sign_in(&form)? {
        return Ok(first);
    }
    let path = format!("/admin/sessions/{id}");
    // What has ended already, as by a second click, is shown there with when and by whom.
    let ended_before = || {
        let id = utf8_percent_encode(id.as_str(), NON_ALPHANUMERIC);
        Ok(see_other(&app.path(&format!("/admin/sessions/{id}"))))
    };
    let result = match (once(&form, "session"), once(&form, "grant")) {
        (Some(named), None) if named == id.as_str() => {
            let end = app.issuer.end_session(&admin.who, &id).await?;
            let Some(end) = end else { return ended_before() };
            let grants = end.grants_ended;
            EndResult { sessions: 1, grants, tokens_until: end.tokens_until, more: false }
        }
        (None, Some(grant)) => {
            let grant = GrantId::new(grant);
            if app.issuer.session_of_grant(&grant).await?.as_ref() != Some(&id) {
                return Err(PageErrorKind::NotFound.into());
            }
            let end = app.issuer.end_grant(&admin.who, &grant).await?;
            let Some(end) = end else { return ended_before() };
            let until = Some(end.tokens_until);
            EndResult { sessions: 0, grants: 1, tokens_until: until, more: false }
        }
        _ => return Err(PageError::from(PageErrorKind::BadRequest).detail("session, grant")),
    };
    match result.sessions > 0 && id == admin.session.id {
        false => redirect_with_flash(app, context, &path, ABOUT, &result),
        true => Ok(own_ended(&admin, &result)),
    }
}

/// The response after ending the administrator's own session, with which a further request would be refused.
fn own_ended(admin: &AdminSession, result: &EndResult) -> Response {
    let app = &admin.app;
    let shown = Ended {
        layout: &app.layout,
        frame: admin.frame(Section::Sessions),
        chips: None,
        done: result.summary(app),
        more: None,
        own_ended: true,
        sure: false,
        back: app.path(Section::Sessions.path()),
    };
    page(app, 200, PagePolicy::Standalone, shown.render())
}
