//! `POST /approval`: yes, no, or "not you?".

use axum::extract::State;
use axum::response::Response;
use countersign_issuer::authorize::Verdict;

use crate::answer::{next_step, opened};
use crate::app::App;
use crate::form::{Form, once};
use crate::pages::Problem;
use crate::trouble::{Trouble, settle};
use crate::visit::Visit;

pub async fn post(State(app): State<App>, visit: Visit, Form(pairs): Form) -> Response {
    settle(&app, &visit, Box::pin(decide(&app, &visit, &pairs)).await)
}

async fn decide(app: &App, visit: &Visit, pairs: &[(String, String)]) -> Result<Response, Trouble> {
    if visit.is_from_elsewhere() {
        return Err(Problem::FormExpired.into());
    }
    let (envelope, binder) = opened(app, visit, once(pairs, "req"))?;
    let verdict = once(pairs, "approval").and_then(Verdict::parse);
    let verdict = verdict.ok_or_else(|| Trouble::from(Problem::BadRequest).detail("approval"))?;
    let client_name = app.issuer.client_name(&envelope).to_owned();
    let step = app.issuer.decide(envelope, verdict, visit.session.as_ref()).await?;
    next_step(app, visit, step, &client_name, &binder)
}
