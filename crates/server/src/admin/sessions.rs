//! `/admin`: the sessions, searched.

use axum::extract::State;
use axum::response::Response;
use countersign_issuer::admin::asked::{BULK_FIELDS, BadField, Fields, SESSION_FIELDS};
use countersign_issuer::admin::looks::Page as PageRequest;
use countersign_issuer::admin::view::{SessionPageView, SessionView};

use super::admin_session::AdminSession;
use super::fields::{Search, address, with};
use super::{client_name, connector_name, display_time_of, ended_line, first_non_empty, is_light};
use crate::app::App;
use crate::form::{Pairs, once};
use crate::page_error::{PageError, into_response};
use crate::pages::admin::{Section, SessionList, SessionRow};
use crate::pages::{Device, Page};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page};

/// What fits on one page of under 30 KB, and where people have very long names.
const ROWS: [i64; 2] = [10, 5];
const APPS: usize = 2;

pub async fn list(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
) -> Response {
    into_response(&app, &context, show_list(&app, &context, &admin).await)
}

async fn show_list(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
) -> Result<Response, PageError> {
    let [most, fewer] = ROWS;
    let (mut status, mut html) = rendered(app, context, admin, most).await?;
    if !is_light(&html) {
        (status, html) = rendered(app, context, admin, fewer).await?;
    }
    Ok(page(app, status, PagePolicy::Standalone, html))
}

/// The status and the page.
async fn rendered(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
    rows: i64,
) -> Result<(u16, String), PageError> {
    let pairs = admin.query();
    let (found, problem) = match find(app, &pairs, rows).await? {
        Ok(found) => (found, None),
        Err(bad) => (SessionPageView { sessions: Vec::new(), next: None }, Some(bad)),
    };
    let path = Section::Sessions.path();
    let link = |page: Option<&str>| app.path(&address(path, &with(&pairs, "page", page)));
    let turned = once(&pairs, "page").is_some_and(|page| !page.is_empty());
    let shown = SessionList {
        layout: &app.layout,
        frame: admin.frame(app, context, Section::Sessions),
        form: form(app, &pairs, problem.as_ref()),
        complete: !turned && found.next.is_none(),
        end: (problem.is_none() && once(&pairs, "state") != Some("ended"))
            .then(|| app.path(&address("/admin/end", &narrowing(&pairs)))),
        narrowed: narrowing(&pairs).iter().any(|(_, value)| !value.trim().is_empty()),
        first: turned.then(|| link(None)),
        next: found.next.as_deref().map(|next| link(Some(next))),
        rows: found.sessions.iter().map(|session| row(app, session)).collect(),
    };
    let status = if problem.is_some() { 400 } else { 200 };
    Ok((status, shown.render()))
}

async fn find(
    app: &App,
    pairs: &Pairs,
    limit: i64,
) -> Result<Result<SessionPageView, BadField>, PageError> {
    let known: Vec<&str> = SESSION_FIELDS.iter().copied().chain(["page"]).collect();
    let asked = Fields::new(pairs, &known, app.issuer.now()).and_then(|fields| {
        let after = fields.text("page").map(str::to_owned);
        Ok((fields.sessions()?, PageRequest { after, limit }))
    });
    match asked {
        Ok((filter, turn)) => Ok(app.issuer.find_sessions(&filter, &turn).await?),
        Err(bad) => Ok(Err(bad)),
    }
}

/// What of a search says which sessions are meant, live or not.
pub fn narrowing(pairs: &[(String, String)]) -> Pairs {
    pairs.iter().filter(|(name, _)| BULK_FIELDS.contains(&name.as_str())).cloned().collect()
}

fn form(app: &App, pairs: &Pairs, problem: Option<&BadField>) -> crate::pages::admin::FilterForm {
    let t = &app.layout.messages.admin;
    let search = Search {
        path: Section::Sessions.path(),
        main: &["text", "group", "client"],
        more: &[
            "user",
            "connector",
            "ip",
            "seen_since",
            "seen_before",
            "created_since",
            "created_before",
        ],
        choice: Some(("state", t.states.to_vec())),
        submit: t.form.find,
    };
    search.form(app, pairs, problem)
}

fn row(app: &App, session: &SessionView) -> SessionRow {
    let name = person(session);
    let other = [&session.email, &session.preferred_username, &session.user_id];
    let other = other.into_iter().find(|other| !other.is_empty() && other.as_str() != name);
    let apps = session.clients.iter().take(APPS).map(|id| client_name(app, id)).collect();
    SessionRow {
        href: app.path(&format!("/admin/sessions/{}", session.id)),
        name: name.into(),
        login: other.map(Into::into),
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

/// What a person is called.
pub fn person(session: &SessionView) -> &str {
    first_non_empty(&[
        &session.username,
        &session.preferred_username,
        &session.email,
        &session.user_id,
    ])
}
