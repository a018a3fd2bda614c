//! `/callback`: back from an upstream. Only the browser that left arrives, and only once.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use countersign_core::connector::{Presented, Refusal};
use countersign_issuer::Failure;
use countersign_issuer::authorize::{Binder, Brought, SignInEnd};
use url::Url;

use super::login::refused;
use super::resume::signed_in;
use crate::answer::{another_way, sealed, start_again, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Query, once};
use crate::metrics::LoginResult;
use crate::pages::Problem;
use crate::trouble::{Trouble, settle};
use crate::trusted_headers::TakenOff;
use crate::visit::Visit;

pub async fn get(State(app): State<App>, visit: Visit, Query(pairs): Query) -> Response {
    let presented = Presented::default();
    let brought = Brought { query: &pairs, by: None, presented: &presented };
    arrive(&app, &visit, &brought).await
}

pub async fn get_for(
    State(app): State<App>,
    visit: Visit,
    Path(connector): Path<String>,
    taken_off: Option<Extension<TakenOff>>,
    uri: Uri,
    Query(pairs): Query,
) -> Response {
    let taken_off = taken_off.filter(|_| is_spelled_as_ours(&app, &connector, &uri));
    let presented = taken_off.map(|Extension(TakenOff(presented))| presented).unwrap_or_default();
    let by = Some(connector.as_str());
    let brought = Brought { query: &pairs, by, presented: &presented };
    arrive(&app, &visit, &brought).await
}

/// A proxy guards the path that we send browsers to. `/callback/%70roxy` is the same to our router, but perhaps
/// not to the proxy, which then passes on what the browser wrote.
fn is_spelled_as_ours(app: &App, connector: &str, uri: &Uri) -> bool {
    let ours = app.issuer.settings.issuer.endpoint(&format!("/callback/{connector}"));
    Url::parse(&ours).is_ok_and(|ours| ours.path() == uri.path())
}

/// Whatever happens, the trip is over: its cookies go with every answer.
async fn arrive(app: &App, visit: &Visit, brought: &Brought<'_>) -> Response {
    let state = once(brought.query, "state").unwrap_or_default().to_owned();
    let response = settle(app, visit, land(app, visit, &state, brought).await);
    let mut cookies = SetCookies::default();
    cookies.arrive(&app.cookies, &visit.cookies, &state);
    with_cookies(response, cookies)
}

async fn land(
    app: &App,
    visit: &Visit,
    state: &str,
    brought: &Brought<'_>,
) -> Result<Response, Trouble> {
    let kept = visit.cookies.trip(&app.cookies, state).ok_or_else(|| start_again(app))?;
    let binder = visit.binder.as_ref().ok_or_else(|| start_again(app))?;
    let arrival = app.issuer.arrive(binder, &kept, brought, &visit.browser()).await;
    if let Some(connector) = &arrival.connector {
        app.metrics.login(connector.as_str(), LoginResult::of(&arrival.end));
    }
    let way = |trouble: Trouble| match &arrival.envelope {
        Some(envelope) => match sealed(app, envelope, binder) {
            Ok(req) => trouble.or_way(another_way(app, envelope, &req)),
            Err(_) => trouble,
        },
        None => trouble,
    };
    ended(app, arrival.end, binder).map_err(way)
}

fn ended(app: &App, end: Result<SignInEnd, Failure>, binder: &Binder) -> Result<Response, Trouble> {
    match end? {
        SignInEnd::SignedIn(proven) => signed_in(app, *proven, binder),
        SignInEnd::Refused(Refusal::BadCredentials) => Err(Problem::UpstreamFailed.into()),
        SignInEnd::Refused(refusal) => Err(refused(refusal)),
        SignInEnd::Wait(_) => Err(Problem::TooManyRequests.into()),
        SignInEnd::NoSuchWay | SignInEnd::StartAgain => Err(start_again(app)),
    }
}
