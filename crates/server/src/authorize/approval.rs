//! `POST /approval`: yes, no, or "not you?".

use axum::extract::State;
use axum::response::Response;
use countersign_issuer::login::ApprovalDecision;

use crate::answer::{opened, step_response};
use crate::app::App;
use crate::form::{Form, once};
use crate::page_error::{PageError, into_response};
use crate::pages::PageErrorKind;
use crate::request_context::RequestContext;

pub async fn post(State(app): State<App>, context: RequestContext, Form(pairs): Form) -> Response {
    into_response(&app, &context, Box::pin(decide(&app, &context, &pairs)).await)
}

async fn decide(
    app: &App,
    context: &RequestContext,
    pairs: &[(String, String)],
) -> Result<Response, PageError> {
    if context.is_from_elsewhere() {
        return Err(PageErrorKind::FormExpired.into());
    }
    let (pending, binding) = opened(app, context, once(pairs, "req"))?;
    let decision = once(pairs, "approval").and_then(ApprovalDecision::parse);
    let decision =
        decision.ok_or_else(|| PageError::from(PageErrorKind::BadRequest).detail("approval"))?;
    let client_name = app.issuer.client_name(&pending).to_owned();
    let step = app.issuer.decide_approval(pending, decision, context.session.as_ref()).await?;
    step_response(app, context, step, &client_name, &binding)
}
