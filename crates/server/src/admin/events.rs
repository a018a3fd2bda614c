//! The audit log: the page `/admin/events` and `GET /api/v1/events`.

use super::api::ProblemDetails;
use super::filters::{FilterForm, Search, next_page_links, options, path_with_query};
use super::frame::{
    Frame, Section, client_name, connector_name, display_time_of, found_or_problem, label_for,
    status,
};
use super::{AdminSession, AdminToken, QueryPairs};
use crate::app::App;
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name, Page};
use crate::response::{PagePolicy, json, page};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::Timestamp;
use countersign_issuer::admin::fields::{EVENT_FIELDS, Fields};
use countersign_issuer::admin::view::EventView;
use serde_json::Value;

/// Events on one page.
const EVENTS: i64 = 25;

#[derive(askama::Template)]
#[template(path = "pages/admin_events.html")]
pub struct Events<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub form: FilterForm,
    pub rows: Vec<EventRow>,
    pub first: Option<String>,
    pub next: Option<String>,
}

pub struct EventRow {
    pub at: DisplayTime,
    pub what: Name,
    pub actor: Name,
    /// Link to all events of an administrator; it has the exact id, which the name does not show.
    pub of_actor: Option<String>,
    /// Everything the event is about: user and connector, client.
    pub about: Vec<Name>,
    /// Link to the page of the session.
    pub session: Option<String>,
    pub address: Option<Name>,
    pub reason: Option<Name>,
    pub details: Option<Name>,
}

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    let app = &admin.app;
    let pairs = admin.query();
    let query = Fields::new(&pairs, &EVENT_FIELDS, app.issuer.now()).and_then(|f| f.events());
    let found = match query {
        Ok(mut query) => {
            query.limit = EVENTS;
            app.issuer.find_events(query).await
        }
        Err(bad) => Err(bad.into()),
    };
    let (found, problem) = found_or_problem(found)?;
    let t = &app.layout.messages.admin;
    let kinds: Vec<_> = std::iter::once(("", t.form.all)).chain(t.kinds).collect();
    let search = Search {
        path: Section::Events.path(),
        main: &["text", "user_id"],
        more: &["actor", "client", "connector", "ip", "session", "grant", "since", "until"],
        choice: Some(("kind", options(&kinds))),
        submit: t.form.find,
    };
    let (first, next) = next_page_links(app, Section::Events.path(), &pairs, found.next.as_deref());
    let shown = Events {
        layout: &app.layout,
        frame: admin.frame(Section::Events),
        form: search.form(app, &pairs, problem.as_ref()),
        rows: found.events.iter().map(|event| row(app, event)).collect(),
        first,
        next,
    };
    Ok(page(app, status(problem.as_ref()), PagePolicy::Standalone, shown.render()))
}

/// An event as a row of a table.
pub fn row(app: &App, event: &EventView) -> EventRow {
    let t = &app.layout.messages.admin;
    let mut about: Vec<Name> = Vec::new();
    let user = event.user_name.as_deref().or(event.user_id.as_deref());
    about.extend(user.map(Name::from));
    about.extend(event.connector.as_deref().map(|id| connector_name(app, id)));
    about.extend(event.client.as_deref().map(|id| client_name(app, id)));
    let details = format_details(&event.details);
    EventRow {
        at: display_time_of(app, &event.at),
        what: label_for(&t.kinds, &event.kind),
        actor: event.actor_name.as_deref().unwrap_or(&event.actor).into(),
        of_actor: event.actor_name.as_ref().filter(|_| event.actor.contains('@')).map(|_| {
            let actor = ("actor".to_owned(), event.actor.clone());
            app.path(&path_with_query(Section::Events.path(), &[actor]))
        }),
        about,
        session: event.session.as_ref().map(|id| app.path(&format!("/admin/sessions/{id}"))),
        address: event.ip.as_deref().map(Name::from),
        reason: event.reason.as_deref().map(|reason| label_for(&t.reasons, reason)),
        details: (!details.is_empty()).then(|| details.into()),
    }
}

/// JSON in a compact form: `name: value, name: value`.
fn format_details(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(format_details).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name, instant(name, value)));
            let fields = fields.map(|(name, value)| (name, format_details(&value)));
            let result = fields.filter(|(_, value)| !value.is_empty());
            result.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Formats times, which are stored as milliseconds since 1970.
fn instant(name: &str, value: &Value) -> Value {
    let is_time = ["until", "since", "before"].iter().any(|end| name.to_lowercase().ends_with(end));
    match value.as_i64().filter(|_| is_time) {
        Some(millis) => Timestamp::from_millis(millis).to_string().into(),
        None => value.clone(),
    }
}

impl Events<'_> {
    fn title(&self) -> &'static str {
        self.t().log.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

pub async fn api_list(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let query = Fields::new(&pairs, &EVENT_FIELDS, app.issuer.now())?.events()?;
    Ok(json(StatusCode::OK, &app.issuer.find_events(query).await?))
}
