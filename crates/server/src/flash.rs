//! Flash messages: the result that a page shows after a form was submitted. The redirect carries the message sealed to
//! the browser, so that reloading the page repeats nothing and no one else can create a message.

use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::form::once;
use crate::page_error::PageError;
use crate::request_context::RequestContext;
use crate::response::see_other;

/// Redirects with 303 to `page` (a path relative to the issuer, with or without a query), which reads the message with
/// [`flash`]. `about` names the kind of message. Without a browser binding the message is omitted.
pub fn redirect_with_flash(
    app: &App,
    context: &RequestContext,
    page: &str,
    about: &str,
    message: &impl Serialize,
) -> Result<Response, PageError> {
    let path = app.path(page);
    let Some(binding) = &context.binding else { return Ok(see_other(&path)) };
    let sealed = app.issuer.seal_flash(about, binding, message)?;
    let joint = if page.contains('?') { '&' } else { '?' };
    Ok(see_other(&format!("{path}{joint}flash={sealed}")))
}

/// The message of [`redirect_with_flash`], if it was sealed to this browser, for the same `about`, within the last
/// minutes.
pub fn flash<T: DeserializeOwned>(
    app: &App,
    context: &RequestContext,
    pairs: &[(String, String)],
    about: &str,
) -> Option<T> {
    app.issuer.open_flash(about, context.binding.as_ref()?, once(pairs, "flash")?)
}
