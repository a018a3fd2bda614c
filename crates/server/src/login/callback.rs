//! `/callback` and `/callback/{connector}`: the response of an upstream. GET accepts it once, in the browser that was
//! redirected there; POST verifies a SAML response, which arrives without cookies, and redirects to GET.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use countersign_core::connector::{ProxyHeaders, Refusal};
use countersign_issuer::login::{CallbackParams, PostedFormOutcome, SignInOutcome, state_id};
use url::Url;

use super::{blocked_page, login_expired, refusal_page, retry_link, seal_pending_login, signed_in};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Pairs, Query, SamlForm, once};
use crate::metrics::LoginResult;
use crate::page_error::PageError;
use crate::pages::PageErrorKind;
use crate::proxy_headers::StrippedHeaders;
use crate::request_context::RequestContext;
use crate::response::{see_other, with_cookies};

pub async fn get(State(app): State<App>, context: RequestContext, Query(pairs): Query) -> Response {
    let proxy_headers = ProxyHeaders::default();
    let params = CallbackParams { query: &pairs, by: None, proxy_headers: &proxy_headers };
    respond(&app, &context, &params).await
}

#[expect(clippy::too_many_arguments, reason = "extractors of one handler")]
pub async fn get_connector(
    State(app): State<App>,
    context: RequestContext,
    Path(connector): Path<String>,
    stripped: Option<Extension<StrippedHeaders>>,
    uri: Uri,
    Query(pairs): Query,
) -> Response {
    let stripped = stripped.filter(|_| is_canonical_path(&app, &connector, &uri));
    let proxy_headers = stripped.map(|Extension(StrippedHeaders(fields))| fields);
    let proxy_headers = proxy_headers.unwrap_or_default();
    let by = Some(connector.as_str());
    let params = CallbackParams { query: &pairs, by, proxy_headers: &proxy_headers };
    respond(&app, &context, &params).await
}

pub async fn post(
    State(app): State<App>,
    context: RequestContext,
    SamlForm(pairs): SamlForm,
) -> Result<Response, PageError> {
    verify_posted(&app, &context, &pairs, None)
}

pub async fn post_connector(
    State(app): State<App>,
    context: RequestContext,
    Path(connector): Path<String>,
    SamlForm(pairs): SamlForm,
) -> Result<Response, PageError> {
    verify_posted(&app, &context, &pairs, Some(&connector))
}

/// Redirects with 303 to `GET /callback` with the verified result. Cookies are neither read nor set, because the form
/// comes from another site.
fn verify_posted(
    app: &App,
    context: &RequestContext,
    pairs: &Pairs,
    by: Option<&str>,
) -> Result<Response, PageError> {
    let (connector, outcome) = app.issuer.verify_posted_form(pairs, by, &context.browser());
    let count = |result: LoginResult| {
        if let Some(connector) = connector {
            app.metrics.login(connector.id.as_str(), result);
        }
    };
    match outcome {
        Ok(PostedFormOutcome::Verified { query }) => {
            let query =
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            Ok(see_other(&format!("{}?{query}", app.path("/callback"))))
        }
        Ok(PostedFormOutcome::Refused(refusal)) => {
            count(LoginResult::Refused);
            Err(refusal_page(refusal))
        }
        Ok(PostedFormOutcome::RestartRequired) => Err(login_expired(app)),
        Err(error) => {
            count(LoginResult::of_error(&error));
            Err(error.into())
        }
    }
}

/// Whether the path is spelled as in our own redirects. A proxy may protect only that spelling: `/callback/%70roxy`
/// matches the same route here, but the proxy may forward the browser's own headers for it.
fn is_canonical_path(app: &App, connector: &str, uri: &Uri) -> bool {
    let canonical = app.issuer.settings.issuer.endpoint(&format!("/callback/{connector}"));
    Url::parse(&canonical).is_ok_and(|canonical| canonical.path() == uri.path())
}

/// Completes the login at the upstream. Its cookies are removed with every response, whatever the outcome.
async fn respond(app: &App, context: &RequestContext, params: &CallbackParams<'_>) -> Response {
    let state = state_id(once(params.query, "state").unwrap_or_default()).to_owned();
    let response = finish(app, context, &state, params).await.into_response();
    let mut cookies = SetCookies::default();
    cookies.remove_upstream_login(&app.cookies, &context.cookies, &state);
    with_cookies(response, cookies)
}

async fn finish(
    app: &App,
    context: &RequestContext,
    state: &str,
    params: &CallbackParams<'_>,
) -> Result<Response, PageError> {
    let cookies = &context.cookies;
    let kept = cookies.upstream_login(&app.cookies, state).ok_or_else(|| login_expired(app))?;
    let binding = context.binding.as_ref().ok_or_else(|| login_expired(app))?;
    let outcome =
        app.issuer.finish_upstream_login(binding, &kept, params, &context.browser()).await;
    if let Some(connector) = &outcome.connector {
        app.metrics.login(connector.as_str(), LoginResult::of(&outcome.result));
    }
    let result = match outcome.result {
        Ok(SignInOutcome::SignedIn(proven)) => signed_in(app, *proven, binding),
        Ok(SignInOutcome::Refused(Refusal::BadCredentials)) => {
            Err(PageErrorKind::UpstreamFailed.into())
        }
        Ok(SignInOutcome::Refused(refusal)) => Err(refusal_page(refusal)),
        Ok(SignInOutcome::Blocked { until }) => Err(blocked_page(app, until)),
        Ok(SignInOutcome::RateLimited(_)) => Err(PageErrorKind::TooManyRequests.into()),
        Ok(SignInOutcome::MethodUnavailable | SignInOutcome::RestartRequired) => {
            Err(login_expired(app))
        }
        Err(error) => Err(error.into()),
    };
    result.map_err(|page_error| {
        let pending = outcome.pending.as_ref();
        let req = pending.and_then(|pending| seal_pending_login(app, pending, binding).ok());
        match (pending, req) {
            (Some(pending), Some(req)) => page_error.or_link(retry_link(app, pending, &req)),
            _ => page_error,
        }
    })
}
