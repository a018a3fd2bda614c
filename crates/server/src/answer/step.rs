//! The next step as a page or a redirect.

use axum::response::Response;
use countersign_core::ConnectorId;
use countersign_issuer::authorize::{Approval, Binder, Choice, Envelope, Step};

use super::{link, page, sealed, see_other, start_again, to_client};
use crate::app::App;
use crate::csp::FormsEnd;
use crate::pages::{self, ConnectorKind, Entry, Page, Problem, Scope, User};
use crate::trouble::Trouble;
use crate::visit::Visit;

pub fn next_step(
    app: &App,
    visit: &Visit,
    step: Step,
    client_name: &str,
    binder: &Binder,
) -> Result<Response, Trouble> {
    match step {
        Step::Choose { envelope, choices } => choose(app, visit, &envelope, &choices, binder),
        Step::SignIn { envelope, connector } => {
            let req = sealed(app, &envelope, binder)?;
            see_other(&link(app, &connector_path(&connector), &req))
        }
        Step::Approve { envelope, approval } => approve(app, &envelope, *approval, binder),
        Step::Answer(answer) => to_client(app, client_name, &answer),
        Step::OwnPage(page) => see_other(&app.path(page.as_str())),
        Step::Finished | Step::Expired => Err(start_again(app)),
        Step::Gone => Err(Problem::UnknownApp.into()),
    }
}

pub(super) fn connector_path(connector: &ConnectorId) -> String {
    format!("/auth/{connector}")
}

/// Who asks, for the head of a page.
pub fn app_of(app: &App, envelope: &Envelope) -> pages::App {
    if envelope.request.own_page.is_some() {
        return pages::App { name: app.layout.issuer_name.clone(), host: None, logo: None };
    }
    let client = app.issuer.clients.behind(&envelope.request);
    let name = client.map_or("", |client| client.name.as_str());
    let logo = client.and_then(|client| client.logo_url.clone());
    pages::App {
        name: name.into(),
        host: countersign_core::Client::host_of(&envelope.request.redirect_uri)
            .map(|host| host.as_str().into()),
        logo: logo.filter(|_| app.settings.allow_remote_logos),
    }
}

fn choose(
    app: &App,
    visit: &Visit,
    envelope: &Envelope,
    choices: &[Choice],
    binder: &Binder,
) -> Result<Response, Trouble> {
    let req = sealed(app, envelope, binder)?;
    let last = visit.cookies.last_connector(&app.cookies);
    let mut entries: Vec<Entry> = choices
        .iter()
        .map(|choice| Entry {
            id: choice.id.to_string(),
            name: choice.name.as_str().into(),
            kind: ConnectorKind::of(choice.kind),
            href: link(app, &connector_path(&choice.id), &req),
            last_used: last == Some(choice.id.as_str()),
            down: app.issuer.is_down(&choice.id),
        })
        .collect();
    entries.sort_by_key(|entry| !entry.last_used);
    let shown = pages::ChooseConnector { layout: &app.layout, app: app_of(app, envelope), entries };
    Ok(page(app, 200, FormsEnd::AtHome, shown.render()))
}

fn approve(
    app: &App,
    envelope: &Envelope,
    approval: Approval,
    binder: &Binder,
) -> Result<Response, Trouble> {
    let req = sealed(app, envelope, binder)?;
    let person = &approval.identity;
    let name = [&person.username, &person.preferred_username, &person.email, &person.user_id];
    let name = name.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str);
    let told = approval.scopes.has(countersign_core::scopes::GROUPS);
    let groups = if told { person.groups.as_slice() } else { &[] };
    let shown = pages::Approval {
        layout: &app.layout,
        app: app_of(app, envelope),
        user: User {
            name: name.into(),
            email: (!person.email.is_empty()).then(|| person.email.as_str().into()),
            connector_name: approval.connector_name.as_str().into(),
        },
        scopes: approval.scopes.iter().map(|scope| spoken(app, scope)).collect(),
        groups: groups.iter().map(|group| group.as_str().into()).collect(),
        req: &req,
        action: &app.path("/approval"),
    };
    Ok(page(app, 200, FormsEnd::AtClients, shown.render()))
}

/// A scope as the page says it; another application by its name, not its id.
pub fn spoken(app: &App, scope: &str) -> Scope {
    match Scope::of(scope) {
        Scope::Audience(id) => {
            let client = countersign_core::ClientId::new(id.as_str());
            let name = app.issuer.clients.get(&client).map(|client| client.name.as_str().into());
            Scope::Audience(name.unwrap_or(id))
        }
        other => other,
    }
}
