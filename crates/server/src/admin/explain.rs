//! Why a user can or cannot sign in, and why a group is or is not in their token: the page `/admin/explain` and `GET
//! /api/v1/explain`.

use std::sync::Arc;

use super::api::ProblemDetails;
use super::blocked_users::block::block_path;
use super::filters::{FilterForm, Part, Search, part_of_names, path_with_query};
use super::frame::{Frame, Section, client_name, connector_name};
use super::{AdminSession, AdminToken, QueryPairs};
use crate::app::App;
use crate::form::Pairs;
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::{Layout, Name, Page};
use crate::response::{PagePolicy, json, page};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::identity::display_name;
use countersign_core::{Client, ClientId};
use countersign_issuer::admin::explain::{
    ClientExplanation, Explanation, PersonView, UpstreamView,
};
use countersign_issuer::admin::fields::{FieldError, Fields, bad};

#[derive(askama::Template)]
#[template(path = "pages/admin_explain.html")]
pub struct Explain<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub form: FilterForm,
    /// A user name was submitted.
    pub has_query: bool,
    pub people: Vec<PersonCard>,
    pub upstreams: Vec<UpstreamCard>,
}

pub struct PersonCard {
    pub name: Name,
    pub email: Name,
    pub user_id: Name,
    pub connector: Name,
    pub sub: Name,
    pub administrator: bool,
    /// Reason of the block, if the user is blocked.
    pub blocked: Option<Name>,
    /// Link to the page that blocks the user.
    pub block: String,
    pub groups: Part<Name>,
    pub sessions: String,
    /// What the client would receive: its name, whether it may use the connector, the token lifetime, and notes.
    pub client: Option<(Name, bool, Name, Vec<Name>)>,
}

pub struct UpstreamCard {
    pub connector: Name,
    pub outcome: Name,
    pub user_id: Option<Name>,
    /// `None`: it returned no result for the user.
    pub groups: Option<Part<Name>>,
    pub trace: Part<Name>,
}

impl Explain<'_> {
    fn title(&self) -> &'static str {
        self.t().explain.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

/// Markup bytes, shared by all users and by all upstreams of one response.
const GROUP_BYTES: usize = 3 * 1024;
const TRACE_BYTES: usize = 4 * 1024;
/// At most this many users and upstreams; a name usually occurs once per connector.
const MOST: usize = 6;

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    let app = &admin.app;
    let pairs = admin.query();
    let (found, problem) = match question(app, &pairs) {
        Ok(Some((user, client))) => {
            (Some(app.issuer.explain(&user, client.as_deref()).await?), None)
        }
        Ok(None) => (None, None),
        Err(bad) => (None, Some(bad)),
    };
    let search = Search {
        path: Section::Explain.path(),
        main: &["user", "client"],
        more: &[],
        choice: None,
        submit: app.layout.messages.admin.explain.ask,
    };
    let has_query = found.is_some();
    let found = found.unwrap_or_else(|| Explanation {
        user: String::new(),
        people: Vec::new(),
        upstreams: Vec::new(),
    });
    let share = |bytes: usize, among: usize| bytes / among.clamp(1, MOST);
    let (people, upstreams) = (found.people.len(), found.upstreams.len());
    let shown = Explain {
        layout: &app.layout,
        frame: admin.frame(Section::Explain),
        form: search.form(app, &pairs, problem.as_ref()),
        has_query,
        people: found
            .people
            .iter()
            .take(MOST)
            .map(|one| person(app, one, share(GROUP_BYTES, people)))
            .collect(),
        upstreams: found
            .upstreams
            .iter()
            .take(MOST)
            .map(|one| {
                let bytes = (share(GROUP_BYTES, upstreams), share(TRACE_BYTES, upstreams));
                upstream(app, one, bytes)
            })
            .collect(),
    };
    let status = if problem.is_some() { 400 } else { 200 };
    Ok(page(app, status, PagePolicy::Standalone, shown.render()))
}

/// The user, and the client if one was named.
type Question = (String, Option<Arc<Client>>);

fn question(app: &App, pairs: &Pairs) -> Result<Option<Question>, FieldError> {
    let fields = Fields::new(pairs, &["user", "client"], app.issuer.now())?;
    let Some(user) = fields.text("user") else { return Ok(None) };
    let client = match fields.text("client").map(ClientId::new) {
        None => None,
        Some(id) => {
            let found = app.issuer.clients.get(&id);
            Some(found.ok_or_else(|| bad("client", "is no client of this issuer"))?)
        }
    };
    Ok(Some((user.to_owned(), client)))
}

fn person(app: &App, person: &PersonView, bytes: usize) -> PersonCard {
    let of_person = [
        ("user".to_owned(), person.user_id.clone()),
        ("connector".to_owned(), person.connector.clone()),
    ];
    PersonCard {
        name: display_name([&person.username, "", &person.email, &person.user_id]).into(),
        email: person.email.as_str().into(),
        user_id: person.user_id.as_str().into(),
        connector: connector_name(app, &person.connector),
        sub: person.sub.as_str().into(),
        administrator: person.administrator,
        blocked: person.blocked.as_ref().map(|block| block.reason.as_str().into()),
        block: app.path(&block_path(&person.connector, &person.user_id)),
        groups: part_of_names(app, ("", &[]), "groups", &person.groups, bytes),
        sessions: app.path(&path_with_query(Section::Sessions.path(), &of_person)),
        client: person.client.as_ref().map(|explanation| client_explanation(app, explanation)),
    }
}

fn client_explanation(app: &App, explanation: &ClientExplanation) -> (Name, bool, Name, Vec<Name>) {
    let t = &app.layout.messages.admin.inventory;
    let live = match explanation.token_lifetime % 60 {
        0 => t.minutes.of(explanation.token_lifetime / 60),
        _ => t.seconds.of(explanation.token_lifetime),
    };
    let notes = explanation.notes.iter().map(Name::from).collect();
    (client_name(app, &explanation.client), explanation.may_use_connector, live.into(), notes)
}

fn upstream(app: &App, upstream: &UpstreamView, bytes: (usize, usize)) -> UpstreamCard {
    UpstreamCard {
        connector: connector_name(app, &upstream.connector),
        outcome: upstream.outcome.as_str().into(),
        user_id: upstream.user_id.as_deref().map(Into::into),
        groups: upstream
            .groups
            .as_deref()
            .map(|groups| part_of_names(app, ("", &[]), "groups", groups, bytes.0)),
        trace: part_of_names(app, ("", &[]), "trace", &upstream.trace, bytes.1),
    }
}

pub async fn api_show(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let (user, client) = question(&app, &pairs)?.ok_or_else(|| bad("user", "is missing"))?;
    Ok(json(StatusCode::OK, &app.issuer.explain(&user, client.as_deref()).await?))
}
