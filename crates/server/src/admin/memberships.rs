//! The members of a group over time: the page `/admin/memberships` and `GET /api/v1/memberships`.

use super::api::ProblemDetails;
use super::filters::{FilterForm, Search, next_page_links};
use super::frame::{
    Frame, Section, connector_name, display_time_of, first_non_empty, found_or_problem, status,
};
use super::{AdminSession, AdminToken, QueryPairs};
use crate::app::App;
use crate::form::Pairs;
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name, Page};
use crate::response::{PagePolicy, json, page};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_issuer::admin::fields::{
    FieldError, Fields, HOLDER_FIELDS, Holders as MembershipQuery, bad,
};
use countersign_issuer::admin::queries::Page as PageRequest;
use countersign_issuer::admin::view::MembershipView;

/// Memberships on one page.
const MEMBERSHIPS: i64 = 25;

#[derive(askama::Template)]
#[template(path = "pages/admin_memberships.html")]
pub struct Memberships<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub form: FilterForm,
    /// A group was submitted.
    pub has_query: bool,
    pub rows: Vec<MembershipRow>,
    pub first: Option<String>,
    pub next: Option<String>,
}

/// One user with the intervals in which they had the group, latest first.
pub struct MembershipRow {
    pub person: Name,
    pub user_id: Name,
    pub connector: Name,
    pub sessions: String,
    pub intervals: Vec<Interval>,
}

pub struct Interval {
    pub since: DisplayTime,
    pub until: Option<DisplayTime>,
    pub tokens_until: Option<DisplayTime>,
}

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    let app = &admin.app;
    let pairs = admin.query();
    let found = match question(app, &pairs) {
        Ok(Some((query, page))) => app.issuer.memberships(&query, &page).await.map(Some),
        Ok(None) => Ok(None),
        Err(bad) => Err(bad.into()),
    };
    let (found, problem) = found_or_problem(found)?;
    let next = found.as_ref().and_then(|found| found.next.as_deref());
    let (first, next) = next_page_links(app, Section::Memberships.path(), &pairs, next);
    let search = Search {
        path: Section::Memberships.path(),
        main: &["group", "connector", "since", "until"],
        more: &[],
        choice: None,
        submit: app.layout.messages.admin.form.find,
    };
    let shown = Memberships {
        layout: &app.layout,
        frame: admin.frame(Section::Memberships),
        form: search.form(app, &pairs, problem.as_ref()),
        has_query: found.is_some(),
        rows: rows(app, found.as_ref().map_or(&[], |found| &found.memberships)),
        first,
        next,
    };
    Ok(page(app, status(problem.as_ref()), PagePolicy::Standalone, shown.render()))
}

fn question(
    app: &App,
    pairs: &Pairs,
) -> Result<Option<(MembershipQuery, PageRequest)>, FieldError> {
    let fields = Fields::new(pairs, &HOLDER_FIELDS, app.issuer.now())?;
    let page = PageRequest { after: fields.text("page").map(str::to_owned), limit: MEMBERSHIPS };
    Ok(fields.memberships()?.map(|query| (query, page)))
}

fn rows(app: &App, memberships: &[MembershipView]) -> Vec<MembershipRow> {
    let mut persons: Vec<(&MembershipView, Vec<Interval>)> = Vec::new();
    for membership in memberships {
        let is_same = |other: &MembershipView| {
            (&other.connector, &other.user_id) == (&membership.connector, &membership.user_id)
        };
        match persons.iter_mut().find(|(other, _)| is_same(other)) {
            Some((_, intervals)) => intervals.push(interval(app, membership)),
            None => persons.push((membership, vec![interval(app, membership)])),
        }
    }
    persons.into_iter().map(|(person, intervals)| row(app, person, intervals)).collect()
}

fn interval(app: &App, membership: &MembershipView) -> Interval {
    Interval {
        since: display_time_of(app, &membership.since),
        until: membership.until.as_deref().map(|at| display_time_of(app, at)),
        tokens_until: membership.tokens_until.as_deref().map(|at| display_time_of(app, at)),
    }
}

fn row(app: &App, membership: &MembershipView, intervals: Vec<Interval>) -> MembershipRow {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("user", &membership.user_id)
        .append_pair("connector", &membership.connector)
        .append_pair("state", "all")
        .finish();
    MembershipRow {
        person: first_non_empty(&[&membership.person, &membership.user_id]).into(),
        user_id: membership.user_id.as_str().into(),
        connector: connector_name(app, &membership.connector),
        sessions: app.path(&format!("{}?{query}", Section::Sessions.path())),
        intervals,
    }
}

impl Memberships<'_> {
    fn title(&self) -> &'static str {
        self.t().log.memberships
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

/// The users who had a group between two instants; without instants, those who have it now.
pub async fn api_list(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let fields = Fields::new(&pairs, &HOLDER_FIELDS, app.issuer.now())?;
    let query = fields.memberships()?.ok_or_else(|| bad("group", "is missing"))?;
    let page = fields.page()?;
    let found = app.issuer.memberships(&query, &page).await?;
    Ok(json(StatusCode::OK, &found))
}
