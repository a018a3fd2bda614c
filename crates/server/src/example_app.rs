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
mod browsers;
mod callback;
mod claims;
mod page;
mod provider;
mod start;

pub use browsers::ExampleApp;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use countersign_core::{Clock, Secret, Timestamp};
use url::Url;

/// The route table of the example application. The callback's path is that of the redirect URI.
pub fn routes(app: ExampleApp) -> Router {
    let callback = app.settings.redirect_uri.path().to_owned();
    Router::new()
        .route("/", get(page::get))
        .route("/start", post(start::post))
        .route("/action", post(actions::post))
        .route(&callback, get(callback::get).post(callback::post))
        .route("/static/{file}", get(page::static_file))
        .with_state(app)
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
