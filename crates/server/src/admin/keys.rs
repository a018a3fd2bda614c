//! Signing keys: the page `/admin/keys`, `GET /api/v1/keys` and `POST /api/v1/keys/rotate`.

use super::authentication::{AdminSession, AdminToken};
use super::frame::{Frame, Section, display_time_of};
use super::problem_details::ProblemDetails;
use crate::app::App;
use crate::flash::{flash, redirect_with_flash};
use crate::form::{Form, Pairs};
use crate::page_error::{PageError, into_response};
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name, Page};
use crate::request_context::RequestContext;
use crate::response::json;
use crate::response::{PagePolicy, page};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_issuer::admin::view::{KeyView, RotationView};

#[derive(askama::Template)]
#[template(path = "admin_keys.html")]
pub struct Keys<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// The rotation that was just asked for: what was done, and when that key signs.
    pub rotated: Option<(String, DisplayTime)>,
    pub rows: Vec<KeyRow>,
    pub action: String,
}

pub struct KeyRow {
    pub number: i64,
    pub kid: Name,
    pub algorithm: Name,
    pub state: &'static str,
    pub signs: bool,
    pub created: DisplayTime,
    pub signs_from: DisplayTime,
    pub drops_at: Option<DisplayTime>,
}

const ABOUT: &str = "a rotation";
/// Newest first; more are kept only where lifetimes are very long.
const ROWS: usize = 20;

pub async fn get_page(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
) -> Response {
    into_response(&app, &context, show(&app, &context, &admin).await)
}

async fn show(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
) -> Result<Response, PageError> {
    let t = &app.layout.messages.admin.keys;
    let keys = app.issuer.signing_keys().await?;
    let rotated: Option<RotationView> = flash(app, context, &admin.pairs, ABOUT);
    let shown = Keys {
        layout: &app.layout,
        frame: admin.frame(app, context, Section::Keys),
        rotated: rotated.map(|rotated| {
            let flash = if rotated.made { t.made } else { t.already };
            let number = Name::new(&rotated.number.to_string());
            (flash.plain(&number), display_time_of(app, &rotated.signs_from))
        }),
        rows: keys.iter().take(ROWS).map(|key| row(app, key)).collect(),
        action: app.path(Section::Keys.path()),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

fn row(app: &App, key: &KeyView) -> KeyRow {
    let t = &app.layout.messages.admin.keys;
    KeyRow {
        number: key.number,
        kid: key.kid.as_str().into(),
        algorithm: key.algorithm.as_str().into(),
        state: match key.state.as_str() {
            "next" => t.next,
            "signing" => t.signing,
            _ => t.retired,
        },
        signs: key.state == "signing",
        created: display_time_of(app, &key.created),
        signs_from: display_time_of(app, &key.signs_from),
        drops_at: key.drops_at.as_deref().map(|at| display_time_of(app, at)),
    }
}

pub async fn post_page(
    State(app): State<App>,
    context: RequestContext,
    admin: AdminSession,
    Form(form): Form,
) -> Response {
    into_response(&app, &context, handle_rotate(&app, &context, &admin, &form).await)
}

async fn handle_rotate(
    app: &App,
    context: &RequestContext,
    admin: &AdminSession,
    form: &Pairs,
) -> Result<Response, PageError> {
    if let Some(first) = admin.require_fresh_sign_in(app, context, form)? {
        return Ok(first);
    }
    let rotated = app.issuer.rotate_keys(&admin.who).await?;
    redirect_with_flash(app, context, Section::Keys.path(), ABOUT, &rotated)
}

impl Keys<'_> {
    fn title(&self) -> &'static str {
        self.t().keys.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

pub async fn api_list(State(app): State<App>, _: AdminToken) -> Result<Response, ProblemDetails> {
    let keys = app.issuer.signing_keys().await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "keys": keys })))
}

/// Publishes the next key now.
pub async fn api_rotate(
    State(app): State<App>,
    AdminToken(who): AdminToken,
) -> Result<Response, ProblemDetails> {
    Ok(json(StatusCode::OK, &app.issuer.rotate_keys(&who).await?))
}
