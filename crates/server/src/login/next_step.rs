//! `/continue` and `/approval`, and rendering the step that the issuer returns as a page or a redirect.

use axum::extract::State;
use axum::response::Response;
use countersign_core::ClientId;
use countersign_core::client::OUT_OF_BAND;
use countersign_core::scopes::GROUPS;
use countersign_issuer::IssuerError;
use countersign_issuer::login::{
    Approval, ApprovalDecision, AuthorizationResponse, BrowserBinding, ConnectorChoice,
    PendingLogin, ResponseMode, Step,
};

use super::device;
use super::{
    client_info, connector_path, login_expired, login_link, open_pending_login, seal_pending_login,
    with_req_of_query,
};
use crate::app::App;
use crate::form::{Form, Query, once};
use crate::page_error::PageError;
use crate::pages::{
    self, ConnectorEntry, ConnectorKind, FormPost, OutOfBand, Page, PageErrorKind, Scope,
    SignedInUser,
};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page, see_other};

/// `GET /continue` and `GET /approval`: the next step of the pending login.
pub async fn get(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let (pending, binding) = open_pending_login(&app, &context, once(&pairs, "req"))?;
    let client_name = app.issuer.client_name(&pending);
    let step = app.issuer.next_step(pending, context.session.as_ref(), false).await?;
    step_response(&app, &context, step, &client_name, &binding)
}

/// `GET /continue`: like [`get`], but redirects to `/approval` for the approval page, where clients written for Dex
/// expect it.
pub async fn get_continue(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let (pending, binding) = open_pending_login(&app, &context, once(&pairs, "req"))?;
    let client_name = app.issuer.client_name(&pending);
    let step = app.issuer.next_step(pending, context.session.as_ref(), false).await?;
    if let Step::AskApproval { pending, .. } = &step {
        let req = seal_pending_login(&app, pending, &binding)?;
        return Ok(see_other(&login_link(&app, "/approval", &req)));
    }
    step_response(&app, &context, step, &client_name, &binding)
}

/// `POST /approval`: `approve`, `rejected`, or `switch` (sign in as another user).
pub async fn post_approval(
    State(app): State<App>,
    context: RequestContext,
    Query(query): Query,
    Form(pairs): Form,
) -> Result<Response, PageError> {
    let pairs = with_req_of_query(pairs, &query);
    Box::pin(decide(&app, &context, &pairs)).await
}

async fn decide(
    app: &App,
    context: &RequestContext,
    pairs: &[(String, String)],
) -> Result<Response, PageError> {
    if context.is_cross_site() {
        return Err(PageErrorKind::FormExpired.into());
    }
    let (pending, binding) = open_pending_login(app, context, once(pairs, "req"))?;
    let decision = once(pairs, "approval").and_then(ApprovalDecision::parse);
    let decision =
        decision.ok_or_else(|| PageError::from(PageErrorKind::BadRequest).detail("approval"))?;
    let client_name = app.issuer.client_name(&pending);
    let decided = app.issuer.decide_approval(pending, decision, context.session.as_ref());
    let step = Box::pin(decided).await?;
    step_response(app, context, step, &client_name, &binding)
}

pub(super) fn step_response(
    app: &App,
    context: &RequestContext,
    step: Step,
    client_name: &str,
    binding: &BrowserBinding,
) -> Result<Response, PageError> {
    match step {
        Step::ChooseConnector { pending, choices } => {
            choose_connector(app, context, &pending, &choices, binding)
        }
        Step::StartLogin { pending, connector } => {
            let req = seal_pending_login(app, &pending, binding)?;
            Ok(see_other(&login_link(app, &connector_path(&connector), &req)))
        }
        Step::AskApproval { pending, approval } => approve(app, &pending, *approval, binding),
        Step::Respond(response) => to_client(app, client_name, &response),
        Step::DeviceDecided { client, approved } => device::decided(app, context, client, approved),
        Step::AccountPage(page) => Ok(see_other(&app.path(page.as_str()))),
        Step::AlreadyFinished | Step::Expired => Err(login_expired(app)),
        Step::ClientRemoved => Err(PageErrorKind::UnknownClient.into()),
    }
}

/// Whether the step ends the login, so that the browser needs no binding cookie.
pub(super) fn is_final(step: &Step) -> bool {
    matches!(step, Step::Respond(_) | Step::AccountPage(_))
}

fn choose_connector(
    app: &App,
    context: &RequestContext,
    pending: &PendingLogin,
    choices: &[ConnectorChoice],
    binding: &BrowserBinding,
) -> Result<Response, PageError> {
    let req = seal_pending_login(app, pending, binding)?;
    let last = context.cookies.last_connector(&app.cookies);
    let mut entries: Vec<ConnectorEntry> = choices
        .iter()
        .map(|choice| ConnectorEntry {
            id: choice.id.to_string(),
            name: choice.name.as_str().into(),
            kind: ConnectorKind::of(choice.kind),
            href: login_link(app, &connector_path(&choice.id), &req),
            last_used: last == Some(choice.id.as_str()),
            down: app.issuer.is_down(&choice.id),
        })
        .collect();
    entries.sort_by_key(|entry| !entry.last_used);
    let view =
        pages::ChooseConnector { layout: &app.layout, app: client_info(app, pending), entries };
    Ok(page(app, 200, PagePolicy::LoginStep, view.render()))
}

fn approve(
    app: &App,
    pending: &PendingLogin,
    approval: Approval,
    binding: &BrowserBinding,
) -> Result<Response, PageError> {
    let req = seal_pending_login(app, pending, binding)?;
    let person = &approval.identity;
    let name = [&person.username, &person.preferred_username, &person.email, &person.user_id];
    let name = name.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str);
    let groups = if approval.scopes.has(GROUPS) { person.groups.as_slice() } else { &[] };
    let view = pages::Approval {
        layout: &app.layout,
        app: client_info(app, pending),
        user: SignedInUser {
            name: name.into(),
            email: (!person.email.is_empty()).then(|| person.email.as_str().into()),
            connector_name: approval.connector_name.as_str().into(),
        },
        scopes: approval.scopes.iter().map(|scope| scope_for_display(app, scope)).collect(),
        groups: groups.iter().map(|group| group.as_str().into()).collect(),
        device: approval.device.as_ref().map(|found| device::device_info(app, found)),
        req: &req,
        action: &app.path("/approval"),
    };
    Ok(page(app, 200, PagePolicy::LoginForm, view.render()))
}

/// A scope for display; another client is shown by its name instead of its id.
pub(crate) fn scope_for_display(app: &App, scope: &str) -> Scope {
    match Scope::of(scope) {
        Scope::Audience(id) => {
            let client = ClientId::new(id.as_str());
            let name = app.issuer.clients.get(&client).map(|client| client.name.as_str().into());
            Scope::Audience(name.unwrap_or(id))
        }
        other => other,
    }
}

/// Sends the authorization response in the response mode of the request.
pub(super) fn to_client(
    app: &App,
    client_name: &str,
    response: &AuthorizationResponse,
) -> Result<Response, PageError> {
    if response.redirect_uri == OUT_OF_BAND {
        let Some(code) = response.field("code") else {
            let description = response.field("error_description").unwrap_or_default();
            return Err(PageError::from(PageErrorKind::Refused).detail(description));
        };
        let view = OutOfBand { layout: &app.layout, client_name: client_name.into(), code };
        return Ok(page(app, 200, PagePolicy::Standalone, view.render()));
    }
    match response.mode {
        ResponseMode::Query | ResponseMode::Fragment => {
            let location = response.location().ok_or_else(|| {
                IssuerError::Broken("a registered redirect URI is not a URL".to_owned())
            })?;
            Ok(see_other(&location))
        }
        ResponseMode::FormPost => {
            Ok(post_form(app, client_name, &response.redirect_uri, &response.fields))
        }
    }
}

/// A page with a form that the browser posts to another site: to a client (`response_mode=form_post`), or to a SAML
/// identity provider.
pub(super) fn post_form(
    app: &App,
    to: &str,
    action: &str,
    fields: &[(&'static str, String)],
) -> Response {
    let view = FormPost {
        layout: &app.layout,
        client_name: to.into(),
        action,
        fields: fields.iter().map(|(name, value)| (*name, value.as_str())).collect(),
    };
    page(app, 200, PagePolicy::ScriptedLoginForm, view.render())
}
