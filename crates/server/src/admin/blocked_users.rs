//! Blocked users: `/admin/blocked-users` lists and lifts blocks, `/admin/block` previews and makes one; the same at
//! `/api/v1/blocked-users`.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::Timestamp;
use countersign_issuer::admin::blocked_users::{
    BLOCK_FIELDS, BlockPreviewView, BlockView, BlockedUserView, PERSON_FIELDS,
};
use countersign_issuer::admin::fields::{FieldError, Fields};
use countersign_issuer::admin::queries::Page as PageRequest;
use serde::{Deserialize, Serialize};

use super::authentication::{AdminSession, AdminToken, QueryPairs};
use super::filters::{Choice, Field, address, choice, field, next_page_links};
use super::frame::{
    Frame, Section, client_name, connector_name, count, display_time, display_time_of,
    first_non_empty, sessions_link, status,
};
use super::problem_details::ProblemDetails;
use super::sessions::api::body_fields;
use crate::account::{back_to, flash};
use crate::app::App;
use crate::form::{Form, Pairs, once};
use crate::page_error::{PageError, into_response};
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name, Page};
use crate::request_context::RequestContext;
use crate::response::json;
use crate::response::{PagePolicy, page};

const BLOCK_PATH: &str = "/admin/block";
const ABOUT: &str = "a block";
const ROWS: i64 = 25;
const APPS: usize = 10;

#[derive(askama::Template)]
#[template(path = "admin_blocked_users.html")]
pub struct BlockedUsers<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// The last token of the person who was just blocked.
    pub tokens_until: Option<DisplayTime>,
    pub rows: Vec<BlockedUserRow>,
    pub first: Option<String>,
    pub next: Option<String>,
    /// Where a block is lifted.
    pub action: String,
    /// Where a person is named for a block, by GET.
    pub block: String,
    pub connectors: Choice,
    pub user_id: Field,
}

pub struct BlockedUserRow {
    pub name: Name,
    pub user_id: String,
    pub connector_id: String,
    pub connector: Name,
    pub reason: Name,
    pub at: DisplayTime,
    pub by: Name,
    pub until: Option<DisplayTime>,
    pub sessions: String,
}

#[derive(askama::Template)]
#[template(path = "admin_block.html")]
pub struct Block<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// Why nothing was blocked.
    pub problem: Option<Name>,
    pub preview: Option<BlockPreview>,
    pub back: String,
}

pub struct BlockPreview {
    pub name: Option<Name>,
    pub user_id: Name,
    pub connector: Name,
    /// The block in force: reason, by whom.
    pub blocked: Option<(Name, Name)>,
    /// Name, user id and address of this page for that person.
    pub suggestions: Vec<(Name, Name, String)>,
    pub sessions: u64,
    pub grants: u64,
    pub apps: Vec<(Name, u64)>,
    pub tokens_until: Option<DisplayTime>,
    pub reason: Field,
    pub until: Field,
    pub action: String,
}

/// Carried from the act to the list.
#[derive(Serialize, Deserialize)]
enum BlockFlash {
    Blocked { name: String, sessions: u64, tokens_until: Option<Timestamp> },
    Lifted { name: String },
}

pub async fn get_page(
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
    let pairs = admin.query();
    let after = once(&pairs, "page").filter(|page| !page.is_empty()).map(str::to_owned);
    let found = app.issuer.blocked_users(&PageRequest { after, limit: ROWS }).await?;
    let problem = found.as_ref().err().cloned();
    let found = found.unwrap_or_default();
    let path = Section::BlockedUsers.path();
    let (first, next) = next_page_links(app, path, &pairs, found.next.as_deref());
    let mut frame = admin.frame(app, context, Section::BlockedUsers);
    let done: Option<BlockFlash> = flash(app, context, &admin.pairs, ABOUT);
    frame.flash = done.as_ref().map(|done| done.message(&app.layout.messages.admin));
    let connectors = app.issuer.connectors.iter();
    let options = connectors.map(|found| (found.id.to_string(), found.name.clone())).collect();
    let shown = BlockedUsers {
        layout: &app.layout,
        frame,
        tokens_until: done.and_then(|done| done.tokens_until(app)),
        rows: found.blocked_users.iter().map(|user| row(app, user)).collect(),
        first,
        next,
        action: app.path(path),
        block: app.path(BLOCK_PATH),
        connectors: choice(app, "connector", options, &[]),
        user_id: field(app, "user_id", &[], None),
    };
    Ok(page(app, status(problem.as_ref()), PagePolicy::Standalone, shown.render()))
}

fn row(app: &App, user: &BlockedUserView) -> BlockedUserRow {
    BlockedUserRow {
        name: user.name.as_deref().unwrap_or(&user.user_id).into(),
        user_id: user.user_id.clone(),
        connector_id: user.connector.clone(),
        connector: connector_name(app, &user.connector),
        reason: user.reason.as_str().into(),
        at: display_time_of(app, &user.blocked_at),
        by: user.blocked_by.as_str().into(),
        until: user.expires_at.as_deref().map(|at| display_time_of(app, at)),
        sessions: sessions_link(app, "user", &user.user_id),
    }
}

/// Lifts a block.
pub async fn post_page(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
    Form(form): Form,
) -> Response {
    into_response(&app, &context, handle_unblock(&app, &context, &admin, &form).await)
}

async fn handle_unblock(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
    form: &Pairs,
) -> Result<Response, PageError> {
    if let Some(first) = admin.require_fresh_sign_in(app, context, form)? {
        return Ok(first);
    }
    let fields = without_csrf(form);
    let person = Fields::new(&fields, &PERSON_FIELDS, app.issuer.now()).and_then(|f| f.person());
    let person = person.map_err(bad_request)?;
    app.issuer.unblock_user(&admin.who, &person).await?;
    let done = BlockFlash::Lifted { name: person.user_id };
    back_to(app, context, Section::BlockedUsers.path(), ABOUT, &done)
}

pub async fn get_block_page(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
) -> Response {
    into_response(
        &app,
        &context,
        show_preview(&app, &context, &admin, RejectedForm::default()).await,
    )
}

/// What was typed into a form that was not accepted, and why it was not.
#[derive(Default)]
struct RejectedForm {
    typed: Pairs,
    problem: Option<FieldError>,
}

async fn show_preview(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
    rejected: RejectedForm,
) -> Result<Response, PageError> {
    let pairs = admin.query();
    let person = Fields::new(&pairs, &PERSON_FIELDS, app.issuer.now()).and_then(|f| f.person());
    let found = match person {
        Ok(person) => app.issuer.preview_block(&admin.who, &person).await?,
        Err(bad) => Err(bad),
    };
    let RejectedForm { typed, problem } = rejected;
    let (preview, problem) = match found {
        Ok(found) => (Some(preview(app, &found, &typed, problem.as_ref())), problem),
        Err(bad) => (None, Some(bad)),
    };
    let shown = Block {
        layout: &app.layout,
        frame: admin.frame(app, context, Section::BlockedUsers),
        problem: problem.as_ref().map(|bad| bad.to_string().into()),
        preview,
        back: app.path(Section::BlockedUsers.path()),
    };
    Ok(page(app, status(problem.as_ref()), PagePolicy::Standalone, shown.render()))
}

fn preview(
    app: &App,
    found: &BlockPreviewView,
    typed: &[(String, String)],
    problem: Option<&FieldError>,
) -> BlockPreview {
    let link = |user_id: &str| app.path(&block_address(&found.connector, user_id));
    let suggestions = found.suggestions.iter();
    BlockPreview {
        name: found.name.as_deref().map(Name::from),
        user_id: found.user_id.as_str().into(),
        connector: connector_name(app, &found.connector),
        blocked: found
            .blocked
            .as_ref()
            .map(|block| (block.reason.as_str().into(), block.blocked_by.as_str().into())),
        suggestions: suggestions
            .map(|one| (Name::from(&one.name), Name::from(&one.user_id), link(&one.user_id)))
            .collect(),
        sessions: count(found.sessions),
        grants: count(found.grants),
        apps: found
            .clients
            .iter()
            .take(APPS)
            .map(|one| (client_name(app, &one.client), count(one.grants)))
            .collect(),
        tokens_until: found.tokens_until.as_deref().and_then(|at| still_to_come(app, at)),
        reason: field(app, "reason", typed, problem),
        until: field(app, "until", typed, problem),
        action: link(&found.user_id),
    }
}

/// The page that previews a block of this person, below the issuer's path.
pub fn block_address(connector: &str, user_id: &str) -> String {
    let person = [
        ("connector".to_owned(), connector.to_owned()),
        ("user_id".to_owned(), user_id.to_owned()),
    ];
    address(BLOCK_PATH, &person)
}

fn still_to_come(app: &App, instant: &str) -> Option<DisplayTime> {
    let at: Timestamp = instant.parse().ok()?;
    (at > app.issuer.now()).then(|| display_time(app, at))
}

pub async fn post_block_page(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
    Form(form): Form,
) -> Response {
    into_response(&app, &context, handle_block(&app, &context, &admin, &form).await)
}

async fn handle_block(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
    form: &Pairs,
) -> Result<Response, PageError> {
    if let Some(first) = admin.require_fresh_sign_in(app, context, form)? {
        return Ok(first);
    }
    let mut pairs = admin.query();
    pairs.extend(without_csrf(form));
    let request = Fields::new(&pairs, &BLOCK_FIELDS, app.issuer.now()).and_then(|f| f.block());
    let blocked = match request {
        Ok(request) => app.issuer.block_user(&admin.who, request).await?,
        Err(bad) => Err(bad),
    };
    match blocked {
        Ok(blocked) => {
            let done = BlockFlash::of(&blocked);
            back_to(app, context, Section::BlockedUsers.path(), ABOUT, &done)
        }
        Err(bad) => {
            let rejected = RejectedForm { typed: pairs, problem: Some(bad) };
            show_preview(app, context, admin, rejected).await
        }
    }
}

fn without_csrf(form: &Pairs) -> Pairs {
    form.iter().filter(|(name, _)| name != "csrf").cloned().collect()
}

fn bad_request(bad: FieldError) -> PageError {
    PageError::from(crate::pages::PageErrorKind::BadRequest).detail(bad.to_string())
}

impl BlockFlash {
    fn of(blocked: &BlockView) -> Self {
        let user = &blocked.blocked_user;
        let name = user.name.as_deref().unwrap_or_default();
        Self::Blocked {
            name: first_non_empty(&[name, &user.user_id]).to_owned(),
            sessions: count(blocked.ended.sessions),
            tokens_until: blocked.ended.tokens_until.as_ref().and_then(|at| at.parse().ok()),
        }
    }

    fn message(&self, t: &Admin) -> String {
        match self {
            Self::Blocked { name, sessions, .. } => {
                let blocked = t.blocked.done.plain(&name.into());
                format!("{blocked} {}", t.end.done_sessions.of(*sessions))
            }
            Self::Lifted { name } => t.blocked.lifted.plain(&name.into()),
        }
    }

    fn tokens_until(&self, app: &App) -> Option<DisplayTime> {
        match self {
            Self::Blocked { tokens_until: Some(at), .. } if *at > app.issuer.now() => {
                Some(display_time(app, *at))
            }
            _ => None,
        }
    }
}

impl BlockedUsers<'_> {
    fn title(&self) -> &'static str {
        self.t().blocked.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

impl BlockedUserRow {
    fn lift_label(&self, t: &Admin) -> String {
        t.blocked.lift_label.plain(&self.name)
    }
}

impl Block<'_> {
    fn title(&self) -> &'static str {
        self.t().blocked.block_heading
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
    let page = Fields::new(&pairs, &["limit", "page"], app.issuer.now())?.page()?;
    Ok(json(StatusCode::OK, &app.issuer.blocked_users(&page).await??))
}

pub async fn api_preview(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let pairs = body_fields(&body)?;
    let person = Fields::new(&pairs, &PERSON_FIELDS, app.issuer.now())?.person()?;
    Ok(json(StatusCode::OK, &app.issuer.preview_block(&who, &person).await??))
}

pub async fn api_block(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let pairs = body_fields(&body)?;
    let request = Fields::new(&pairs, &BLOCK_FIELDS, app.issuer.now())?.block()?;
    Ok(json(StatusCode::OK, &app.issuer.block_user(&who, request).await??))
}

pub async fn api_unblock(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let pairs = body_fields(&body)?;
    let person = Fields::new(&pairs, &PERSON_FIELDS, app.issuer.now())?.person()?;
    match app.issuer.unblock_user(&who, &person).await? {
        true => Ok(json(StatusCode::OK, &serde_json::json!({ "unblocked": true }))),
        false => Err(ProblemDetails::not_found("block of this user")),
    }
}
