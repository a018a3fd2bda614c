//! Connectors: the page `/admin/connectors`, and `/api/v1/connectors`. Both list them with their health and close an
//! open circuit breaker.

use super::api::ProblemDetails;
use super::filters::{next_page_links, requested_page};
use super::frame::{
    Frame, Section, at_least, connector_name, count, display_time_of, found_or_problem,
    sessions_link, status,
};
use super::{AdminSession, AdminToken, QueryPairs};
use crate::app::App;
use crate::form::{Form, flash, once, redirect_with_flash};
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name, Page, PageErrorKind};
use crate::response::{PagePolicy, json, page};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::ConnectorId;
use countersign_issuer::admin::fields::Fields;
use countersign_issuer::admin::inventory::ConnectorView;
use countersign_issuer::upstream_health::Health as UpstreamHealth;

/// Connectors on one page.
const CONNECTORS: i64 = 25;
const ABOUT: &str = "a confirmation";

#[derive(askama::Template)]
#[template(path = "pages/admin_connectors.html")]
pub struct Connectors<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub connectors: Vec<ConnectorCard>,
    /// Number of connectors on all pages.
    pub total: usize,
    pub first: Option<String>,
    pub next: Option<String>,
    /// Where the form that confirms an upstream is posted.
    pub action: String,
}

pub struct ConnectorCard {
    pub id: String,
    pub name: Name,
    pub kind: Name,
    pub health: Health,
    pub last_response: Option<DisplayTime>,
    pub last_failure: Option<DisplayTime>,
    pub last_error: Option<Name>,
    pub circuit_open_since: Option<DisplayTime>,
    pub sessions: u64,
    /// Sessions were counted up to a limit; there are more.
    pub at_least: bool,
    /// Link to its sessions.
    pub href: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    Down,
    /// No request within the last 10 minutes.
    Unknown,
    CircuitOpen,
}

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    let pairs = admin.query();
    let found = app.issuer.connector_views(&requested_page(&pairs, CONNECTORS)).await;
    let (found, problem) = found_or_problem(found)?;
    let (first, next) =
        next_page_links(app, Section::Connectors.path(), &pairs, found.next.as_deref());
    let confirmed: Option<(String, bool)> = flash(app, context, &admin.pairs, ABOUT);
    let mut frame = admin.frame(Section::Connectors);
    frame.flash = confirmed.map(|(id, closed)| {
        let t = &app.layout.messages.admin.inventory;
        let flash = if closed { t.confirmed } else { t.already_closed };
        flash.plain(&connector_name(app, &id))
    });
    let shown = Connectors {
        layout: &app.layout,
        frame,
        connectors: found.connectors.iter().map(|connector| card(app, connector)).collect(),
        total: found.total,
        first,
        next,
        action: app.path(Section::Connectors.path()),
    };
    Ok(page(app, status(problem.as_ref()), PagePolicy::Standalone, shown.render()))
}

fn card(app: &App, connector: &ConnectorView) -> ConnectorCard {
    ConnectorCard {
        id: connector.id.clone(),
        name: connector.name.as_str().into(),
        kind: connector.kind.as_str().into(),
        health: match (&connector.circuit_open_since, connector.health) {
            (Some(_), _) => Health::CircuitOpen,
            (None, UpstreamHealth::Up) => Health::Up,
            (None, UpstreamHealth::Down) => Health::Down,
            (None, UpstreamHealth::Unknown) => Health::Unknown,
        },
        last_response: connector.last_response.as_deref().map(|at| display_time_of(app, at)),
        last_failure: connector.last_failure.as_deref().map(|at| display_time_of(app, at)),
        last_error: connector.last_error.as_deref().map(Into::into),
        circuit_open_since: connector
            .circuit_open_since
            .as_deref()
            .map(|at| display_time_of(app, at)),
        sessions: count(connector.sessions),
        at_least: connector.at_least,
        href: sessions_link(app, "connector", &connector.id),
    }
}

pub async fn post_page(admin: AdminSession, Form(form): Form) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    if let Some(first) = admin.require_fresh_sign_in(&form)? {
        return Ok(first);
    }
    let id = ConnectorId::new(once(&form, "connector").unwrap_or_default());
    if app.issuer.connectors.get(&id).is_none() {
        return Err(PageErrorKind::NotFound.into());
    }
    let closed = app.issuer.confirm_connector(&admin.who, &id).await?;
    redirect_with_flash(app, context, Section::Connectors.path(), ABOUT, &(id.as_str(), closed))
}

impl Connectors<'_> {
    fn title(&self) -> &'static str {
        self.t().inventory.connectors
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

impl ConnectorCard {
    fn its_sessions(&self, t: &Admin) -> String {
        at_least(t.inventory.its_sessions, self.sessions, self.at_least)
    }

    fn confirm_label(&self, t: &Admin) -> String {
        t.inventory.confirm_label.plain(&self.name)
    }

    fn health_words(&self, t: &Admin) -> &'static str {
        match self.health {
            Health::Up => t.inventory.up,
            Health::Down => t.inventory.down,
            Health::Unknown => t.inventory.not_checked,
            Health::CircuitOpen => t.inventory.circuit_breaker,
        }
    }

    fn health_class(&self) -> &'static str {
        match self.health {
            Health::Up | Health::Unknown => "tag",
            Health::Down | Health::CircuitOpen => "tag over",
        }
    }
}

pub async fn api_list(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let page = Fields::new(&pairs, &["limit", "page"], app.issuer.now())?.short_page()?;
    Ok(json(StatusCode::OK, &app.issuer.connector_views(&page).await?))
}

/// Confirms an upstream's refusals, which closes its circuit breaker.
pub async fn api_confirm(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    Path(id): Path<String>,
) -> Result<Response, ProblemDetails> {
    let closed = app.issuer.confirm_connector(&who, &ConnectorId::new(id)).await?;
    match closed {
        true => Ok(json(StatusCode::OK, &serde_json::json!({ "released": true }))),
        false => Err(ProblemDetails::not_found("connector with an open circuit breaker")),
    }
}
