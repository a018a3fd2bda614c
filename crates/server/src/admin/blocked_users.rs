//! Blocked users: the page `/admin/blocked-users` lists blocks and lifts them, the API at `/api/v1/blocked-users` lists,
//! previews, blocks and unblocks. [`block`] is the page that blocks a user.

pub mod block;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::Timestamp;
use countersign_issuer::admin::blocked_users::{
    BLOCK_FIELDS, BlockView, BlockedUserView, PERSON_FIELDS,
};
use countersign_issuer::admin::fields::{FieldError, Fields};
use serde::{Deserialize, Serialize};

use super::api::ProblemDetails;
use super::filters::{Choice, Field, choice, field, next_page_links, requested_page};
use super::frame::{
    Frame, Section, connector_name, count, display_time, display_time_of, found_or_problem,
    sessions_link, status,
};
use super::sessions::api::body_fields;
use super::{AdminSession, AdminToken, QueryPairs};
use crate::app::App;
use crate::form::{Form, Pairs, flash, redirect_with_flash};
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name, Page, PageErrorKind};
use crate::response::{PagePolicy, json, page};

pub const BLOCK_PATH: &str = "/admin/block";
pub const ABOUT: &str = "a block";
const ROWS: i64 = 25;

#[derive(askama::Template)]
#[template(path = "pages/admin_blocked_users.html")]
pub struct BlockedUsers<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// Expiry of the last token of the user who was just blocked.
    pub tokens_until: Option<DisplayTime>,
    pub rows: Vec<BlockedUserRow>,
    pub first: Option<String>,
    pub next: Option<String>,
    /// Where the form that lifts a block is posted.
    pub action: String,
    /// Target of the form that names a user to block (GET).
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

/// Content of the flash message after a change.
#[derive(Serialize, Deserialize)]
pub enum BlockFlash {
    Blocked { name: String, sessions: u64, tokens_until: Option<Timestamp> },
    Lifted { name: String },
}

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    let pairs = admin.query();
    let found = app.issuer.blocked_users(&requested_page(&pairs, ROWS)).await;
    let (found, problem) = found_or_problem(found)?;
    let path = Section::BlockedUsers.path();
    let (first, next) = next_page_links(app, path, &pairs, found.next.as_deref());
    let mut frame = admin.frame(Section::BlockedUsers);
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
        by: user.blocked_by_display().into(),
        until: user.expires_at.as_deref().map(|at| display_time_of(app, at)),
        sessions: sessions_link(app, "user", &user.user_id),
    }
}

/// Lifts a block.
pub async fn post_page(admin: AdminSession, Form(form): Form) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    if let Some(first) = admin.require_fresh_sign_in(&form)? {
        return Ok(first);
    }
    let fields = without_csrf(&form);
    let person = Fields::new(&fields, &PERSON_FIELDS, app.issuer.now()).and_then(|f| f.person());
    let person = person.map_err(bad_request)?;
    app.issuer.unblock_user(&admin.who, &person).await?;
    let done = BlockFlash::Lifted { name: person.user_id };
    redirect_with_flash(app, context, Section::BlockedUsers.path(), ABOUT, &done)
}

pub fn without_csrf(form: &Pairs) -> Pairs {
    form.iter().filter(|(name, _)| name != "csrf").cloned().collect()
}

fn bad_request(bad: FieldError) -> PageError {
    PageError::from(PageErrorKind::BadRequest).detail(bad.to_string())
}

impl BlockFlash {
    pub fn of(blocked: &BlockView) -> Self {
        let user = &blocked.blocked_user;
        let name = user.name.as_deref().unwrap_or(&user.user_id);
        Self::Blocked {
            name: name.to_owned(),
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

pub async fn api_list(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let page = Fields::new(&pairs, &["limit", "page"], app.issuer.now())?.page()?;
    Ok(json(StatusCode::OK, &app.issuer.blocked_users(&page).await?))
}

pub async fn api_preview(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let pairs = body_fields(&body)?;
    let person = Fields::new(&pairs, &PERSON_FIELDS, app.issuer.now())?.person()?;
    Ok(json(StatusCode::OK, &app.issuer.preview_block(&who, &person).await?))
}

pub async fn api_block(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let pairs = body_fields(&body)?;
    let request = Fields::new(&pairs, &BLOCK_FIELDS, app.issuer.now())?.block()?;
    Ok(json(StatusCode::OK, &app.issuer.block_user(&who, request).await?))
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
