//! The page `/admin/block`: what blocking a user would end, and the form that blocks.

use axum::response::Response;
use countersign_core::Timestamp;
use countersign_issuer::admin::blocked_users::{BLOCK_FIELDS, BlockPreviewView, PERSON_FIELDS};
use countersign_issuer::admin::fields::{FieldError, Fields};

use super::super::filters::{Field, field, path_with_query};
use super::super::frame::{
    Frame, Section, client_name, connector_name, count, display_time, found_or_problem, status,
};
use super::{ABOUT, BLOCK_PATH, BlockFlash, without_csrf};
use crate::admin::AdminSession;
use crate::app::App;
use crate::form::{Form, Pairs, redirect_with_flash};
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name, Page};
use crate::response::{PagePolicy, page};

const APPS: usize = 10;

#[derive(askama::Template)]
#[template(path = "pages/admin_block.html")]
pub struct Block<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// Why the submitted form was refused.
    pub problem: Option<Name>,
    pub preview: Option<BlockPreview>,
    pub back: String,
}

pub struct BlockPreview {
    pub name: Option<Name>,
    pub user_id: Name,
    pub connector: Name,
    /// Reason and actor of the block in force.
    pub blocked: Option<(Name, Name)>,
    /// Name, user id, and URL of this page for each suggested user.
    pub suggestions: Vec<(Name, Name, String)>,
    pub sessions: u64,
    pub grants: u64,
    pub apps: Vec<(Name, u64)>,
    pub tokens_until: Option<DisplayTime>,
    pub reason: Field,
    pub until: Field,
    pub action: String,
}

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    show_preview(&admin, RejectedForm::default()).await
}

/// The submitted values of a refused form, and the reason.
#[derive(Default)]
struct RejectedForm {
    typed: Pairs,
    problem: Option<FieldError>,
}

async fn show_preview(admin: &AdminSession, rejected: RejectedForm) -> Result<Response, PageError> {
    let app = &admin.app;
    let pairs = admin.query();
    let person = Fields::new(&pairs, &PERSON_FIELDS, app.issuer.now()).and_then(|f| f.person());
    let found = match person {
        Ok(person) => app.issuer.preview_block(&admin.who, &person).await.map(Some),
        Err(bad) => Err(bad.into()),
    };
    let (found, not_found) = found_or_problem(found)?;
    let RejectedForm { typed, problem } = rejected;
    let preview = found.map(|found| preview(app, &found, &typed, problem.as_ref()));
    let problem = not_found.or(problem);
    let shown = Block {
        layout: &app.layout,
        frame: admin.frame(Section::BlockedUsers),
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
    let link = |user_id: &str| app.path(&block_path(&found.connector, user_id));
    let suggestions = found.suggestions.iter();
    BlockPreview {
        name: found.name.as_deref().map(Name::from),
        user_id: found.user_id.as_str().into(),
        connector: connector_name(app, &found.connector),
        blocked: found
            .blocked
            .as_ref()
            .map(|block| (block.reason.as_str().into(), block.blocked_by_display().into())),
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
        tokens_until: found.tokens_until.as_deref().and_then(|at| if_in_the_future(app, at)),
        reason: field(app, "reason", typed, problem),
        until: field(app, "until", typed, problem),
        action: link(&found.user_id),
    }
}

/// Path of the page that previews a block of this user, relative to the issuer.
pub fn block_path(connector: &str, user_id: &str) -> String {
    let person = [
        ("connector".to_owned(), connector.to_owned()),
        ("user_id".to_owned(), user_id.to_owned()),
    ];
    path_with_query(BLOCK_PATH, &person)
}

fn if_in_the_future(app: &App, instant: &str) -> Option<DisplayTime> {
    let at: Timestamp = instant.parse().ok()?;
    (at > app.issuer.now()).then(|| display_time(app, at))
}

pub async fn post_page(admin: AdminSession, Form(form): Form) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    if let Some(first) = admin.require_fresh_sign_in(&form)? {
        return Ok(first);
    }
    let mut pairs = admin.query();
    pairs.extend(without_csrf(&form));
    let request = Fields::new(&pairs, &BLOCK_FIELDS, app.issuer.now()).and_then(|f| f.block());
    let blocked = match request {
        Ok(request) => app.issuer.block_user(&admin.who, request).await.map(Some),
        Err(bad) => Err(bad.into()),
    };
    match found_or_problem(blocked)? {
        (Some(blocked), _) => {
            let done = BlockFlash::of(&blocked);
            redirect_with_flash(app, context, Section::BlockedUsers.path(), ABOUT, &done)
        }
        (None, problem) => show_preview(&admin, RejectedForm { typed: pairs, problem }).await,
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
