//! Clients: the page `/admin/clients` and `GET /api/v1/clients`.

use super::authentication::{AdminSession, AdminToken};
use super::filters::{Part, from, part};
use super::frame::{Frame, Section, client_name, connector_name, count, sessions_link};
use super::problem_details::ProblemDetails;
use crate::app::App;
use crate::page_error::{PageError, into_response};
use crate::pages::messages::admin::Admin;
use crate::pages::{Layout, Name, Page};
use crate::request_context::RequestContext;
use crate::response::json;
use crate::response::{PagePolicy, page};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_issuer::admin::inventory::ClientView;

/// Clients on one page.
const CLIENTS: usize = 25;
const REDIRECTS: usize = 3;

#[derive(askama::Template)]
#[template(path = "admin_clients.html")]
pub struct Clients<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub clients: Part<ClientRow>,
}

pub struct ClientRow {
    pub name: Name,
    pub id: Name,
    pub public: bool,
    pub redirects: Vec<Name>,
    pub more_redirects: usize,
    /// Empty: all.
    pub connectors: Vec<Name>,
    pub tokens_live_seconds: u64,
    pub sessions: u64,
    pub grants: u64,
    /// Its sessions.
    pub href: String,
}

pub async fn get_page(
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
        href: sessions_link(app, "client", &client.id),
    }
}

impl Clients<'_> {
    fn title(&self) -> &'static str {
        self.t().places.clients
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

impl ClientRow {
    fn tokens_live(&self, t: &Admin) -> String {
        let seconds = self.tokens_live_seconds;
        match seconds % 60 {
            0 => t.places.minutes.of(seconds / 60),
            _ => t.places.seconds.of(seconds),
        }
    }

    fn its_sessions(&self, t: &Admin) -> String {
        t.places.its_sessions.of(self.sessions)
    }

    fn its_grants(&self, t: &Admin) -> String {
        t.places.its_grants.of(self.grants)
    }

    fn more(&self, t: &Admin) -> Option<String> {
        let more = Name::new(&self.more_redirects.to_string());
        (self.more_redirects > 0).then(|| t.list.more_apps.plain(&more))
    }
}

pub async fn api_list(State(app): State<App>, _: AdminToken) -> Result<Response, ProblemDetails> {
    let clients = app.issuer.client_views().await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "clients": clients })))
}
