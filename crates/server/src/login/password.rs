//! `/auth/{connector}/login`: the password form.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use countersign_core::connector::{LoginMethod, Refusal};
use countersign_core::{ConnectorId, Secret};
use countersign_issuer::IssuerError;
use countersign_issuer::login::{BrowserBinding, PasswordSubmission, PendingLogin, SignInOutcome};

use super::{
    blocked_page, client_info, connector_path, has_other_connectors, login_expired, login_link,
    open_pending_login, refusal_page, retry_link, signed_in, with_req_of_query,
};
use crate::app::App;
use crate::form::{Form, Query, once};
use crate::metrics::LoginResult;
use crate::page_error::{PageError, RETRY_AFTER};
use crate::pages::{LoginError, LoginKind, Page, PageErrorKind, Password};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, page};

pub async fn get(
    State(app): State<App>,
    context: RequestContext,
    Path(connector): Path<String>,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let connector = ConnectorId::new(connector);
    let (pending, _) = open_pending_login(&app, &context, once(&pairs, "req"))?;
    if app.issuer.is_expired(&pending) {
        return Err(login_expired(&app));
    }
    let hint = pending.request.login_hint.clone().unwrap_or_default();
    let form = LoginForm { connector: &connector, login: &hint, error: None };
    show(&app, &context, &pending, once(&pairs, "req").unwrap_or_default(), form)
}

pub async fn post(
    State(app): State<App>,
    context: RequestContext,
    Path(connector): Path<String>,
    Query(query): Query,
    Form(pairs): Form,
) -> Result<Response, PageError> {
    let connector = ConnectorId::new(connector);
    let pairs = with_req_of_query(pairs, &query);
    submit(&app, &context, &connector, &pairs).await
}

struct LoginForm<'a> {
    connector: &'a ConnectorId,
    login: &'a str,
    error: Option<LoginError>,
}

fn show(
    app: &App,
    context: &RequestContext,
    pending: &PendingLogin,
    req: &str,
    form: LoginForm<'_>,
) -> Result<Response, PageError> {
    let connector = app.issuer.connector_for(pending, form.connector);
    let connector = connector.ok_or_else(|| login_expired(app))?;
    let LoginMethod::Password(method) = &connector.login_method else {
        return Err(login_expired(app));
    };
    let back = login_link(app, "/continue", req);
    let status = match form.error {
        None => 200,
        Some(LoginError::TooMany { .. }) => 429,
        Some(LoginError::Down) => 503,
        Some(_) => 401,
    };
    let view = Password {
        layout: &app.layout,
        app: client_info(app, pending),
        connector_name: connector.name.as_str().into(),
        is_local: connector.kind == "local",
        prompt: method.prompt().into(),
        login_kind: if method.prompt().to_lowercase().contains("mail") {
            LoginKind::Email
        } else {
            LoginKind::Username
        },
        login: form.login,
        req,
        action: &app.path(&format!("{}/login", connector_path(form.connector))),
        back: has_other_connectors(app, pending).then_some(back.as_str()),
        error: form.error,
        reference: &context.id,
    };
    Ok(page(app, status, PagePolicy::ScriptedLoginForm, view.render()))
}

async fn submit(
    app: &App,
    context: &RequestContext,
    connector: &ConnectorId,
    pairs: &[(String, String)],
) -> Result<Response, PageError> {
    if context.is_cross_site() {
        return Err(PageErrorKind::FormExpired.into());
    }
    let req = once(pairs, "req").unwrap_or_default();
    let (pending, binding) = open_pending_login(app, context, Some(req))?;
    let attempt = PasswordSubmission {
        login: once(pairs, "login").unwrap_or_default().to_owned(),
        password: Secret::new(once(pairs, "password").unwrap_or_default()),
    };
    let result = app
        .issuer
        .sign_in_with_password(pending.clone(), connector, &attempt, &context.browser())
        .await;
    if app.issuer.connectors.get(connector).is_some() {
        app.metrics.login(connector.as_str(), LoginResult::of(&result));
    }
    let show_error = |error| {
        let form = LoginForm { connector, login: &attempt.login, error: Some(error) };
        show(app, context, &pending, req, form)
    };
    match result {
        Ok(end) => {
            let link = retry_link(app, &pending, req);
            sign_in_response(app, end, &binding, show_error)
                .map_err(|page_error| page_error.or_link(link))
        }
        Err(IssuerError::Unavailable { what, cause })
            if what != countersign_issuer::THE_DATABASE =>
        {
            tracing::error!(upstream = what, cause, "an upstream request failed");
            let mut response = show_error(LoginError::Down)?;
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
            Ok(response)
        }
        Err(failure @ IssuerError::Misconfigured { .. }) => {
            Err(PageError::from(failure).or_link(retry_link(app, &pending, req)))
        }
        Err(failure) => Err(failure.into()),
    }
}

fn sign_in_response(
    app: &App,
    end: SignInOutcome,
    binding: &BrowserBinding,
    show_error: impl Fn(LoginError) -> Result<Response, PageError>,
) -> Result<Response, PageError> {
    match end {
        SignInOutcome::SignedIn(proven) => signed_in(app, *proven, binding),
        SignInOutcome::RateLimited(wait) => {
            let seconds = wait.as_secs().max(1);
            let mut response = show_error(LoginError::TooMany { retry_after_seconds: seconds })?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        SignInOutcome::Refused(refusal) => match refusal {
            Refusal::BadCredentials => show_error(LoginError::Wrong),
            Refusal::PasswordExpired => show_error(LoginError::PasswordExpired),
            Refusal::AccountLocked => show_error(LoginError::Locked),
            Refusal::AccountDisabled => show_error(LoginError::Disabled),
            other => Err(refusal_page(other)),
        },
        SignInOutcome::Blocked { until } => Err(blocked_page(app, until)),
        SignInOutcome::MethodUnavailable | SignInOutcome::RestartRequired => {
            Err(login_expired(app))
        }
    }
}
