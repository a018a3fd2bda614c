//! `/continue`: back at the dispatcher, from whichever step.

use axum::extract::State;
use axum::response::Response;
use countersign_issuer::Failure;
use countersign_issuer::authorize::{Binder, ProvenBrowser};

use crate::answer::{link, next_step, opened, sealed, see_other, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Query, once};
use crate::trouble::{Trouble, settle};
use crate::visit::Visit;

pub async fn get(State(app): State<App>, visit: Visit, Query(pairs): Query) -> Response {
    settle(&app, &visit, resume(&app, &visit, once(&pairs, "req")).await)
}

async fn resume(app: &App, visit: &Visit, req: Option<&str>) -> Result<Response, Trouble> {
    let (envelope, binder) = opened(app, visit, req)?;
    let client_name = app.issuer.client_name(&envelope).to_owned();
    let step = app.issuer.next(envelope, visit.session.as_ref(), false).await?;
    next_step(app, visit, step, &client_name, &binder)
}

/// Somebody has proved who they are: new session cookie, new binder, on to the dispatcher.
///
/// The explicit empty fragment keeps one that an upstream left from travelling on to the client.
pub(super) fn signed_in(
    app: &App,
    proven: ProvenBrowser,
    binder: &Binder,
) -> Result<Response, Trouble> {
    let binder = binder.renewed().map_err(Failure::from)?;
    let req = sealed(app, &proven.envelope, &binder)?;
    let mut cookies = SetCookies::default();
    cookies.binder(&app.cookies, &binder.to_cookie());
    cookies.session(&app.cookies, proven.cookie.expose(), proven.lifetime.as_secs());
    cookies.last_connector(&app.cookies, proven.connector.as_str());
    Ok(with_cookies(see_other(&format!("{}#", link(app, "/continue", &req)))?, cookies))
}
