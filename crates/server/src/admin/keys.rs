//! `/admin/keys`: the signing keys, and the next one made now.

use axum::extract::State;
use axum::response::Response;
use countersign_issuer::admin::view::{KeyView, RotationView};

use super::admin_session::AdminSession;
use super::display_time_of;
use crate::account_pages::{back_to, flash};
use crate::app::App;
use crate::form::{Form, Pairs};
use crate::page_error::{PageError, into_response};
use crate::pages::admin::{KeyRow, Keys, Section};
use crate::pages::{Name, Page};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page};

const ABOUT: &str = "a rotation";
/// Newest first; more are kept only where lifetimes are very long.
const ROWS: usize = 20;

pub async fn keys(
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

pub async fn rotate(
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
    back_to(app, context, Section::Keys.path(), ABOUT, &rotated)
}
