//! `/admin/keys`: the signing keys, and the next one made now.

use axum::extract::State;
use axum::response::Response;
use countersign_issuer::admin::view::{KeyView, RotationView};

use super::entrance::AdminSession;
use super::when;
use crate::account_pages::{back_to, notice};
use crate::answer::page;
use crate::app::App;
use crate::csp::FormsEnd;
use crate::form::{Form, Pairs};
use crate::page_error::{PageError, into_response};
use crate::pages::admin::{KeyRow, Keys, Section};
use crate::pages::{Name, Page};
use crate::request_context::RequestContext;

const ABOUT: &str = "a rotation";
/// Newest first; more are kept only where lifetimes are very long.
const ROWS: usize = 20;

pub async fn keys(
    State(app): State<App>,
    context: RequestContext,
    entered: AdminSession,
) -> Response {
    into_response(&app, &context, show(&app, &context, &entered).await)
}

async fn show(
    app: &App,
    context: &RequestContext,
    entered: &AdminSession,
) -> Result<Response, PageError> {
    let t = &app.layout.texts.admin.keys;
    let keys = app.issuer.signing_keys().await?;
    let rotated: Option<RotationView> = notice(app, context, &entered.pairs, ABOUT);
    let shown = Keys {
        layout: &app.layout,
        frame: entered.frame(app, context, Section::Keys),
        rotated: rotated.map(|rotated| {
            let said = if rotated.made { t.made } else { t.already };
            let number = Name::new(&rotated.number.to_string());
            (said.plain(&number), when(app, &rotated.signs_from))
        }),
        rows: keys.iter().take(ROWS).map(|key| row(app, key)).collect(),
        action: app.path(Section::Keys.path()),
    };
    Ok(page(app, 200, FormsEnd::AtHome, shown.render()))
}

fn row(app: &App, key: &KeyView) -> KeyRow {
    let t = &app.layout.texts.admin.keys;
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
        created: when(app, &key.created),
        signs_from: when(app, &key.signs_from),
        drops_at: key.drops_at.as_deref().map(|at| when(app, at)),
    }
}

pub async fn rotate(
    State(app): State<App>,
    context: RequestContext,
    entered: AdminSession,
    Form(form): Form,
) -> Response {
    into_response(&app, &context, rotate_asked(&app, &context, &entered, &form).await)
}

async fn rotate_asked(
    app: &App,
    context: &RequestContext,
    entered: &AdminSession,
    form: &Pairs,
) -> Result<Response, PageError> {
    if let Some(first) = entered.proves_first(app, context, form)? {
        return Ok(first);
    }
    let rotated = app.issuer.rotate_keys(&entered.who).await?;
    back_to(app, context, Section::Keys.path(), ABOUT, &rotated)
}
