//! `/auth/{connector}`: the way in by one upstream, for a login in flight (`req`) or a new request.

use axum::extract::{Path, State};
use axum::response::Response;
use countersign_core::ConnectorId;
use countersign_core::connector::LoginMethod;

use super::auth::{as_get, begin};
use crate::answer::{another_way, link, opened, see_other, start_again, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Form, Pairs, Query, once};
use crate::page_error::{PageError, into_response};
use crate::pages::PageErrorKind;
use crate::request_context::RequestContext;

pub async fn get(
    State(app): State<App>,
    context: RequestContext,
    Path(connector): Path<String>,
    Query(pairs): Query,
) -> Response {
    let connector = ConnectorId::new(connector);
    into_response(&app, &context, enter(&app, &context, connector, pairs).await)
}

pub async fn post(
    State(app): State<App>,
    context: RequestContext,
    Path(connector): Path<String>,
    Query(query): Query,
    Form(body): Form,
) -> Response {
    // Only the configured spelling becomes part of a Location.
    let answer = match app.issuer.connectors.get(&ConnectorId::new(connector)) {
        Some(known) => as_get(&app, &format!("/auth/{}", known.id), &query, &body),
        None => Err(PageError::from(PageErrorKind::BadRequest).detail("connector")),
    };
    into_response(&app, &context, answer)
}

async fn enter(
    app: &App,
    context: &RequestContext,
    connector: ConnectorId,
    pairs: Pairs,
) -> Result<Response, PageError> {
    // A request by a client names itself; a login in flight brings its envelope and nothing else.
    if pairs.iter().any(|(name, _)| name == "client_id") {
        return begin(app, context, pairs, Some(connector)).await;
    }
    let req = once(&pairs, "req");
    let (pending, binding) = opened(app, context, req)?;
    let found = app.issuer.connector_for(&pending, &connector);
    match found.map(|connector| &connector.login_method) {
        Some(LoginMethod::Password(_)) => {
            let path = format!("/auth/{connector}/login");
            see_other(&link(app, &path, req.unwrap_or_default()))
        }
        Some(LoginMethod::Redirect(_) | LoginMethod::TrustedHeader(_)) => {
            let cookie = context.session.as_ref();
            let redirect =
                app.issuer.begin_upstream_login(&pending, &connector, &binding, cookie).await;
            let redirect = redirect.map_err(|failure| {
                let link = another_way(app, &pending, req.unwrap_or_default());
                PageError::from(failure).or_link(link)
            })?;
            let redirect = redirect.ok_or_else(|| start_again(app))?;
            let mut cookies = SetCookies::default();
            cookies.depart(&app.cookies, &context.cookies, &redirect.state, &redirect.sealed);
            Ok(with_cookies(see_other(redirect.url.as_str())?, cookies))
        }
        None => Err(start_again(app)),
    }
}
