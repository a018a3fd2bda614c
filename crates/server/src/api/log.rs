//! Questions to the audit log, and about one person.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::ClientId;
use countersign_issuer::admin::asked::{EVENT_FIELDS, Fields, HOLDER_FIELDS, bad};
use countersign_issuer::admin::looks::Page;

use super::admin_token::{AdminToken, QueryPairs};
use super::problem_details::ProblemDetails;
use crate::app::App;
use crate::response::json;

pub async fn events(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let query = Fields::new(&pairs, &EVENT_FIELDS, app.issuer.now())?.events()?;
    Ok(json(StatusCode::OK, &app.issuer.find_events(query).await??))
}

/// Who had a group between two instants; without them, who has it now.
pub async fn holders(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let fields = Fields::new(&pairs, &HOLDER_FIELDS, app.issuer.now())?;
    let asked = fields.memberships()?.ok_or_else(|| bad("group", "is missing"))?;
    let page = Page {
        after: fields.text("page").map(str::to_owned),
        limit: fields.number("limit", 50, 500)?,
    };
    let found = app.issuer.memberships(&asked, &page).await??;
    Ok(json(StatusCode::OK, &found))
}

pub async fn explain(
    State(app): State<App>,
    _: AdminToken,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ProblemDetails> {
    let fields = Fields::new(&pairs, &["user", "client"], app.issuer.now())?;
    let user = fields.text("user").ok_or_else(|| bad("user", "is missing"))?;
    let client = match fields.text("client").map(ClientId::new) {
        None => None,
        Some(id) => {
            let found = app.issuer.clients.get(&id);
            Some(found.ok_or_else(|| bad("client", "is no client of this issuer"))?)
        }
    };
    Ok(json(StatusCode::OK, &app.issuer.explain(user, client).await?))
}
