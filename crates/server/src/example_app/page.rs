//! The page: the form that begins a login, and the result.

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::claims::{self, ClaimRow, ClusterView, LoginResult};
use super::provider::{Metadata, Reply};
use super::{BrowserState, Device, ExampleApp, FLOWS, Flow, TOKEN_EXCHANGE, Tokens};
use crate::pages::{Layout, Page, assets};
use crate::response::see_other;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The scopes that most clients request; preselected in the form.
const USUAL_SCOPES: [&str; 5] = ["openid", "profile", "email", "groups", "offline_access"];

#[derive(Template)]
#[template(path = "pages/example_app.html")]
struct ExamplePage<'a> {
    layout: &'a Layout,
    stylesheet: String,
    issuer: &'a str,
    client_id: &'a str,
    is_public: bool,
    redirect_uri: &'a str,
    /// Why the last step failed, or why the issuer cannot be reached.
    error: Option<String>,
    flows: Vec<FlowChoice>,
    scopes: Vec<ScopeChoice>,
    device: Option<Device>,
    signed_in: Option<SignedIn>,
    last: Option<Reply>,
}

impl ExamplePage<'_> {
    fn title(&self) -> &'static str {
        match (&self.signed_in, &self.device) {
            (Some(_), _) => "Tokens and claims",
            (None, Some(_)) => "Device code",
            (None, None) => "Sign in",
        }
    }
}

struct FlowChoice {
    value: &'static str,
    label: &'static str,
    is_announced: bool,
    is_checked: bool,
}

struct ScopeChoice {
    name: String,
    is_checked: bool,
}

struct SignedIn {
    by: String,
    has_nonce: bool,
    name: String,
    received_at: String,
    expires_in: Option<String>,
    scope: Option<String>,
    tokens: Vec<TokenView>,
    clusters: Vec<ClusterView>,
    actions: Vec<(&'static str, &'static str)>,
    can_exchange: bool,
}

struct TokenView {
    title: &'static str,
    id: &'static str,
    raw: String,
    /// Algorithm, key id and type from the header.
    header: Option<String>,
    /// `None`: a token that only the issuer or an API server verifies.
    verified: Option<Result<(), String>>,
    rows: Vec<ClaimRow>,
    note: &'static str,
}

pub async fn get(State(app): State<ExampleApp>, headers: HeaderMap) -> Response {
    let browser = app.browser(&headers).map(|(_, browser)| browser).unwrap_or_default();
    let (metadata, unreachable) = match app.provider.metadata().await {
        Ok(metadata) => (metadata, None),
        Err(error) => (Metadata::default(), Some(error)),
    };
    let layout = Layout::new("", "Example application");
    let page = ExamplePage {
        layout: &layout,
        stylesheet: assets::EXAMPLE_APP_STYLESHEET.url(""),
        issuer: &app.settings.issuer,
        client_id: &app.settings.client_id,
        is_public: app.settings.client_secret.is_none(),
        redirect_uri: app.settings.redirect_uri.as_str(),
        error: browser.error.clone().or(unreachable),
        flows: flows(&metadata),
        scopes: scopes(&metadata),
        device: browser.device.clone(),
        signed_in: browser.tokens.as_ref().map(|tokens| signed_in(&app, tokens, &metadata)),
        last: browser.last.clone(),
    };
    let seconds = refresh_seconds(&browser);
    let mut response = html(StatusCode::OK, Page::render(&page));
    // The page has no script: while a device code is pending it goes to the address that polls, and comes back.
    if let Some(value) = seconds.and_then(|seconds| HeaderValue::try_from(seconds).ok()) {
        response.headers_mut().insert("refresh", value);
    }
    response
}

/// Serves only the files of this page. Their names change with their content.
pub async fn static_file(Path(file): Path<String>) -> Response {
    let Some(asset) = assets::find(&file) else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = Response::new(Body::from(asset.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    let cache = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, cache);
    response
}

pub fn back_to_page() -> Response {
    see_other("/")
}

/// Whether another site's page posted the form (Fetch Metadata). Browsers that do not send the header are accepted:
/// `SameSite=Lax` withholds the cookie from cross-site forms, so such a login would begin with new state.
pub fn is_from_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

pub fn refused() -> Response {
    let text = "<!DOCTYPE html><html lang=\"en\"><title>Bad request</title><h1>Bad request</h1>\
        <p>The form is incomplete or comes from another site. <a href=\"/\">Start again</a></p>";
    html(StatusCode::BAD_REQUEST, text.to_owned())
}

pub fn unknown_login() -> Response {
    let text = "<!DOCTYPE html><html lang=\"en\"><title>Unknown login</title><h1>Unknown login</h1>\
        <p>This browser did not begin the login that ends here, or it has ended before. \
        <a href=\"/\">Sign in here</a></p>";
    html(StatusCode::BAD_REQUEST, text.to_owned())
}

fn html(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refresh_seconds(browser: &BrowserState) -> Option<String> {
    let device = browser.device.as_ref()?;
    Some(format!("{}; url=/poll", device.interval_seconds.clamp(5, 60)))
}

fn flows(metadata: &Metadata) -> Vec<FlowChoice> {
    let choice = |(flow, value, label): &(Flow, &'static str, &'static str)| FlowChoice {
        value,
        label,
        is_announced: metadata.announces(*flow),
        is_checked: *value == "code",
    };
    FLOWS.iter().map(choice).collect()
}

/// The scopes of the discovery document, or the usual ones if it lists none.
fn scopes(metadata: &Metadata) -> Vec<ScopeChoice> {
    let announced = metadata.list("scopes_supported");
    let names = if announced.is_empty() { USUAL_SCOPES.to_vec() } else { announced };
    let choice = |name: &str| ScopeChoice {
        name: name.to_owned(),
        is_checked: USUAL_SCOPES.contains(&name),
    };
    names.into_iter().map(choice).collect()
}

fn signed_in(app: &ExampleApp, tokens: &Tokens, metadata: &Metadata) -> SignedIn {
    let claims = tokens.text("id_token").and_then(claims::decode).unwrap_or_default();
    let name = ["name", "preferred_username", "email", "sub"]
        .iter()
        .find_map(|claim| claims.get(*claim).and_then(Value::as_str))
        .unwrap_or("nobody: there is no ID token");
    let expires_in = tokens.response.get("expires_in").map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let clusters = match tokens.text("id_token") {
        Some(_) => claims::cluster_views(&claims, &app.settings.client_id),
        None => Vec::new(),
    };
    SignedIn {
        by: tokens.by.clone(),
        has_nonce: tokens.has_nonce,
        name: name.to_owned(),
        received_at: tokens.received_at.to_string(),
        expires_in,
        scope: tokens.text("scope").map(str::to_owned),
        tokens: token_views(tokens),
        clusters,
        actions: actions(tokens, metadata),
        can_exchange: tokens.text("access_token").is_some()
            && metadata.list("grant_types_supported").contains(&TOKEN_EXCHANGE),
    }
}

fn actions(tokens: &Tokens, metadata: &Metadata) -> Vec<(&'static str, &'static str)> {
    let has = |token: &str| tokens.text(token).is_some();
    let offers = |endpoint: &str| metadata.endpoint(endpoint).is_some();
    let all = [
        ("refresh", "Refresh", has("refresh_token")),
        ("userinfo", "Userinfo", has("access_token") && offers("userinfo_endpoint")),
        ("introspect", "Introspect", has("access_token") && offers("introspection_endpoint")),
        ("revoke", "Revoke", offers("revocation_endpoint")),
        ("logout", "Sign out", offers("end_session_endpoint")),
        ("forget", "Forget here", true),
    ];
    all.into_iter().filter(|(_, _, is_shown)| *is_shown).map(|(a, label, _)| (a, label)).collect()
}

fn token_views(tokens: &Tokens) -> Vec<TokenView> {
    let view = |title, id, note| {
        let raw = tokens.text(id)?.to_owned();
        let header = claims::decode_header(&raw).map(|header| Value::Object(header).to_string());
        let rows = claims::decode(&raw).map(|claims| claims::rows(&claims)).unwrap_or_default();
        let verified = if id == "id_token" { tokens.verified.clone() } else { None };
        Some(TokenView { title, id, raw, header, verified, rows, note })
    };
    let views = [
        view(
            "ID token",
            "id_token",
            "For this application and for API servers: who has signed in.",
        ),
        view(
            "Access token",
            "access_token",
            "For the issuer's userinfo and for other services. An application does not look inside.",
        ),
        view(
            "Refresh token",
            "refresh_token",
            "A credential: it gets new tokens until the session ends.",
        ),
    ];
    views.into_iter().flatten().collect()
}
