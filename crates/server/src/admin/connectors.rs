//! `/admin/clients` and `/admin/connectors`: as configured, how they are, and letting a brake go.

use axum::extract::State;
use axum::response::Response;
use countersign_core::ConnectorId;
use countersign_issuer::admin::places::{ClientView, ConnectorView};

use super::admin_session::AdminSession;
use super::fields::{address, from, part};
use super::{client_name, connector_name, count, display_time_of};
use crate::account_pages::{back_to, flash};
use crate::app::App;
use crate::form::{Form, Pairs, once};
use crate::page_error::{PageError, into_response};
use crate::pages::admin::{ClientRow, Clients, ConnectorCard, Connectors, Health, Section};
use crate::pages::{Page, PageErrorKind};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page};

/// What fits on one page of under 30 KB.
const CLIENTS: usize = 10;
const CONNECTORS: usize = 8;
const REDIRECTS: usize = 3;
const ABOUT: &str = "a confirmation";

pub async fn clients(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
) -> Response {
    into_response(&app, &context, show_clients(&app, &context, &admin).await)
}

async fn show_clients(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
) -> Result<Response, PageError> {
    let all = app.issuer.client_views().await?;
    let pairs = admin.query();
    let begin = from(&pairs, "from", all.len());
    let rows = all.iter().skip(begin).take(CLIENTS).map(|client| client_row(app, client));
    let here = (Section::Clients.path(), pairs.as_slice());
    let shown = Clients {
        layout: &app.layout,
        frame: admin.frame(app, context, Section::Clients),
        clients: part(app, here, "from", all.len(), (begin, rows.collect())),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

fn client_row(app: &App, client: &ClientView) -> ClientRow {
    ClientRow {
        name: client_name(app, &client.id),
        id: client.id.as_str().into(),
        public: client.public,
        redirects: client.redirect_uris.iter().take(REDIRECTS).map(Into::into).collect(),
        more_redirects: client.redirect_uris.len().saturating_sub(REDIRECTS),
        connectors: client.allowed_connectors.iter().map(|id| connector_name(app, id)).collect(),
        tokens_live_seconds: client.tokens_live,
        sessions: count(client.sessions),
        grants: count(client.grants),
        href: sessions(app, "client", &client.id),
    }
}

fn sessions(app: &App, field: &str, value: &str) -> String {
    app.path(&address(Section::Sessions.path(), &[(field.to_owned(), value.to_owned())]))
}

pub async fn connectors(
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
        let flash = if released { t.confirmed } else { t.not_braked };
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
        href: sessions(app, "connector", &connector.id),
    }
}

pub async fn confirm(
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
    back_to(app, context, Section::Connectors.path(), ABOUT, &(id.as_str(), released))
}
