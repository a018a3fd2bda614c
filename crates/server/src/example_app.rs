//! An example application: an OpenID Connect client that shows what a client receives.
//!
//! It signs in at any issuer with the selected flow and scopes, shows the tokens with an explanation of each claim and
//! the user an API server would derive from them, and calls userinfo, introspection, revocation, refresh, token
//! exchange and logout. One page, no script. It is a separate program (`countersign example-app`) or runs beside
//! `serve`; it knows the issuer only by its discovery document.
//!
//! It is in this crate because this crate owns axum and askama and has the layout and the stylesheet. It uses no
//! handler of the server and nothing of `countersign_issuer`. Start reading at [`routes`].
//!
//! The tokens of each browser are kept in memory, for at most `MAX_BROWSERS` browsers.

mod actions;
mod callback;
mod claims;
mod page;
mod provider;
mod start;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::routing::{get, post};
use countersign_core::{Clock, Secret, Timestamp, ids};
use serde_json::{Map, Value};
use url::Url;

use self::provider::{Provider, Reply};

/// Maximum number of browsers; beyond it the oldest state is dropped.
const MAX_BROWSERS: usize = 200;
const COOKIE: &str = "countersign-example-app";

/// The route table of the example application. The callback's path is that of the redirect URI.
pub fn routes(app: ExampleApp) -> Router {
    let callback = app.settings.redirect_uri.path().to_owned();
    Router::new()
        .route("/", get(page::get))
        .route("/start", post(start::post))
        .route("/action", post(actions::post))
        .route("/poll", get(actions::get_poll))
        .route(&callback, get(callback::get).post(callback::post))
        .route("/static/{file}", get(page::static_file))
        .with_state(app)
}

/// Whether the application can receive a redirect at this path: none of its own paths, and no pattern of the router.
pub fn is_callback_path(path: &str) -> bool {
    const OWN: [&str; 4] = ["/", "/start", "/action", "/poll"];
    let is_pattern =
        |segment: &str| segment.starts_with([':', '*']) || segment.contains(['{', '}']);
    !OWN.contains(&path) && !path.starts_with("/static/") && !path.split('/').any(is_pattern)
}

/// Verifies an ID token of the issuer (OpenID Connect Core 3.1.3.7): signature, `iss`, `aud`, `exp`.
pub trait VerifyIdToken: Send + Sync {
    /// `key_set` is the JSON document of `jwks_uri`. The error is a sentence for the page.
    fn verify(&self, token: &str, key_set: &[u8], now: Timestamp) -> Result<(), String>;

    /// The `code_challenge` of a code verifier (RFC 7636 section 4.2, method S256).
    fn challenge(&self, verifier: &str) -> String;
}

#[derive(Clone)]
pub struct Settings {
    /// The issuer identifier, as in the discovery document.
    pub issuer: String,
    pub client_id: String,
    /// `None`: a public client.
    pub client_secret: Option<Secret>,
    /// Where the issuer redirects the browser; its origin is this application's.
    pub redirect_uri: Url,
    /// PEM certificates to trust in addition to the system's authorities.
    pub authorities: Vec<u8>,
    pub verifier: Arc<dyn VerifyIdToken>,
    pub clock: Arc<dyn Clock>,
}

pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// A redirect with this `response_type` (OAuth 2.0 Multiple Response Type Encoding Practices).
    Redirect(&'static str),
    DeviceCode,
    Password,
    ClientCredentials,
}

/// All flows, with their form value and label.
pub const FLOWS: [(Flow, &str, &str); 9] = [
    (Flow::Redirect("code"), "code", "Authorization code"),
    (Flow::Redirect("code id_token"), "code-id_token", "Hybrid: code id_token"),
    (Flow::Redirect("code token"), "code-token", "Hybrid: code token"),
    (Flow::Redirect("code id_token token"), "code-id_token-token", "Hybrid: code id_token token"),
    (Flow::Redirect("id_token"), "id_token", "Implicit: id_token"),
    (Flow::Redirect("id_token token"), "id_token-token", "Implicit: id_token token"),
    (Flow::DeviceCode, "device", "Device code"),
    (Flow::Password, "password", "User name and password"),
    (Flow::ClientCredentials, "client", "Client credentials (no user)"),
];

impl Flow {
    pub fn parse(value: &str) -> Option<Self> {
        FLOWS.iter().find(|(_, name, _)| *name == value).map(|(flow, _, _)| *flow)
    }

    pub fn label(self) -> &'static str {
        FLOWS.iter().find(|(flow, _, _)| *flow == self).map_or("", |(_, _, label)| label)
    }
}

/// The state of the application; clones share it.
#[derive(Clone)]
pub struct ExampleApp {
    settings: Arc<Settings>,
    provider: Arc<Provider>,
    browsers: Arc<Mutex<HashMap<String, BrowserState>>>,
}

/// The state of one browser.
#[derive(Clone, Default)]
pub(crate) struct BrowserState {
    begun_at: Timestamp,
    pub pending: Option<Pending>,
    pub device: Option<Device>,
    pub tokens: Option<Tokens>,
    /// The last request other than a login, with its response.
    pub last: Option<Reply>,
    /// Why the last step failed.
    pub error: Option<String>,
}

/// An authorization request whose response has not been received.
#[derive(Clone)]
pub(crate) struct Pending {
    pub flow: Flow,
    pub state: String,
    pub nonce: String,
    pub verifier: Option<String>,
}

/// A device authorization request (RFC 8628) that no user has decided.
#[derive(Clone)]
pub(crate) struct Device {
    pub device_code: String,
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    /// Between two polls; each `slow_down` adds five (RFC 8628 section 3.5).
    pub interval_seconds: u64,
    /// `None`: not polled yet.
    pub polled_at: Option<Timestamp>,
}

#[derive(Clone, Default)]
pub(crate) struct Tokens {
    pub received_at: Timestamp,
    /// How the tokens were obtained, as a text for the page.
    pub by: String,
    /// All members of the token response or of the authorization response.
    pub response: Map<String, Value>,
    /// Verification result of the ID token; `None` if there is none.
    pub verified: Option<Result<(), String>>,
    /// Whether the request had a nonce, which was compared.
    pub has_nonce: bool,
}

impl ExampleApp {
    /// # Errors
    /// The HTTP client cannot be built with the configured certificate authorities.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let settings = Arc::new(settings);
        let provider = Arc::new(Provider::new(Arc::clone(&settings))?);
        Ok(Self { settings, provider, browsers: Arc::default() })
    }

    fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// The id and state of the browser that sent these headers.
    fn browser(&self, headers: &HeaderMap) -> Option<(String, BrowserState)> {
        let id = cookie(headers)?;
        let browser = self.lock().get(&id).cloned()?;
        Some((id, browser))
    }

    /// The browser whose login has this `state`, whichever browser sends the request: a cross-site form carries no
    /// cookie.
    fn browser_of_state(&self, state: &str) -> Option<(String, BrowserState)> {
        let browsers = self.lock();
        let found = browsers.iter().find(|(_, browser)| {
            browser.pending.as_ref().is_some_and(|pending| pending.state == state)
        });
        found.map(|(id, browser)| (id.clone(), browser.clone()))
    }

    /// Creates a browser state and the `Set-Cookie` for it. `None`: the system's random number generator failed.
    fn begin(&self) -> Option<(String, HeaderValue)> {
        let id = ids::random_token().ok()?;
        let secure = if self.settings.redirect_uri.scheme() == "https" { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax{secure}");
        let cookie = HeaderValue::try_from(cookie).ok()?;
        let mut browsers = self.lock();
        while browsers.len() >= MAX_BROWSERS {
            let oldest = browsers.iter().min_by_key(|(_, browser)| browser.begun_at);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
            browsers.remove(&oldest);
        }
        browsers
            .insert(id.clone(), BrowserState { begun_at: self.now(), ..BrowserState::default() });
        Some((id, cookie))
    }

    /// Changes the state of a browser; does nothing if it was dropped meanwhile.
    fn change(&self, id: &str, change: impl FnOnce(&mut BrowserState)) {
        if let Some(browser) = self.lock().get_mut(id) {
            change(browser);
        }
    }

    fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BrowserState>> {
        self.browsers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device {
    /// Whether the issuer allows another poll (RFC 8628 section 3.5).
    pub fn may_poll(&self, now: Timestamp) -> bool {
        let interval = Duration::from_secs(self.interval_seconds);
        self.polled_at.is_none_or(|at| now.since(at) >= interval)
    }
}

impl Tokens {
    pub fn text(&self, member: &str) -> Option<&str> {
        self.response.get(member).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| Some(pair.trim().strip_prefix(COOKIE)?.strip_prefix('=')?.to_owned()))
}
