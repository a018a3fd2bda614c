//! `/continue`: back at the dispatcher, from whichever step.

use axum::extract::State;
use axum::response::Response;
use countersign_issuer::IssuerError;
use countersign_issuer::login::{BrowserBinding, SignedInBrowser};

use crate::answer::{link, opened, sealed, see_other, step_response, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Query, once};
use crate::page_error::{PageError, into_response};
use crate::request_context::RequestContext;

pub async fn get(State(app): State<App>, context: RequestContext, Query(pairs): Query) -> Response {
    into_response(&app, &context, resume(&app, &context, once(&pairs, "req")).await)
}

async fn resume(
    app: &App,
    context: &RequestContext,
    req: Option<&str>,
) -> Result<Response, PageError> {
    let (pending, binding) = opened(app, context, req)?;
    let client_name = app.issuer.client_name(&pending).to_owned();
    let step = app.issuer.next_step(pending, context.session.as_ref(), false).await?;
    step_response(app, context, step, &client_name, &binding)
}

/// Somebody has proved who they are: new session cookie, new binder, on to the dispatcher.
///
/// The explicit empty fragment keeps one that an upstream left from travelling on to the client.
pub(super) fn signed_in(
    app: &App,
    proven: SignedInBrowser,
    binding: &BrowserBinding,
) -> Result<Response, PageError> {
    let binding = binding.renewed().map_err(IssuerError::from)?;
    let req = sealed(app, &proven.pending, &binding)?;
    let mut cookies = SetCookies::default();
    cookies.binding(&app.cookies, &binding.to_cookie());
    cookies.session(&app.cookies, proven.cookie.expose(), proven.lifetime.as_secs());
    if let Some(device) = &proven.device_cookie {
        cookies.device(&app.cookies, device);
    }
    cookies.last_connector(&app.cookies, proven.connector.as_str());
    Ok(with_cookies(see_other(&format!("{}#", link(app, "/continue", &req)))?, cookies))
}
