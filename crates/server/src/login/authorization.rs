//! `/auth` and `/auth/{connector}`: the authorization endpoint (OpenID Connect Core 3.1.2). The path with a connector
//! selects it for a new request (`client_id`) or a pending login (`req`).

use axum::extract::{Path, State};
use axum::response::Response;
use countersign_core::connector::LoginMethod;
use countersign_core::{ClientId, ConnectorId};
use countersign_issuer::IssuerError;
use countersign_issuer::login::{
    AuthRequest, BrowserBinding, Params, ParsedRequest, PendingLogin, Untrusted,
};

use super::next_step::{is_final, post_form, step_response, to_client};
use super::{connector_path, login_expired, login_link, open_pending_login, retry_link};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Form, Pairs, Query, once};
use crate::page_error::PageError;
use crate::pages::PageErrorKind;
use crate::request_context::RequestContext;
use crate::response::{see_other, with_cookies};

/// Longest query that [`redirect_to_get`] puts into a URL.
const MAX_QUERY_BYTES: usize = 24 * 1024;

pub async fn get(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    Box::pin(begin(&app, &context, pairs, None)).await
}

pub async fn post(
    State(app): State<App>,
    Query(query): Query,
    Form(body): Form,
) -> Result<Response, PageError> {
    redirect_to_get(&app, "/auth", &query, &body)
}

pub async fn get_connector(
    State(app): State<App>,
    context: RequestContext,
    Path(connector): Path<String>,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let connector = ConnectorId::new(connector);
    // An authorization request has `client_id`; a pending login has only `req`.
    let is_new = pairs.iter().any(|(name, _)| name == "client_id");
    match is_new {
        true => Box::pin(begin(&app, &context, pairs, Some(connector))).await,
        false => sign_in_at(&app, &context, connector, once(&pairs, "req")).await,
    }
}

pub async fn post_connector(
    State(app): State<App>,
    Path(connector): Path<String>,
    Query(query): Query,
    Form(body): Form,
) -> Result<Response, PageError> {
    // Only the id of a configured connector is put into `Location`.
    match app.issuer.connectors.get(&ConnectorId::new(connector)) {
        Some(known) => redirect_to_get(&app, &connector_path(&known.id), &query, &body),
        None => Err(PageError::from(PageErrorKind::BadRequest).detail("connector")),
    }
}

/// Redirects with 303 to the same request as GET: our cookies are `SameSite=Lax`, so a cross-site POST carries none.
///
/// Query and body are combined, so that a parameter in both counts as repeated.
fn redirect_to_get(
    app: &App,
    path: &str,
    query: &Pairs,
    body: &Pairs,
) -> Result<Response, PageError> {
    let pairs = query.iter().chain(body);
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.len() > MAX_QUERY_BYTES {
        return Err(PageErrorKind::BadRequest.into());
    }
    Ok(see_other(&format!("{}?{query}", app.path(path))))
}

async fn begin(
    app: &App,
    context: &RequestContext,
    pairs: Pairs,
    connector: Option<ConnectorId>,
) -> Result<Response, PageError> {
    let params = Params::new(pairs);
    match app.issuer.parse_request(&params, connector)? {
        ParsedRequest::Request(request) => Box::pin(first_step(app, context, *request)).await,
        ParsedRequest::Refused(response) => {
            let client = ClientId::new(params.get("client_id").unwrap_or_default());
            let client = app.issuer.clients.get(&client);
            to_client(app, client.as_ref().map_or("", |client| &client.name), &response)
        }
        ParsedRequest::Untrusted(untrusted) => Err(error_page(untrusted, &params)),
    }
}

/// The first step of a new login. Sets the browser binding cookie unless the login is already complete: a `prompt=none`
/// request sets no cookie.
pub(crate) async fn first_step(
    app: &App,
    context: &RequestContext,
    request: AuthRequest,
) -> Result<Response, PageError> {
    let pending = PendingLogin::new(request);
    let client_name = app.issuer.client_name(&pending);
    let known = context.binding.clone();
    let is_new = known.is_none();
    let binding = known.map_or_else(BrowserBinding::new, Ok).map_err(IssuerError::from)?;
    let step = app.issuer.next_step(pending, context.session.as_ref(), false).await?;
    let sets_binding = is_new && !is_final(&step);
    let response = step_response(app, context, step, &client_name, &binding)?;
    let mut cookies = SetCookies::default();
    if sets_binding {
        cookies.binding(&app.cookies, &binding.to_cookie());
    }
    Ok(with_cookies(response, cookies))
}

/// The page for an error before client and redirect URI are validated; never a redirect (RFC 6749 section 4.1.2.1). Its
/// details name the parameters, for the operator of the client.
fn error_page(untrusted: Untrusted, params: &Params) -> PageError {
    let named = |name: &str| {
        let value = params.get(name).filter(|_| !params.is_repeated(name));
        value.map(|value| format!("{name}: {value}"))
    };
    match untrusted {
        Untrusted::UnknownClient => {
            let page = PageError::from(PageErrorKind::UnknownClient);
            match named("client_id") {
                Some(client) => page.detail(client),
                None => page.detail("client_id is missing"),
            }
        }
        Untrusted::UnregisteredRedirect { client } => {
            tracing::warn!(client, "refused an unregistered redirect URI");
            let page = PageError::from(PageErrorKind::UnregisteredRedirectUri);
            let page = page.detail(named("client_id").unwrap_or_default());
            page.detail(named("redirect_uri").unwrap_or_default())
        }
        Untrusted::Ambiguous { parameter } => {
            let page = PageError::from(PageErrorKind::BadRequest);
            let problem = match params.is_repeated(parameter) {
                true => format!("{parameter} is repeated"),
                false => format!("{parameter} is missing"),
            };
            match named("client_id") {
                Some(client) => page.detail(client).detail(problem),
                None => page.detail(problem),
            }
        }
    }
}

/// Continues at the connector: the password form, or the redirect to the upstream.
async fn sign_in_at(
    app: &App,
    context: &RequestContext,
    connector: ConnectorId,
    req: Option<&str>,
) -> Result<Response, PageError> {
    let (pending, binding) = open_pending_login(app, context, req)?;
    let req = req.unwrap_or_default();
    let found = app.issuer.connector_for(&pending, &connector);
    match found.as_ref().map(|connector| &connector.login_method) {
        Some(LoginMethod::Password(_)) => {
            Ok(see_other(&login_link(app, &format!("{}/login", connector_path(&connector)), req)))
        }
        Some(
            LoginMethod::Redirect(_) | LoginMethod::PostedForm(_) | LoginMethod::TrustedHeader(_),
        ) => {
            let session = context.session.as_ref();
            let redirect = app
                .issuer
                .begin_upstream_login(&pending, &connector, &binding, session)
                .await
                .map_err(|e| PageError::from(e).or_link(retry_link(app, &pending, req)))?
                .ok_or_else(|| login_expired(app))?;
            let mut cookies = SetCookies::default();
            let (state, kept) = (&redirect.state, &redirect.kept);
            cookies.keep_upstream_login(&app.cookies, &context.cookies, state, kept);
            let name = found.as_ref().map_or("", |connector| connector.name.as_str());
            let response = match redirect.form.is_empty() {
                true => see_other(redirect.url.as_str()),
                false => post_form(app, name, redirect.url.as_str(), &redirect.form),
            };
            Ok(with_cookies(response, cookies))
        }
        None => Err(login_expired(app)),
    }
}
