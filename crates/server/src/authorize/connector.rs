//! `/auth/{connector}`: the way in by one upstream, for a login in flight (`req`) or a new request.

use axum::extract::{Path, State};
use axum::response::Response;
use countersign_core::ConnectorId;
use countersign_core::connector::WayIn;

use super::auth::{as_get, begin};
use crate::answer::{another_way, link, opened, see_other, start_again, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Form, Pairs, Query, once};
use crate::pages::Problem;
use crate::trouble::{Trouble, settle};
use crate::visit::Visit;

pub async fn get(
    State(app): State<App>,
    visit: Visit,
    Path(connector): Path<String>,
    Query(pairs): Query,
) -> Response {
    let connector = ConnectorId::new(connector);
    settle(&app, &visit, enter(&app, &visit, connector, pairs).await)
}

pub async fn post(
    State(app): State<App>,
    visit: Visit,
    Path(connector): Path<String>,
    Query(query): Query,
    Form(body): Form,
) -> Response {
    // Only the configured spelling becomes part of a Location.
    let answer = match app.issuer.connectors.get(&ConnectorId::new(connector)) {
        Some(known) => as_get(&app, &format!("/auth/{}", known.id), &query, &body),
        None => Err(Trouble::from(Problem::BadRequest).detail("connector")),
    };
    settle(&app, &visit, answer)
}

async fn enter(
    app: &App,
    visit: &Visit,
    connector: ConnectorId,
    pairs: Pairs,
) -> Result<Response, Trouble> {
    // A request by a client names itself; a login in flight brings its envelope and nothing else.
    if pairs.iter().any(|(name, _)| name == "client_id") {
        return begin(app, visit, pairs, Some(connector)).await;
    }
    let req = once(&pairs, "req");
    let (envelope, binder) = opened(app, visit, req)?;
    let found = app.issuer.connector_for(&envelope, &connector);
    match found.map(|connector| &connector.way) {
        Some(WayIn::Password(_)) => {
            let path = format!("/auth/{connector}/login");
            see_other(&link(app, &path, req.unwrap_or_default()))
        }
        Some(WayIn::Redirect(_) | WayIn::TrustedHeader(_)) => {
            let cookie = visit.session.as_ref();
            let travel = app.issuer.depart(&envelope, &connector, &binder, cookie).await;
            let travel = travel.map_err(|failure| {
                let way = another_way(app, &envelope, req.unwrap_or_default());
                Trouble::from(failure).or_way(way)
            })?;
            let travel = travel.ok_or_else(|| start_again(app))?;
            let mut cookies = SetCookies::default();
            cookies.depart(&app.cookies, &visit.cookies, &travel.state, &travel.sealed);
            Ok(with_cookies(see_other(travel.url.as_str())?, cookies))
        }
        None => Err(start_again(app)),
    }
}
