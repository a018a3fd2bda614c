//! `/callback`: back from an upstream. Only the browser that left arrives, and only once.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use countersign_core::connector::{ProxyHeaders, Refusal};
use countersign_issuer::IssuerError;
use countersign_issuer::login::{BrowserBinding, CallbackParams, SignInOutcome};
use url::Url;

use super::login::refused;
use super::resume::signed_in;
use crate::answer::{another_way, sealed, start_again, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Query, once};
use crate::metrics::LoginResult;
use crate::page_error::{PageError, into_response};
use crate::pages::PageErrorKind;
use crate::request_context::RequestContext;
use crate::trusted_headers::TakenOff;

pub async fn get(State(app): State<App>, context: RequestContext, Query(pairs): Query) -> Response {
    let proxy_headers = ProxyHeaders::default();
    let params = CallbackParams { query: &pairs, by: None, proxy_headers: &proxy_headers };
    arrive(&app, &context, &params).await
}

pub async fn get_for(
    State(app): State<App>,
    context: RequestContext,
    Path(connector): Path<String>,
    taken_off: Option<Extension<TakenOff>>,
    uri: Uri,
    Query(pairs): Query,
) -> Response {
    let taken_off = taken_off.filter(|_| is_spelled_as_ours(&app, &connector, &uri));
    let proxy_headers =
        taken_off.map(|Extension(TakenOff(proxy_headers))| proxy_headers).unwrap_or_default();
    let by = Some(connector.as_str());
    let params = CallbackParams { query: &pairs, by, proxy_headers: &proxy_headers };
    arrive(&app, &context, &params).await
}

/// A proxy guards the path that we send browsers to. `/callback/%70roxy` is the same to our router, but perhaps
/// not to the proxy, which then passes on what the browser wrote.
fn is_spelled_as_ours(app: &App, connector: &str, uri: &Uri) -> bool {
    let ours = app.issuer.settings.issuer.endpoint(&format!("/callback/{connector}"));
    Url::parse(&ours).is_ok_and(|ours| ours.path() == uri.path())
}

/// Whatever happens, the trip is over: its cookies go with every answer.
async fn arrive(app: &App, context: &RequestContext, params: &CallbackParams<'_>) -> Response {
    let state = once(params.query, "state").unwrap_or_default().to_owned();
    let response = into_response(app, context, land(app, context, &state, params).await);
    let mut cookies = SetCookies::default();
    cookies.arrive(&app.cookies, &context.cookies, &state);
    with_cookies(response, cookies)
}

async fn land(
    app: &App,
    context: &RequestContext,
    state: &str,
    params: &CallbackParams<'_>,
) -> Result<Response, PageError> {
    let kept = context.cookies.trip(&app.cookies, state).ok_or_else(|| start_again(app))?;
    let binding = context.binding.as_ref().ok_or_else(|| start_again(app))?;
    let outcome =
        app.issuer.finish_upstream_login(binding, &kept, params, &context.browser()).await;
    if let Some(connector) = &outcome.connector {
        app.metrics.login(connector.as_str(), LoginResult::of(&outcome.result));
    }
    let link = |page_error: PageError| match &outcome.pending {
        Some(pending) => match sealed(app, pending, binding) {
            Ok(req) => page_error.or_link(another_way(app, pending, &req)),
            Err(_) => page_error,
        },
        None => page_error,
    };
    ended(app, outcome.result, binding).map_err(link)
}

fn ended(
    app: &App,
    end: Result<SignInOutcome, IssuerError>,
    binding: &BrowserBinding,
) -> Result<Response, PageError> {
    match end? {
        SignInOutcome::SignedIn(proven) => signed_in(app, *proven, binding),
        SignInOutcome::Refused(Refusal::BadCredentials) => {
            Err(PageErrorKind::UpstreamFailed.into())
        }
        SignInOutcome::Refused(refusal) => Err(refused(refusal)),
        SignInOutcome::RateLimited(_) => Err(PageErrorKind::TooManyRequests.into()),
        SignInOutcome::MethodUnavailable | SignInOutcome::RestartRequired => Err(start_again(app)),
    }
}
