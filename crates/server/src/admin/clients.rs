//! Clients: the page `/admin/clients` and `GET /api/v1/clients`.

use super::api::ProblemDetails;
use super::filters::{next_page_links, requested_page};
use super::frame::{
    Frame, Section, at_least, client_name, connector_name, count, found_or_problem, sessions_link,
    status,
};
use super::{AdminSession, AdminToken, QueryPairs};
use crate::app::App;
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::{Layout, Name, Page};
use crate::response::{PagePolicy, json, page};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_issuer::admin::fields::Fields;
use countersign_issuer::admin::inventory::ClientView;

/// Clients on one page.
const CLIENTS: i64 = 25;
const REDIRECTS: usize = 3;

#[derive(askama::Template)]
#[template(path = "pages/admin_clients.html")]
pub struct Clients<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub clients: Vec<ClientRow>,
    /// Number of clients on all pages.
    pub total: usize,
    pub first: Option<String>,
    pub next: Option<String>,
}

pub struct ClientRow {
    pub name: Name,
    pub id: Name,
    pub public: bool,
    pub redirects: Vec<Name>,
    pub more_redirects: usize,
    /// Empty: every connector is allowed.
    pub connectors: Vec<Name>,
    pub tokens_live_seconds: u64,
    pub sessions: u64,
    pub grants: u64,
    /// Sessions and grants were counted up to a limit; there are more.
    pub at_least: bool,
    /// Link to its sessions.
    pub href: String,
}

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    let app = &admin.app;
    let pairs = admin.query();
    let found = app.issuer.client_views(&requested_page(&pairs, CLIENTS)).await;
    let (found, problem) = found_or_problem(found)?;
    let (first, next) =
        next_page_links(app, Section::Clients.path(), &pairs, found.next.as_deref());
    let shown = Clients {
        layout: &app.layout,
        frame: admin.frame(Section::Clients),
        clients: found.clients.iter().map(|client| client_row(app, client)).collect(),
        total: found.total,
        first,
        next,
    };
    Ok(page(app, status(problem.as_ref()), PagePolicy::Standalone, shown.render()))
}

fn client_row(app: &App, client: &ClientView) -> ClientRow {
    ClientRow {
        name: client_name(app, &client.id),
        id: client.id.as_str().into(),
        public: client.public,
        redirects: client.redirect_uris.iter().take(REDIRECTS).map(Into::into).collect(),
        more_redirects: client.redirect_uris.len().saturating_sub(REDIRECTS),
        connectors: client.allowed_connectors.iter().map(|id| connector_name(app, id)).collect(),
        tokens_live_seconds: client.token_lifetime,
        sessions: count(client.sessions),
        grants: count(client.grants),
        at_least: client.at_least,
        href: sessions_link(app, "client", &client.id),
    }
}

impl Clients<'_> {
    fn title(&self) -> &'static str {
        self.t().inventory.clients
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

impl ClientRow {
    fn tokens_live(&self, t: &Admin) -> String {
        let seconds = self.tokens_live_seconds;
        match seconds % 60 {
            0 => t.inventory.minutes.of(seconds / 60),
            _ => t.inventory.seconds.of(seconds),
        }
    }

    fn its_sessions(&self, t: &Admin) -> String {
        at_least(t.inventory.its_sessions, self.sessions, self.at_least)
    }

    fn its_grants(&self, t: &Admin) -> String {
        at_least(t.inventory.its_grants, self.grants, self.at_least)
    }

    fn more(&self, t: &Admin) -> Option<String> {
        let more = Name::new(&self.more_redirects.to_string());
        (self.more_redirects > 0).then(|| t.list.more_apps.plain(&more))
    }
}

pub async fn api_list(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let page = Fields::new(&pairs, &["limit", "page"], app.issuer.now())?.short_page()?;
    Ok(json(StatusCode::OK, &app.issuer.client_views(&page).await?))
}
