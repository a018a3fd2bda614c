//! `/consents`: the user's stored consents by client, and the form that withdraws one.

use axum::extract::State;
use axum::response::Response;
use countersign_core::ClientId;

use super::sessions::{consent_withdrawn, end_flash};
use super::{check_form, display_time, live_session, sign_in_first};
use crate::app::App;
use crate::form::{Form, Pairs, Query, once};
use crate::login::next_step::scope_for_display;
use crate::page_error::{PageError, into_response};
use crate::pages::{self, ConsentLine, Page, PageErrorKind};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page};

const PATH: &str = "/consents";

pub async fn get(State(app): State<App>, context: RequestContext, Query(pairs): Query) -> Response {
    into_response(&app, &context, show(&app, &context, &pairs).await)
}

async fn show(app: &App, context: &RequestContext, pairs: &Pairs) -> Result<Response, PageError> {
    let Some(mine) = live_session(app, context).await? else {
        return Ok(sign_in_first(app, PATH, false));
    };
    let consents = app.issuer.account_consents(&mine).await?;
    let lines = consents.iter().map(|consent| {
        let client = app.issuer.clients.get(&consent.client);
        ConsentLine {
            client_id: consent.client.to_string(),
            app: client.as_ref().map_or(consent.client.as_str(), |client| &client.name).into(),
            scopes: consent.scopes.iter().map(|scope| scope_for_display(app, scope)).collect(),
            granted: display_time(app, consent.granted_at),
        }
    });
    let shown = pages::Consents {
        layout: &app.layout,
        flash: end_flash(app, context, pairs),
        consents: lines.collect(),
        action: &app.path(PATH),
        csrf: &app.issuer.form_token(context.session.as_ref()),
    };
    Ok(page(app, 200, PagePolicy::Standalone, shown.render()))
}

pub async fn post(State(app): State<App>, context: RequestContext, Form(pairs): Form) -> Response {
    into_response(&app, &context, withdraw(&app, &context, &pairs).await)
}

async fn withdraw(
    app: &App,
    context: &RequestContext,
    pairs: &Pairs,
) -> Result<Response, PageError> {
    check_form(app, context, pairs)?;
    let Some(mine) = live_session(app, context).await? else {
        return Ok(sign_in_first(app, PATH, false));
    };
    let client = once(pairs, "client").map(ClientId::new);
    let client =
        client.ok_or_else(|| PageError::from(PageErrorKind::BadRequest).detail("client"))?;
    let ended = app.issuer.withdraw_account_consent(&mine, &client).await?;
    let ended = ended.ok_or(PageErrorKind::NotFound)?;
    let known = app.issuer.clients.get(&client);
    let name = known.as_ref().map_or(client.as_str(), |client| &client.name);
    consent_withdrawn(app, context, PATH, name, ended.tokens_until)
}
