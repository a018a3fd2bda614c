//! `/api/v1/blocked-users`: list, preview, block, unblock.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_issuer::admin::blocked_users::{BLOCK_FIELDS, PERSON_FIELDS};
use countersign_issuer::admin::fields::Fields;

use super::super::problem_details::ProblemDetails;
use super::super::sessions::api::body_fields;
use crate::admin::{AdminToken, QueryPairs};
use crate::app::App;
use crate::response::json;

pub async fn list(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let page = Fields::new(&pairs, &["limit", "page"], app.issuer.now())?.page()?;
    Ok(json(StatusCode::OK, &app.issuer.blocked_users(&page).await?))
}

pub async fn preview(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let pairs = body_fields(&body)?;
    let person = Fields::new(&pairs, &PERSON_FIELDS, app.issuer.now())?.person()?;
    Ok(json(StatusCode::OK, &app.issuer.preview_block(&who, &person).await?))
}

pub async fn block(
    State(app): State<App>,
    AdminToken(who): AdminToken,
    body: Bytes,
) -> Result<Response, ProblemDetails> {
    let pairs = body_fields(&body)?;
    let request = Fields::new(&pairs, &BLOCK_FIELDS, app.issuer.now())?.block()?;
    Ok(json(StatusCode::OK, &app.issuer.block_user(&who, request).await?))
}

pub async fn unblock(
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
