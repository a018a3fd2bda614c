//! `/callback`: back from an upstream. Only the browser that left arrives, and only once.

use axum::extract::{Path, State};
use axum::response::Response;
use countersign_core::connector::Refusal;
use countersign_issuer::authorize::SignInEnd;

use super::login::refused;
use super::resume::signed_in;
use crate::answer::{start_again, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Pairs, Query, once};
use crate::metrics::LoginResult;
use crate::pages::Problem;
use crate::trouble::{Trouble, settle};
use crate::visit::Visit;

pub async fn get(State(app): State<App>, visit: Visit, Query(pairs): Query) -> Response {
    arrive(&app, &visit, pairs, None).await
}

pub async fn get_for(
    State(app): State<App>,
    visit: Visit,
    Path(connector): Path<String>,
    Query(pairs): Query,
) -> Response {
    arrive(&app, &visit, pairs, Some(connector)).await
}

/// Whatever happens, the trip is over: its cookies go with every answer.
async fn arrive(app: &App, visit: &Visit, pairs: Pairs, connector: Option<String>) -> Response {
    let state = once(&pairs, "state").unwrap_or_default().to_owned();
    let response = settle(app, visit, land(app, visit, &state, pairs, connector).await);
    let mut cookies = SetCookies::default();
    cookies.arrive(&app.cookies, &visit.cookies, &state);
    with_cookies(response, cookies)
}

async fn land(
    app: &App,
    visit: &Visit,
    state: &str,
    pairs: Pairs,
    connector: Option<String>,
) -> Result<Response, Trouble> {
    let sealed = visit.cookies.trip(&app.cookies, state).ok_or_else(|| start_again(app))?;
    let binder = visit.binder.as_ref().ok_or_else(|| start_again(app))?;
    let by = connector.as_deref();
    let arrival = app.issuer.arrive(binder, &sealed, &pairs, by, &visit.browser()).await;
    if let Some(connector) = arrival.connector {
        app.metrics.login(connector.as_str(), LoginResult::of(&arrival.end));
    }
    match arrival.end? {
        SignInEnd::SignedIn(proven) => signed_in(app, *proven, binder),
        SignInEnd::Refused(Refusal::BadCredentials) => Err(Problem::UpstreamFailed.into()),
        SignInEnd::Refused(refusal) => Err(refused(refusal)),
        SignInEnd::Wait(_) => Err(Problem::TooManyRequests.into()),
        SignInEnd::NoSuchWay | SignInEnd::StartAgain => Err(start_again(app)),
    }
}
