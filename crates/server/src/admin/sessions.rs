//! Sessions, as pages and in the API: the page `/admin` lists them with its filter; [`detail`] shows one, [`end`] ends
//! those that match a filter, [`api`] does all of it.

pub mod api;
pub mod detail;
pub mod end;
pub mod end_views;

use axum::response::Response;
use countersign_core::identity::display_name;
use countersign_issuer::admin::fields::{
    BULK_FIELDS, FieldError, Fields, RequestError, SESSION_FIELDS,
};
use countersign_issuer::admin::queries::Page as PageRequest;
use countersign_issuer::admin::view::{EndedView, SessionPageView, SessionView};

use super::AdminSession;
use super::filters::{FilterForm, Search, options, path_with_query, with};
use super::frame::{
    Frame, Section, client_name, connector_name, count, display_time_of, found_or_problem,
    label_for,
};
use crate::app::App;
use crate::form::{Pairs, once};
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::{Device, DisplayTime, Layout, Name, Page};
use crate::response::{PagePolicy, page};

/// Sessions on one page.
const SESSIONS: i64 = 25;
const APPS: usize = 2;
/// More sessions than this are not counted.
const COUNTED: u64 = 1000;

#[derive(askama::Template)]
#[template(path = "pages/admin_sessions.html")]
pub struct SessionList<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub form: FilterForm,
    pub rows: Vec<SessionRow>,
    /// Number of matching sessions; `None`: too many to count.
    pub total: Option<u64>,
    /// Link to the preview of ending all matching sessions; `None` if none of them can be live.
    pub end: Option<String>,
    /// Link to the preview of ending the selected sessions.
    pub end_selected: String,
    /// Whether a filter is active.
    pub narrowed: bool,
    pub first: Option<String>,
    pub next: Option<String>,
}

pub struct SessionRow {
    pub id: String,
    pub href: String,
    pub name: Name,
    /// Login or e-mail address, if it differs from the name.
    pub login: Option<Name>,
    pub connector: Name,
    pub address: Name,
    pub device: Name,
    pub since: DisplayTime,
    pub used: DisplayTime,
    pub apps: Vec<Name>,
    pub more_apps: usize,
    pub ended: Option<EndedLine>,
}

pub struct EndedLine {
    pub at: DisplayTime,
    pub by: Name,
    pub reason: Name,
}

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    let app = &admin.app;
    let pairs = admin.query();
    let (found, problem) = found_or_problem(find(app, &pairs, SESSIONS).await)?;
    let path = Section::Sessions.path();
    let link = |page: Option<&str>| app.path(&path_with_query(path, &with(&pairs, "page", page)));
    let turned = once(&pairs, "page").is_some_and(|page| !page.is_empty());
    let shown = SessionList {
        layout: &app.layout,
        frame: admin.frame(Section::Sessions),
        form: form(app, &pairs, problem.as_ref()),
        total: found.total.map(count),
        end_selected: app.path("/admin/end"),
        end: (!found.sessions.is_empty() && once(&pairs, "state") != Some("ended"))
            .then(|| app.path(&path_with_query("/admin/end", &narrowing(&pairs)))),
        narrowed: narrowing(&pairs).iter().any(|(_, value)| !value.trim().is_empty()),
        first: turned.then(|| link(None)),
        next: found.next.as_deref().map(|next| link(Some(next))),
        rows: found.sessions.iter().map(|session| row(app, session)).collect(),
    };
    let status = if problem.is_some() { 400 } else { 200 };
    Ok(page(app, status, PagePolicy::Standalone, shown.render()))
}

async fn find(app: &App, pairs: &Pairs, limit: i64) -> Result<SessionPageView, RequestError> {
    let known: Vec<&str> = SESSION_FIELDS.iter().copied().chain(["page"]).collect();
    let fields = Fields::new(pairs, &known, app.issuer.now())?;
    let after = fields.text("page").map(str::to_owned);
    app.issuer.find_sessions(&fields.sessions()?, &PageRequest { after, limit }).await
}

/// The part of a query that selects sessions, without their state.
pub fn narrowing(pairs: &[(String, String)]) -> Pairs {
    pairs.iter().filter(|(name, _)| BULK_FIELDS.contains(&name.as_str())).cloned().collect()
}

fn form(app: &App, pairs: &Pairs, problem: Option<&FieldError>) -> FilterForm {
    let t = &app.layout.messages.admin;
    let search = Search {
        path: Section::Sessions.path(),
        main: &["text"],
        more: &[
            "group",
            "client",
            "user",
            "connector",
            "ip",
            "seen_since",
            "seen_before",
            "created_since",
            "created_before",
        ],
        choice: Some(("state", options(&t.states))),
        submit: t.form.find,
    };
    search.form(app, pairs, problem)
}

fn row(app: &App, session: &SessionView) -> SessionRow {
    let (name, login) = names(session);
    let apps = session.clients.iter().take(APPS).map(|id| client_name(app, id)).collect();
    SessionRow {
        id: session.id.clone(),
        href: app.path(&format!("/admin/sessions/{}", session.id)),
        name,
        login,
        connector: connector_name(app, &session.connector),
        address: session.ip.as_str().into(),
        device: Device::of(&session.user_agent).label(app.layout.messages),
        since: display_time_of(app, &session.signed_in),
        used: display_time_of(app, &session.last_seen),
        apps,
        more_apps: session.clients.len().saturating_sub(APPS),
        ended: session.ended.as_ref().map(|ended| ended_line(app, ended)),
    }
}

/// The display name, and the e-mail address or login if it differs.
pub fn names(session: &SessionView) -> (Name, Option<Name>) {
    let name = person(session);
    let other = [&session.email, &session.preferred_username, &session.user_id];
    let other = other.into_iter().find(|other| !other.is_empty() && other.as_str() != name);
    (name.into(), other.map(Into::into))
}

/// The display name.
pub fn person(session: &SessionView) -> &str {
    display_name([&session.username, &session.preferred_username, &session.email, &session.user_id])
}

pub fn ended_line(app: &App, ended: &EndedView) -> EndedLine {
    EndedLine {
        at: display_time_of(app, &ended.at),
        by: ended.by_name.as_ref().unwrap_or(&ended.by).into(),
        reason: label_for(&app.layout.messages.admin.reasons, &ended.reason),
    }
}

impl SessionList<'_> {
    fn title(&self) -> &'static str {
        self.t().list.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }

    fn count(&self) -> String {
        let (list, shown) = (&self.t().list, self.rows.len() as u64);
        match self.total {
            Some(total) if total <= shown => list.found.of(total),
            Some(total) => list.newest.of(total).replace("{shown}", &shown.to_string()),
            None => list.more_than.of(COUNTED).replace("{shown}", &shown.to_string()),
        }
    }
}

impl SessionRow {
    fn select_label(&self, t: &Admin) -> String {
        t.list.select.plain(&self.name)
    }

    fn more(&self, t: &Admin) -> Option<String> {
        let more = Name::new(&self.more_apps.to_string());
        (self.more_apps > 0).then(|| t.list.more_apps.plain(&more))
    }
}
