//! The next step as a page or a redirect.

use axum::response::Response;
use countersign_core::ConnectorId;
use countersign_issuer::login::{Approval, BrowserBinding, ConnectorChoice, PendingLogin, Step};

use super::{link, page, sealed, see_other, start_again, to_client};
use crate::app::App;
use crate::csp::FormsEnd;
use crate::page_error::PageError;
use crate::pages::{self, ConnectorEntry, ConnectorKind, Page, PageErrorKind, Scope, SignedInUser};
use crate::request_context::RequestContext;

pub fn step_response(
    app: &App,
    context: &RequestContext,
    step: Step,
    client_name: &str,
    binding: &BrowserBinding,
) -> Result<Response, PageError> {
    match step {
        Step::ChooseConnector { pending, choices } => {
            choose(app, context, &pending, &choices, binding)
        }
        Step::StartLogin { pending, connector } => {
            let req = sealed(app, &pending, binding)?;
            see_other(&link(app, &connector_path(&connector), &req))
        }
        Step::AskApproval { pending, approval } => approve(app, &pending, *approval, binding),
        Step::Respond(answer) => to_client(app, client_name, &answer),
        Step::AccountPage(page) => see_other(&app.path(page.as_str())),
        Step::AlreadyFinished | Step::Expired => Err(start_again(app)),
        Step::ClientGone => Err(PageErrorKind::UnknownClient.into()),
    }
}

pub(super) fn connector_path(connector: &ConnectorId) -> String {
    format!("/auth/{connector}")
}

/// Who asks, for the head of a page.
pub fn app_of(app: &App, pending: &PendingLogin) -> pages::ClientInfo {
    if pending.request.account_page.is_some() {
        return pages::ClientInfo { name: app.layout.issuer_name.clone(), host: None, logo: None };
    }
    let client = app.issuer.clients.behind(&pending.request);
    let name = client.map_or("", |client| client.name.as_str());
    let logo = client.and_then(|client| client.logo_url.clone());
    pages::ClientInfo {
        name: name.into(),
        host: countersign_core::Client::host_of(&pending.request.redirect_uri)
            .map(|host| host.as_str().into()),
        logo: logo.filter(|_| app.settings.allow_remote_logos),
    }
}

fn choose(
    app: &App,
    context: &RequestContext,
    pending: &PendingLogin,
    choices: &[ConnectorChoice],
    binding: &BrowserBinding,
) -> Result<Response, PageError> {
    let req = sealed(app, pending, binding)?;
    let last = context.cookies.last_connector(&app.cookies);
    let mut entries: Vec<ConnectorEntry> = choices
        .iter()
        .map(|choice| ConnectorEntry {
            id: choice.id.to_string(),
            name: choice.name.as_str().into(),
            kind: ConnectorKind::of(choice.kind),
            href: link(app, &connector_path(&choice.id), &req),
            last_used: last == Some(choice.id.as_str()),
            down: app.issuer.is_down(&choice.id),
        })
        .collect();
    entries.sort_by_key(|entry| !entry.last_used);
    let shown = pages::ChooseConnector { layout: &app.layout, app: app_of(app, pending), entries };
    Ok(page(app, 200, FormsEnd::AtHome, shown.render()))
}

fn approve(
    app: &App,
    pending: &PendingLogin,
    approval: Approval,
    binding: &BrowserBinding,
) -> Result<Response, PageError> {
    let req = sealed(app, pending, binding)?;
    let person = &approval.identity;
    let name = [&person.username, &person.preferred_username, &person.email, &person.user_id];
    let name = name.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str);
    let told = approval.scopes.has(countersign_core::scopes::GROUPS);
    let groups = if told { person.groups.as_slice() } else { &[] };
    let shown = pages::Approval {
        layout: &app.layout,
        app: app_of(app, pending),
        user: SignedInUser {
            name: name.into(),
            email: (!person.email.is_empty()).then(|| person.email.as_str().into()),
            connector_name: approval.connector_name.as_str().into(),
        },
        scopes: approval.scopes.iter().map(|scope| scope_for_display(app, scope)).collect(),
        groups: groups.iter().map(|group| group.as_str().into()).collect(),
        req: &req,
        action: &app.path("/approval"),
    };
    Ok(page(app, 200, FormsEnd::AtClients, shown.render()))
}

/// A scope as the page says it; another application by its name, not its id.
pub fn scope_for_display(app: &App, scope: &str) -> Scope {
    match Scope::of(scope) {
        Scope::Audience(id) => {
            let client = countersign_core::ClientId::new(id.as_str());
            let name = app.issuer.clients.get(&client).map(|client| client.name.as_str().into());
            Scope::Audience(name.unwrap_or(id))
        }
        other => other,
    }
}
