//! The settings of the example application, and the flows of its form.

use std::sync::Arc;

use countersign_core::{Clock, Secret, Timestamp};
use url::Url;

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
