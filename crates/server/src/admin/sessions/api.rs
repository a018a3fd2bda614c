//! `/api/v1/sessions` and `/api/v1/grants`: list, show, preview, end.

use std::fmt;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::{GrantId, SessionFilter, SessionId};
use countersign_issuer::admin::fields::{BULK_FIELDS, Fields, SESSION_FIELDS};
use countersign_issuer::admin::view::{EndView, PreviewView};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::super::api::ProblemDetails;
use crate::admin::{AdminToken, QueryPairs};
use crate::app::App;
use crate::form::Pairs;
use crate::response::json;

/// Allows all fields at their maximum length, in any JSON escaping.
const LARGEST_BODY_BYTES: usize = 64 * 1024;

pub async fn list(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let known: Vec<&str> = SESSION_FIELDS.iter().copied().chain(["limit", "page"]).collect();
    let fields = Fields::new(&pairs, &known, app.issuer.now())?;
    let page = fields.page()?;
    let found = app.issuer.find_sessions(&fields.sessions()?, &page).await?;
    Ok(json(StatusCode::OK, &found))
}

pub async fn show(
    State(app): State<App>,
    _: AdminToken,
    Path(id): Path<String>,
) -> Result<Response, ProblemDetails> {
    let shown = app.issuer.session_details(&SessionId::new(id)).await?;
    let shown = shown.ok_or_else(|| ProblemDetails::not_found("session"))?;
    Ok(json(StatusCode::OK, &shown))
}

pub async fn end(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    Path(id): Path<String>,
) -> Result<Response, ProblemDetails> {
    let ended = app.issuer.end_session(&who, &SessionId::new(id)).await?;
    let ended = ended.ok_or_else(|| ProblemDetails::not_found("session"))?;
    Ok(json(StatusCode::OK, &EndView::from(&ended)))
}

pub async fn end_grant(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    Path(id): Path<String>,
) -> Result<Response, ProblemDetails> {
    let ended = app.issuer.end_grant(&who, &GrantId::new(id)).await?;
    let ended = ended.ok_or_else(|| ProblemDetails::not_found("grant"))?;
    Ok(json(StatusCode::OK, &EndView::from(&ended)))
}

pub async fn preview(
    State(app): State<App>,
    _: AdminToken,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let filter = bulk_filter(&app, &body)?;
    let as_of = app.issuer.now();
    let found = app.issuer.preview_end_sessions(&filter).await?;
    Ok(json(StatusCode::OK, &PreviewView::of(&found, as_of)))
}

pub async fn end_sessions(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let filter = bulk_filter(&app, &body)?;
    let ended = app.issuer.end_sessions(&who, filter).await?;
    Ok(json(StatusCode::OK, &EndView::from(&ended)))
}

/// Parses a JSON object with the fields of the list's filter. A filter that matches everything must be confirmed by
/// `everything`.
fn bulk_filter(app: &App, body: &[u8]) -> Result<SessionFilter, ProblemDetails> {
    let pairs = body_fields(body)?;
    let known: Vec<&str> = BULK_FIELDS.iter().copied().chain(["everything"]).collect();
    Ok(Fields::new(&pairs, &known, app.issuer.now())?.bulk()?)
}

/// The members of a JSON object whose values are strings.
pub fn body_fields(body: &[u8]) -> Result<Pairs, ProblemDetails> {
    if body.len() > LARGEST_BODY_BYTES {
        return Err(ProblemDetails::bad_body());
    }
    let Texts(pairs) = serde_json::from_slice(body).map_err(|_| ProblemDetails::bad_body())?;
    Ok(pairs)
}

/// A JSON object with string values, including repeated names: of two members with one name a map would silently keep
/// the last (RFC 8259 section 4), which could end sessions that were not meant.
struct Texts(Pairs);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(EachText)
    }
}

struct EachText;

impl<'de> Visitor<'de> for EachText {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Texts, A::Error> {
        let mut pairs = Pairs::new();
        while let Some(pair) = members.next_entry()? {
            pairs.push(pair);
        }
        Ok(Texts(pairs))
    }
}
