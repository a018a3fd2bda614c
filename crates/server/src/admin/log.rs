//! `/admin/events` and `/admin/holders`: the audit log, and who had a group when.

use axum::extract::State;
use axum::response::Response;
use countersign_core::Timestamp;
use countersign_issuer::admin::asked::{self, BadField, EVENT_FIELDS, Fields, HOLDER_FIELDS};
use countersign_issuer::admin::looks::Page as PageRequest;
use countersign_issuer::admin::view::{EventView, HoldingView};
use serde_json::Value;

use super::admin_session::AdminSession;
use super::fields::{Search, address, with};
use super::{client_name, connector_name, display_time_of, first_non_empty, is_light};
use crate::app::App;
use crate::form::{Pairs, once};
use crate::page_error::{PageError, into_response};
use crate::pages::admin::{EventRow, Events, HolderRow, Holders, Section, label_for};
use crate::pages::{Name, Page};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page};

/// What fits on one page of under 30 KB, and where much is told of each.
const EVENTS: [i64; 2] = [10, 5];
const HOLDERS: i64 = 12;

pub async fn events(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
) -> Response {
    into_response(&app, &context, show_events(&app, &context, &admin).await)
}

async fn show_events(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
) -> Result<Response, PageError> {
    let [most, fewer] = EVENTS;
    let (mut status, mut html) = rendered_events(app, context, admin, most).await?;
    if !is_light(&html) {
        (status, html) = rendered_events(app, context, admin, fewer).await?;
    }
    Ok(page(app, status, PagePolicy::Standalone, html))
}

/// The status and the page.
async fn rendered_events(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
    limit: i64,
) -> Result<(u16, String), PageError> {
    let pairs = admin.query();
    let asked = Fields::new(&pairs, &EVENT_FIELDS, app.issuer.now()).and_then(|f| f.events());
    let found = match asked {
        Ok(mut query) => {
            query.limit = limit;
            app.issuer.find_events(query).await?
        }
        Err(bad) => Err(bad),
    };
    let problem = found.as_ref().err().cloned();
    let (rows, next) = match &found {
        Ok(found) => (found.events.as_slice(), found.next.as_deref()),
        Err(_) => (&[][..], None),
    };
    let t = &app.layout.messages.admin;
    let kinds = std::iter::once(("", t.form.all)).chain(t.kinds).collect();
    let search = Search {
        path: Section::Events.path(),
        main: &["text", "user_id"],
        more: &["actor", "client", "connector", "ip", "session", "grant", "since", "until"],
        choice: Some(("kind", kinds)),
        submit: t.form.find,
    };
    let (first, next) = page_links(app, Section::Events.path(), &pairs, next);
    let shown = Events {
        layout: &app.layout,
        frame: admin.frame(app, context, Section::Events),
        form: search.form(app, &pairs, problem.as_ref()),
        rows: rows.iter().map(|event| row(app, event)).collect(),
        first,
        next,
    };
    Ok((status(problem.as_ref()), shown.render()))
}

fn status(problem: Option<&BadField>) -> u16 {
    if problem.is_some() { 400 } else { 200 }
}

/// The first page, where this is another, and the next.
fn page_links(
    app: &App,
    path: &str,
    pairs: &Pairs,
    next: Option<&str>,
) -> (Option<String>, Option<String>) {
    let turned = once(pairs, "page").is_some_and(|page| !page.is_empty());
    let link = |page: Option<&str>| app.path(&address(path, &with(pairs, "page", page)));
    (turned.then(|| link(None)), next.map(|next| link(Some(next))))
}

/// An event as a row of a table.
pub fn row(app: &App, event: &EventView) -> EventRow {
    let t = &app.layout.messages.admin;
    let mut about: Vec<Name> = Vec::new();
    about.extend(event.user_id.as_deref().map(Name::from));
    about.extend(event.connector.as_deref().map(|id| connector_name(app, id)));
    about.extend(event.client.as_deref().map(|id| client_name(app, id)));
    let details = format_details(&event.details);
    EventRow {
        at: display_time_of(app, &event.at),
        what: label_for(&t.kinds, &event.kind),
        actor: event.actor.as_str().into(),
        about,
        session: event.session.as_ref().map(|id| app.path(&format!("/admin/sessions/{id}"))),
        address: event.ip.as_deref().map(Name::from),
        reason: event.reason.as_deref().map(|reason| label_for(&t.reasons, reason)),
        details: (!details.is_empty()).then(|| details.into()),
    }
}

/// JSON without most of its marks: `name: value, name: value`.
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

/// Times are kept as milliseconds since 1970.
fn instant(name: &str, value: &Value) -> Value {
    let is_time = ["until", "since", "before"].iter().any(|end| name.to_lowercase().ends_with(end));
    match value.as_i64().filter(|_| is_time) {
        Some(millis) => Timestamp::from_millis(millis).to_string().into(),
        None => value.clone(),
    }
}

pub async fn holders(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
) -> Response {
    into_response(&app, &context, show_holders(&app, &context, &admin).await)
}

fn question(app: &App, pairs: &Pairs) -> Result<Option<(asked::Holders, PageRequest)>, BadField> {
    let fields = Fields::new(pairs, &HOLDER_FIELDS, app.issuer.now())?;
    let turn = PageRequest { after: fields.text("page").map(str::to_owned), limit: HOLDERS };
    Ok(fields.memberships()?.map(|asked| (asked, turn)))
}

async fn show_holders(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
) -> Result<Response, PageError> {
    let pairs = admin.query();
    let found = match question(app, &pairs) {
        Ok(Some((asked, turn))) => app.issuer.memberships(&asked, &turn).await?.map(Some),
        Ok(None) => Ok(None),
        Err(bad) => Err(bad),
    };
    let problem = found.as_ref().err().cloned();
    let found = found.unwrap_or_default();
    let next = found.as_ref().and_then(|found| found.next.as_deref());
    let (first, next) = page_links(app, Section::Holders.path(), &pairs, next);
    let search = Search {
        path: Section::Holders.path(),
        main: &["group", "connector", "since", "until"],
        more: &[],
        choice: None,
        submit: app.layout.messages.admin.form.find,
    };
    let shown = Holders {
        layout: &app.layout,
        frame: admin.frame(app, context, Section::Holders),
        form: search.form(app, &pairs, problem.as_ref()),
        asked: found.is_some(),
        rows: found.iter().flat_map(|found| &found.memberships).map(|h| holder(app, h)).collect(),
        first,
        next,
    };
    Ok(page(app, status(problem.as_ref()), PagePolicy::Standalone, shown.render()))
}

fn holder(app: &App, membership: &HoldingView) -> HolderRow {
    HolderRow {
        person: first_non_empty(&[&membership.person, &membership.user_id]).into(),
        user_id: membership.user_id.as_str().into(),
        connector: connector_name(app, &membership.connector),
        session: app.path(&format!("/admin/sessions/{}", membership.session)),
        since: display_time_of(app, &membership.since),
        until: membership.until.as_deref().map(|at| display_time_of(app, at)),
        tokens_until: membership.tokens_until.as_deref().map(|at| display_time_of(app, at)),
    }
}
