//! Connectors: the page `/admin/connectors`, and `/api/v1/connectors`. Both list them with their health and close an
//! open circuit breaker.

use super::authentication::{AdminSession, AdminToken};
use super::filters::{Part, from, part};
use super::frame::{Frame, Section, connector_name, count, display_time_of, sessions_link};
use super::problem_details::ProblemDetails;
use crate::app::App;
use crate::flash::{flash, redirect_with_flash};
use crate::form::{Form, Pairs, once};
use crate::page_error::{PageError, into_response};
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name, Page, PageErrorKind};
use crate::request_context::RequestContext;
use crate::response::json;
use crate::response::{PagePolicy, page};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::ConnectorId;
use countersign_issuer::admin::inventory::ConnectorView;

/// Connectors on one page.
const CONNECTORS: usize = 25;
const ABOUT: &str = "a confirmation";

#[derive(askama::Template)]
#[template(path = "admin_connectors.html")]
pub struct Connectors<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub connectors: Part<ConnectorCard>,
    /// Where the confirmation is posted.
    pub action: String,
}

pub struct ConnectorCard {
    pub id: String,
    pub name: Name,
    pub kind: Name,
    pub health: Health,
    pub last_answer: Option<DisplayTime>,
    pub last_failure: Option<DisplayTime>,
    pub last_error: Option<Name>,
    pub circuit_open_since: Option<DisplayTime>,
    pub sessions: u64,
    /// Its sessions.
    pub href: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    Down,
    CircuitOpen,
}

pub async fn get_page(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
) -> Response {
    into_response(&app, &context, show_connectors(&app, &context, &admin).await)
}

async fn show_connectors(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
) -> Result<Response, PageError> {
    let all = app.issuer.connector_views().await?;
    let pairs = admin.query();
    let begin = from(&pairs, "from", all.len());
    let cards = all.iter().skip(begin).take(CONNECTORS).map(|connector| card(app, connector));
    let here = (Section::Connectors.path(), pairs.as_slice());
    let confirmed: Option<(String, bool)> = flash(app, context, &admin.pairs, ABOUT);
    let mut frame = admin.frame(app, context, Section::Connectors);
    frame.flash = confirmed.map(|(id, released)| {
        let t = &app.layout.messages.admin.places;
        let flash = if released { t.confirmed } else { t.check_circuit_closed };
        flash.plain(&connector_name(app, &id))
    });
    let shown = Connectors {
        layout: &app.layout,
        frame,
        connectors: part(app, here, "from", all.len(), (begin, cards.collect())),
        action: app.path(Section::Connectors.path()),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

fn card(app: &App, connector: &ConnectorView) -> ConnectorCard {
    ConnectorCard {
        id: connector.id.clone(),
        name: connector.name.as_str().into(),
        kind: connector.kind.as_str().into(),
        health: match (&connector.circuit_open_since, connector.up) {
            (Some(_), _) => Health::CircuitOpen,
            (None, true) => Health::Up,
            (None, false) => Health::Down,
        },
        last_answer: connector.last_answer.as_deref().map(|at| display_time_of(app, at)),
        last_failure: connector.last_failure.as_deref().map(|at| display_time_of(app, at)),
        last_error: connector.last_error.as_deref().map(Into::into),
        circuit_open_since: connector
            .circuit_open_since
            .as_deref()
            .map(|at| display_time_of(app, at)),
        sessions: count(connector.sessions),
        href: sessions_link(app, "connector", &connector.id),
    }
}

pub async fn post_page(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
    Form(form): Form,
) -> Response {
    into_response(&app, &context, handle_confirm(&app, &context, &admin, &form).await)
}

async fn handle_confirm(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
    form: &Pairs,
) -> Result<Response, PageError> {
    if let Some(first) = admin.require_fresh_sign_in(app, context, form)? {
        return Ok(first);
    }
    let id = ConnectorId::new(once(form, "connector").unwrap_or_default());
    if app.issuer.connectors.get(&id).is_none() {
        return Err(PageErrorKind::NotFound.into());
    }
    let released = app.issuer.confirm_connector(&admin.who, &id).await?;
    redirect_with_flash(app, context, Section::Connectors.path(), ABOUT, &(id.as_str(), released))
}

impl Connectors<'_> {
    fn title(&self) -> &'static str {
        self.t().places.connectors
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

impl ConnectorCard {
    fn its_sessions(&self, t: &Admin) -> String {
        t.places.its_sessions.of(self.sessions)
    }

    fn confirm_label(&self, t: &Admin) -> String {
        t.places.confirm_label.plain(&self.name)
    }

    fn health_words(&self, t: &Admin) -> &'static str {
        match self.health {
            Health::Up => t.places.up,
            Health::Down => t.places.down,
            Health::CircuitOpen => t.places.circuit_breaker,
        }
    }

    fn health_class(&self) -> &'static str {
        if self.health == Health::Up { "tag" } else { "tag over" }
    }
}

pub async fn api_list(State(app): State<App>, _: AdminToken) -> Result<Response, ProblemDetails> {
    let connectors = app.issuer.connector_views().await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "connectors": connectors })))
}

/// A person says that what this upstream answers is meant: the brake is let go.
pub async fn api_confirm(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    Path(id): Path<String>,
) -> Result<Response, ProblemDetails> {
    let released = app.issuer.confirm_connector(&who, &ConnectorId::new(id)).await?;
    match released {
        true => Ok(json(StatusCode::OK, &serde_json::json!({ "released": true }))),
        false => Err(ProblemDetails::not_found("connector with a brake")),
    }
}
