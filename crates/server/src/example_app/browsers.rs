//! The state of each browser, by the random value of its cookie.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, HeaderValue, header};
use countersign_core::{Timestamp, ids};
use serde_json::{Map, Value};

use super::provider::{Provider, Reply};
use super::{Flow, Settings};

/// Maximum number of browsers; beyond it the oldest state is dropped.
const MAX_BROWSERS: usize = 200;
const COOKIE: &str = "countersign-example-app";

/// The state of the application; clones share it.
#[derive(Clone)]
pub struct ExampleApp {
    pub(super) settings: Arc<Settings>,
    pub(super) provider: Arc<Provider>,
    browsers: Arc<Mutex<HashMap<String, BrowserState>>>,
}

/// The state of one browser.
#[derive(Clone, Default)]
pub struct BrowserState {
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
pub struct Pending {
    pub flow: Flow,
    pub state: String,
    pub nonce: String,
    pub verifier: Option<String>,
}

/// A device authorization request (RFC 8628) that no user has decided.
#[derive(Clone)]
pub struct Device {
    pub device_code: String,
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    pub interval_seconds: u64,
}

#[derive(Clone, Default)]
pub struct Tokens {
    pub received_at: Timestamp,
    /// How the tokens were obtained, as a text for the page.
    pub by: String,
    /// All members of the token response or of the authorization response.
    pub response: Map<String, Value>,
    /// Verification result of the ID token; `None` if there is none.
    pub verified: Option<Result<(), String>>,
}

impl ExampleApp {
    /// # Errors
    /// The HTTP client cannot be built with the configured certificate authorities.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let settings = Arc::new(settings);
        let provider = Arc::new(Provider::new(Arc::clone(&settings))?);
        Ok(Self { settings, provider, browsers: Arc::default() })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// The id and state of the browser that sent these headers.
    pub(super) fn browser(&self, headers: &HeaderMap) -> Option<(String, BrowserState)> {
        let id = cookie(headers)?;
        let browser = self.lock().get(&id).cloned()?;
        Some((id, browser))
    }

    /// The browser whose login has this `state`, whichever browser sends the request: a cross-site form carries no
    /// cookie.
    pub(super) fn browser_of_state(&self, state: &str) -> Option<(String, BrowserState)> {
        let browsers = self.lock();
        let found = browsers.iter().find(|(_, browser)| {
            browser.pending.as_ref().is_some_and(|pending| pending.state == state)
        });
        found.map(|(id, browser)| (id.clone(), browser.clone()))
    }

    /// Creates a browser state and the `Set-Cookie` for it. `None`: the system's random number generator failed.
    pub(super) fn begin(&self) -> Option<(String, HeaderValue)> {
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
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut BrowserState)) {
        if let Some(browser) = self.lock().get_mut(id) {
            change(browser);
        }
    }

    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BrowserState>> {
        self.browsers.lock().unwrap_or_else(PoisonError::into_inner)
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
