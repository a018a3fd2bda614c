//! Signing keys: the page `/admin/keys` lists and rotates them, `/admin/keys/{key}` previews and drops one; the same
//! at `/api/v1/keys`.

use super::api::ProblemDetails;
use super::frame::{Frame, Section, display_time_of};
use super::{AdminSession, AdminToken};
use crate::app::App;
use crate::form::{Form, flash, redirect_with_flash};
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name, Page, PageErrorKind};
use crate::response::{PagePolicy, json, page, see_other};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_issuer::admin::keys::KeyDropView;
use countersign_issuer::admin::view::{KeyView, RotationView};

#[derive(askama::Template)]
#[template(path = "pages/admin_keys.html")]
pub struct Keys<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// The key that was just published, and when it begins to sign.
    pub rotated: Option<(String, DisplayTime)>,
    pub rows: Vec<KeyRow>,
    /// That another service keeps the signing key; keys are then neither rotated nor dropped here.
    pub kept_by: Option<String>,
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
    /// Link to the page that previews dropping it.
    pub drop: String,
}

#[derive(askama::Template)]
#[template(path = "pages/admin_key_drop.html")]
pub struct KeyDrop<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub key: KeyRow,
    /// Latest expiry of the tokens signed with it.
    pub tokens_until: Option<DisplayTime>,
    /// The key that signs afterwards; `None`: a new one is generated.
    pub signing_kid: Option<Name>,
    pub action: String,
    pub back: String,
}

const ABOUT: &str = "a rotation";
const ABOUT_DROP: &str = "a dropped key";
/// Maximum number of rows, newest first; more keys are kept only with very long lifetimes.
const ROWS: usize = 20;

pub async fn get_page(admin: AdminSession) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    let t = &app.layout.messages.admin.keys;
    let keys = app.issuer.signing_keys().await?;
    let rotated: Option<RotationView> = flash(app, context, &admin.pairs, ABOUT);
    let mut frame = admin.frame(Section::Keys);
    let dropped: Option<KeyDropView> = flash(app, context, &admin.pairs, ABOUT_DROP);
    frame.flash = dropped.map(|drop| {
        let dropped = t.dropped.plain(&Name::new(&drop.number.to_string()));
        format!("{dropped} {}", t.signs_now.plain(&Name::from(&drop.signing_kid)))
    });
    let shown = Keys {
        layout: &app.layout,
        frame,
        rotated: rotated.map(|rotated| {
            let flash = if rotated.made { t.made } else { t.already };
            let number = Name::new(&rotated.number.to_string());
            (flash.plain(&number), display_time_of(app, &rotated.signs_from))
        }),
        kept_by: app
            .issuer
            .settings
            .external_signer
            .as_ref()
            .map(|signer| t.kept_by.plain(&Name::new(signer.name()))),
        rows: keys.iter().take(ROWS).map(|key| row(app, key)).collect(),
        action: app.path(Section::Keys.path()),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

fn row(app: &App, key: &KeyView) -> KeyRow {
    let t = &app.layout.messages.admin.keys;
    // While another service keeps the signing key, a number is that of a version there.
    let name = match &app.issuer.settings.external_signer {
        Some(_) if key.signer.is_none() => key.kid.clone(),
        _ => key.number.to_string(),
    };
    KeyRow {
        number: key.number,
        kid: key.kid.as_str().into(),
        algorithm: match key.access_tokens_only {
            true => t.access_tokens_only.plain(&Name::new(&key.algorithm)).as_str().into(),
            false => key.algorithm.as_str().into(),
        },
        state: match key.state.as_str() {
            "next" => t.next,
            "signing" => t.signing,
            _ => t.retired,
        },
        signs: key.state == "signing",
        created: display_time_of(app, &key.created),
        signs_from: display_time_of(app, &key.signs_from),
        drops_at: key.drops_at.as_deref().map(|at| display_time_of(app, at)),
        drop: app.path(&format!("{}/{name}", Section::Keys.path())),
    }
}

pub async fn post_page(admin: AdminSession, Form(form): Form) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    if let Some(first) = admin.require_fresh_sign_in(&form)? {
        return Ok(first);
    }
    let rotated = app.issuer.rotate_keys(&admin.who).await?;
    redirect_with_flash(app, context, Section::Keys.path(), ABOUT, &rotated)
}

pub async fn get_drop_page(
    admin: AdminSession,
    Path(key): Path<String>,
) -> Result<Response, PageError> {
    let app = &admin.app;
    let found = app.issuer.preview_drop_key(&key).await?;
    let found = found.ok_or(PageErrorKind::NotFound)?;
    let key = row(app, &found.key);
    let shown = KeyDrop {
        layout: &app.layout,
        frame: admin.frame(Section::Keys),
        tokens_until: found.tokens_until.as_deref().map(|at| display_time_of(app, at)),
        signing_kid: found.signing_kid.as_deref().map(Into::into),
        action: key.drop.clone(),
        key,
        back: app.path(Section::Keys.path()),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

pub async fn post_drop_page(
    admin: AdminSession,
    Path(key): Path<String>,
    Form(form): Form,
) -> Result<Response, PageError> {
    let AdminSession { app, context, .. } = &admin;
    if let Some(first) = admin.require_fresh_sign_in(&form)? {
        return Ok(first);
    }
    let Some(dropped) = app.issuer.drop_key(&admin.who, &key).await? else {
        // As by a second click: the list no longer has it.
        return Ok(see_other(&app.path(Section::Keys.path())));
    };
    redirect_with_flash(app, context, Section::Keys.path(), ABOUT_DROP, &dropped)
}

impl KeyRow {
    fn drop_label(&self, t: &Admin) -> String {
        t.keys.drop_label.plain(&Name::new(&self.number.to_string()))
    }
}

impl KeyDrop<'_> {
    fn button(&self) -> String {
        self.t().keys.drop_now.plain(&Name::new(&self.key.number.to_string()))
    }

    fn title(&self) -> String {
        self.t().keys.drop_heading.plain(&Name::new(&self.key.number.to_string()))
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
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

/// Previews dropping a key.
pub async fn api_preview_drop(
    State(app): State<App>,
    _: AdminToken,
    Path(key): Path<String>,
) -> Result<Response, ProblemDetails> {
    let found = app.issuer.preview_drop_key(&key).await?;
    let found = found.ok_or_else(|| ProblemDetails::not_found("signing key"))?;
    Ok(json(StatusCode::OK, &found))
}

/// Drops a compromised key.
pub async fn api_drop(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    Path(key): Path<String>,
) -> Result<Response, ProblemDetails> {
    let dropped = app.issuer.drop_key(&who, &key).await?;
    let dropped = dropped.ok_or_else(|| ProblemDetails::not_found("signing key"))?;
    Ok(json(StatusCode::OK, &dropped))
}

/// Publishes the next key now.
pub async fn api_rotate(
    State(app): State<App>,
    AdminToken(who): AdminToken,
) -> Result<Response, ProblemDetails> {
    Ok(json(StatusCode::OK, &app.issuer.rotate_keys(&who).await?))
}
