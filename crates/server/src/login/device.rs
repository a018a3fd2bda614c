//! The device authorization grant over HTTP (RFC 8628): the endpoint for devices, and the pages on which a user enters
//! a user code and confirms the device.
//!
//! | URL | what happens |
//! |---|---|
//! | `POST /device/code` | device authorization request and response (JSON); the client authenticates as at `/token` |
//! | `GET /device` | the form for the user code; `user_code` in the query fills it in and looks nothing up |
//! | `POST /device`, `/device/auth/verify_code` (Dex) | the code is looked up; the page names the client and the device and demands a confirmation |
//! | `/continue`, … | the login, as for any client; approval is always required |
//! | `GET /device/callback`, in both spellings of Dex | the page at the end: return to the device |
//!
//! `POST /device/token` (Dex) is `/token` under another name.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_core::{ClientId, Scopes, UserCode};
use countersign_issuer::IssuerError;
use countersign_issuer::device_authorization::{
    DeviceAuthorizationParams, DeviceOrigin, UserCodeOutcome,
};
use countersign_issuer::login::{BrowserBinding, DeviceLogin, PendingLogin};
use serde::{Deserialize, Serialize};

use super::{client_info, login_link, seal_pending_login};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::form::{Form, Query, flash, once, redirect_with_flash};
use crate::page_error::PageError;
use crate::pages::{
    Device, DeviceConfirm, DeviceDone, DeviceForm, DeviceInfo, DisplayTime, Page, PageErrorKind,
    UserCodeError,
};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, json, page, with_cookies};
use crate::token;

const USER_CODE: &str = "user_code";
/// Longest user code that the form shows again.
const MAX_SHOWN_CODE: usize = 20;
const DECIDED: &str = "device decided";

/// `POST /device/code` (section 3.1).
pub async fn code(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let result = async {
        let pairs = token::parameters(&parts, body).await?;
        let client = token::authenticate(&app, &parts, &pairs)?;
        let text = |name| token::parameter(&pairs, name);
        let params = DeviceAuthorizationParams {
            scope: text("scope").map(Scopes::parse),
            code_challenge: text("code_challenge").map(str::to_owned),
            code_challenge_method: text("code_challenge_method").map(str::to_owned),
        };
        let caller = token::caller(&parts);
        let origin = DeviceOrigin { address: caller.address, user_agent: caller.user_agent };
        let authorization = app.issuer.begin_device_authorization(&client, params, origin).await?;
        Ok(json(StatusCode::OK, &authorization))
    };
    result.await.unwrap_or_else(|error| token::error_response(&app, &parts, error))
}

/// `GET /device`: does not look the user code up, so that a link does not reveal whether its code is valid.
pub async fn get(State(app): State<App>, context: RequestContext, Query(pairs): Query) -> Response {
    let typed = once(&pairs, USER_CODE).unwrap_or_default();
    show_form(&app, &context, typed, None)
}

/// `POST /device`: looks up the user code and shows the page that requires a confirmation.
pub async fn post(
    State(app): State<App>,
    context: RequestContext,
    Form(pairs): Form,
) -> Result<Response, PageError> {
    if context.is_cross_site() {
        return Err(PageErrorKind::FormExpired.into());
    }
    let typed = once(&pairs, USER_CODE).unwrap_or_default();
    match app.issuer.find_device_request(typed, &context.browser()).await? {
        UserCodeOutcome::Found(pending) => confirm(&app, &context, &pending),
        UserCodeOutcome::NotFound => {
            Ok(show_form(&app, &context, typed, Some(UserCodeError::Wrong)))
        }
        UserCodeOutcome::RateLimited(wait) => {
            let retry_after_seconds = wait.as_secs().max(1);
            let error = UserCodeError::TooMany { retry_after_seconds };
            let mut response = show_form(&app, &context, typed, Some(error));
            let seconds = HeaderValue::from(retry_after_seconds);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            Ok(response)
        }
    }
}

fn show_form(
    app: &App,
    context: &RequestContext,
    typed: &str,
    error: Option<UserCodeError>,
) -> Response {
    // A valid code is shown in the device's notation; any other text as submitted.
    let shown = match UserCode::parse(typed) {
        Some(code) => code.to_string(),
        None => typed.chars().take(MAX_SHOWN_CODE).collect(),
    };
    let view = DeviceForm {
        layout: &app.layout,
        action: &app.path("/device"),
        user_code: &shown,
        error,
        reference: &context.id,
    };
    let status = match error {
        None => 200,
        Some(UserCodeError::Wrong) => 400,
        Some(UserCodeError::TooMany { .. }) => 429,
    };
    page(app, status, PagePolicy::Standalone, view.render())
}

/// Names the client and the device (section 5.4). The link to the next step contains the login sealed to this browser,
/// so that an attacker cannot make a user skip this page.
fn confirm(
    app: &App,
    context: &RequestContext,
    pending: &PendingLogin,
) -> Result<Response, PageError> {
    let Some(device) = &pending.request.device else {
        return Err(IssuerError::Broken("a device login without its device".to_owned()).into());
    };
    let is_new = context.binding.is_none();
    let binding =
        context.binding.clone().map_or_else(BrowserBinding::new, Ok).map_err(IssuerError::from)?;
    let req = seal_pending_login(app, pending, &binding)?;
    let view = DeviceConfirm {
        layout: &app.layout,
        app: client_info(app, pending),
        device: device_info(app, device),
        go_on: &login_link(app, "/continue", &req),
        cancel: &app.path("/device"),
    };
    let response = page(app, 200, PagePolicy::LoginStep, view.render());
    let mut cookies = SetCookies::default();
    if is_new {
        cookies.binding(&app.cookies, &binding.to_cookie());
    }
    Ok(with_cookies(response, cookies))
}

/// The device for display on pages.
pub fn device_info(app: &App, device: &DeviceLogin) -> DeviceInfo {
    let DeviceLogin { user_code, address, user_agent, requested_at } = device;
    DeviceInfo {
        user_code: user_code.to_string(),
        address: address.as_str().into(),
        program: Device::of(user_agent).label(app.layout.messages),
        requested: DisplayTime::new(
            requested_at.millis(),
            app.issuer.now().millis(),
            app.layout.messages,
        ),
    }
}

/// The decision, for the page after it.
#[derive(Serialize, Deserialize)]
struct Decided {
    client: ClientId,
    approved: bool,
}

/// Redirects with 303 to the final page, so that reloading it repeats nothing.
pub fn decided(
    app: &App,
    context: &RequestContext,
    client: ClientId,
    approved: bool,
) -> Result<Response, PageError> {
    redirect_with_flash(app, context, "/device/callback", DECIDED, &Decided { client, approved })
}

/// `GET /device/callback`: the final page. Without a decision of this browser it redirects to the form.
pub async fn callback(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let decided: Option<Decided> = flash(&app, &context, &pairs, DECIDED);
    let Decided { client, approved } = decided.ok_or(PageErrorKind::LoginExpired)?;
    let client = app.issuer.clients.get(&client);
    let view = DeviceDone {
        layout: &app.layout,
        client_name: client.as_ref().map_or("", |client| client.name.as_str()).into(),
        approved,
    };
    Ok(page(&app, 200, PagePolicy::Standalone, view.render()))
}
