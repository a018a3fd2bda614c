//! `POST /start`: begins the flow selected in the form.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use countersign_core::ids;

use super::callback::keep_tokens;
use super::page::{self, back_to_page};
use super::provider::Metadata;
use super::{Device, ExampleApp, Flow, Pending};
use crate::form::{self, once};
use crate::response::see_other;

/// The parsed form.
struct Choice {
    flow: Flow,
    scope: String,
    uses_pkce: bool,
    /// Parameters for the authorization request: `prompt`, `max_age`, `connector_id`, `login_hint`.
    more: Vec<(&'static str, String)>,
    username: String,
    password: String,
}

pub async fn post(State(app): State<ExampleApp>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if page::is_from_another_site(&parts.headers) {
        return page::refused();
    }
    let Ok(pairs) = form::read(&parts.headers, body).await else { return page::refused() };
    let Some(choice) = Choice::of(&pairs) else { return page::refused() };
    // A login begins with new state, so that it never continues another user's.
    if let Some((id, _)) = app.browser(&parts.headers) {
        app.forget(&id);
    }
    let Some((id, cookie)) = app.begin() else { return page::refused() };
    let started = match app.provider.metadata().await {
        Ok(metadata) => begin(&app, &id, &choice, &metadata).await,
        Err(error) => Err(error),
    };
    let response = match started {
        Ok(Some(location)) => see_other(&location),
        Ok(None) => back_to_page(),
        Err(error) => {
            app.change(&id, |browser| browser.error = Some(error));
            back_to_page()
        }
    };
    with_cookie(response, cookie)
}

impl Choice {
    fn of(pairs: &[(String, String)]) -> Option<Self> {
        let text = |name: &str| once(pairs, name).unwrap_or_default().trim().to_owned();
        let mut scopes: Vec<&str> = Vec::new();
        let chosen = pairs.iter().filter(|(name, _)| name == "scope" || name == "more_scopes");
        for scope in chosen.flat_map(|(_, value)| value.split_whitespace()) {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        let names = ["prompt", "max_age", "connector_id", "login_hint"];
        let more = names.map(|name| (name, text(name)));
        Some(Self {
            flow: Flow::parse(once(pairs, "flow")?)?,
            scope: scopes.join(" "),
            uses_pkce: once(pairs, "without_pkce").is_none(),
            more: more.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            username: text("username"),
            password: once(pairs, "password").unwrap_or_default().to_owned(),
        })
    }
}

/// The URL to redirect the browser to, for a flow with a redirect.
async fn begin(
    app: &ExampleApp,
    id: &str,
    choice: &Choice,
    metadata: &Metadata,
) -> Result<Option<String>, String> {
    let fields = match choice.flow {
        Flow::Redirect(response_type) => {
            return authorization_url(app, id, choice, (metadata, response_type)).map(Some);
        }
        Flow::DeviceCode => {
            begin_device(app, id, choice, metadata).await?;
            return Ok(None);
        }
        Flow::Password => vec![
            ("grant_type", "password"),
            ("username", choice.username.as_str()),
            ("password", choice.password.as_str()),
            ("scope", choice.scope.as_str()),
        ],
        Flow::ClientCredentials => {
            vec![("grant_type", "client_credentials"), ("scope", choice.scope.as_str())]
        }
    };
    let endpoint =
        metadata.endpoint("token_endpoint").ok_or("The issuer has no token endpoint.")?;
    let reply = app.provider.post(endpoint, &fields).await?;
    if !reply.is_success() {
        return Err(reply.error());
    }
    keep_tokens(app, id, metadata, (reply.json, choice.flow.label(), None)).await?;
    Ok(None)
}

fn authorization_url(
    app: &ExampleApp,
    id: &str,
    choice: &Choice,
    (metadata, response_type): (&Metadata, &str),
) -> Result<String, String> {
    let random = || ids::random_token().map_err(|error| error.to_string());
    let (state, nonce) = (random()?, random()?);
    let has_code = response_type.split(' ').any(|word| word == "code");
    let verifier = if has_code && choice.uses_pkce { Some(random()?) } else { None };
    let endpoint = metadata
        .endpoint("authorization_endpoint")
        .ok_or("The issuer has no authorization endpoint.")?;
    let mut url = url::Url::parse(endpoint).map_err(|error| error.to_string())?;
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("client_id", &app.settings.client_id)
            .append_pair("redirect_uri", app.settings.redirect_uri.as_str())
            .append_pair("response_type", response_type)
            .append_pair("scope", &choice.scope)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce);
        if let Some(verifier) = &verifier {
            query.append_pair("code_challenge", &app.settings.verifier.challenge(verifier));
            query.append_pair("code_challenge_method", "S256");
        }
        // Servers do not receive the fragment, and this page has no script to read it.
        if response_type != "code" {
            query.append_pair("response_mode", "form_post");
        }
        query.extend_pairs(&choice.more);
    }
    let pending = Pending { flow: choice.flow, state, nonce, verifier };
    app.change(id, |browser| browser.pending = Some(pending));
    Ok(url.into())
}

/// RFC 8628 section 3.1.
async fn begin_device(
    app: &ExampleApp,
    id: &str,
    choice: &Choice,
    metadata: &Metadata,
) -> Result<(), String> {
    let endpoint = metadata
        .endpoint("device_authorization_endpoint")
        .ok_or("The issuer has no device authorization endpoint.")?;
    let reply = app.provider.post(endpoint, &[("scope", choice.scope.as_str())]).await?;
    if !reply.is_success() {
        return Err(reply.error());
    }
    let text = |name: &str| reply.json.get(name).and_then(serde_json::Value::as_str);
    let required = |name: &str| {
        text(name).map(str::to_owned).ok_or(format!("The device response has no {name}."))
    };
    let device = Device {
        device_code: required("device_code")?,
        user_code: required("user_code")?,
        verification_uri: required("verification_uri")?,
        verification_uri_complete: text("verification_uri_complete").map(str::to_owned),
        interval_seconds: reply
            .json
            .get("interval")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(5),
        polled_at: None,
    };
    app.change(id, |browser| browser.device = Some(device));
    Ok(())
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}
