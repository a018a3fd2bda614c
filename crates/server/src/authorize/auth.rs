//! `/auth`: the authorization endpoint (OpenID Connect Core 3.1.2).

use axum::extract::State;
use axum::response::Response;
use countersign_core::ConnectorId;
use countersign_issuer::IssuerError;
use countersign_issuer::login::{
    AuthRequest, BrowserBinding, Params, ParsedRequest, PendingLogin, Untrusted,
};

use crate::answer::{is_answer, see_other, step_response, to_client, with_cookies};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Form, Pairs, Query};
use crate::page_error::{PageError, into_response};
use crate::pages::PageErrorKind;
use crate::request_context::RequestContext;

pub async fn get(State(app): State<App>, context: RequestContext, Query(pairs): Query) -> Response {
    into_response(&app, &context, begin(&app, &context, pairs, None).await)
}

/// The same as GET, which a browser does with its cookies: those are `Lax`, and a post from a client's
/// page brings none.
pub async fn post(
    State(app): State<App>,
    context: RequestContext,
    Query(query): Query,
    Form(body): Form,
) -> Response {
    into_response(&app, &context, as_get(&app, "/auth", &query, &body))
}

/// What the request line of the GET could carry.
const LONGEST_QUERY: usize = 24 * 1024;

/// Query and body become one list, so that what stands in both is seen to stand twice.
pub(super) fn as_get(
    app: &App,
    path: &str,
    query: &Pairs,
    body: &Pairs,
) -> Result<Response, PageError> {
    let pairs = query.iter().chain(body);
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.len() > LONGEST_QUERY {
        return Err(PageErrorKind::BadRequest.into());
    }
    see_other(&format!("{}?{query}", app.path(path)))
}

/// Reads the request and asks the dispatcher for the first step.
pub(super) async fn begin(
    app: &App,
    context: &RequestContext,
    pairs: Pairs,
    connector: Option<ConnectorId>,
) -> Result<Response, PageError> {
    let params = Params::new(pairs);
    match app.issuer.parse_request(&params, connector)? {
        ParsedRequest::Request(request) => first_step(app, context, *request).await,
        ParsedRequest::Refused(answer) => {
            let client = params.get("client_id").unwrap_or_default();
            let client = app.issuer.clients.get(&countersign_core::ClientId::new(client));
            to_client(app, client.map_or("", |client| &client.name), &answer)
        }
        ParsedRequest::Untrusted(untrusted) => Err(told(untrusted, params.get("redirect_uri"))),
    }
}

pub(crate) async fn first_step(
    app: &App,
    context: &RequestContext,
    request: AuthRequest,
) -> Result<Response, PageError> {
    let pending = PendingLogin::new(request);
    let client_name = app.issuer.client_name(&pending).to_owned();
    let known = context.binding.clone();
    let fresh = known.is_none();
    let binding = known.map_or_else(BrowserBinding::new, Ok).map_err(IssuerError::from)?;
    let step = app.issuer.next_step(pending, context.session.as_ref(), false).await?;
    let needs_binder = fresh && !is_answer(&step);
    let response = step_response(app, context, step, &client_name, &binding)?;
    let mut cookies = SetCookies::default();
    if needs_binder {
        cookies.binding(&app.cookies, &binding.to_cookie());
    }
    Ok(with_cookies(response, cookies))
}

/// An error nobody is redirected with: whose page would it be?
fn told(untrusted: Untrusted, redirect_uri: Option<&str>) -> PageError {
    match untrusted {
        Untrusted::UnknownClient => PageErrorKind::UnknownClient.into(),
        Untrusted::UnregisteredRedirect { client } => {
            tracing::warn!(client, "a redirect URI that is not registered was asked for");
            PageError::from(PageErrorKind::UnregisteredRedirectUri)
                .detail(redirect_uri.unwrap_or_default())
        }
        Untrusted::Ambiguous { parameter } => {
            PageError::from(PageErrorKind::BadRequest).detail(parameter)
        }
    }
}
