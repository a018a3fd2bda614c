//! Sessions and grants: find, show, preview, end.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::{GrantId, SessionFilter, SessionId};
use countersign_issuer::admin::asked::{BULK_FIELDS, Fields, SESSION_FIELDS};
use countersign_issuer::admin::looks::Page;
use countersign_issuer::admin::view::{EndView, PreviewView};

use super::admitted::{Admitted, Asked};
use super::problem::Problem;
use crate::app::App;
use crate::form::Pairs;
use crate::token::json;

/// Sessions of one page, and of the largest.
const PAGE: i64 = 50;
const LARGEST_PAGE: i64 = 500;

pub async fn list(
    State(app): State<App>,
    _: Admitted,
    Asked(pairs): Asked,
) -> Result<Response, Problem> {
    let known: Vec<&str> = SESSION_FIELDS.iter().copied().chain(["limit", "page"]).collect();
    let fields = Fields::new(&pairs, &known, app.issuer.now())?;
    let page = Page {
        after: fields.text("page").map(str::to_owned),
        limit: fields.number("limit", PAGE, LARGEST_PAGE)?,
    };
    let found = app.issuer.find_sessions(&fields.sessions()?, &page).await??;
    Ok(json(StatusCode::OK, &found))
}

pub async fn show(
    State(app): State<App>,
    _: Admitted,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let shown = app.issuer.session_in_full(&SessionId::new(id)).await?;
    let shown = shown.ok_or_else(|| Problem::not_found("session"))?;
    Ok(json(StatusCode::OK, &shown))
}

pub async fn end(
    State(app): State<App>,
    Admitted(who): Admitted,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let ended = app.issuer.end_session_as(&who, &SessionId::new(id)).await?;
    let ended = ended.ok_or_else(|| Problem::not_found("session"))?;
    Ok(json(StatusCode::OK, &EndView::from(&ended)))
}

pub async fn end_grant(
    State(app): State<App>,
    Admitted(who): Admitted,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let ended = app.issuer.end_grant_as(&who, &GrantId::new(id)).await?;
    let ended = ended.ok_or_else(|| Problem::not_found("grant"))?;
    Ok(json(StatusCode::OK, &EndView::from(&ended)))
}

pub async fn preview(
    State(app): State<App>,
    _: Admitted,
    body: Bytes,
) -> Result<Response, Problem> {
    let filter = bulk_filter(&app, &body)?;
    let found = app.issuer.preview_end(&filter).await?;
    Ok(json(StatusCode::OK, &PreviewView::from(&found)))
}

pub async fn end_many(
    State(app): State<App>,
    Admitted(who): Admitted,
    body: Bytes,
) -> Result<Response, Problem> {
    let filter = bulk_filter(&app, &body)?;
    let ended = app.issuer.end_matching(&who, filter).await?;
    Ok(json(StatusCode::OK, &EndView::from(&ended)))
}

/// A JSON object with the fields of the list. One that narrows nothing must say that everything is meant.
fn bulk_filter(app: &App, body: &[u8]) -> Result<SessionFilter, Problem> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|_| Problem::bad_body())?;
    let text = |(name, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => Some((name, text)),
        _ => None,
    };
    let pairs: Option<Pairs> = object.into_iter().map(text).collect();
    let pairs = pairs.ok_or_else(Problem::bad_body)?;
    let known: Vec<&str> = BULK_FIELDS.iter().copied().chain(["everything"]).collect();
    Ok(Fields::new(&pairs, &known, app.issuer.now())?.bulk()?)
}
