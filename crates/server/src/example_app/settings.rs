//! The settings of the example application.

use std::sync::Arc;

use countersign_core::{Clock, Secret, Timestamp};
use url::Url;

/// Verifies an ID token of the issuer (OpenID Connect Core 3.1.3.7): signature, `iss`, `aud`, `exp`.
pub trait VerifyIdToken: Send + Sync {
    /// `key_set` is the JSON behind `jwks_uri`. The error is a sentence for the page.
    fn verify(&self, token: &str, key_set: &[u8], now: Timestamp) -> Result<(), String>;

    /// The `code_challenge` of a verifier (RFC 7636 section 4.2, method S256).
    fn challenge(&self, verifier: &str) -> String;
}

#[derive(Clone)]
pub struct Settings {
    /// As in the discovery document.
    pub issuer: String,
    pub client_id: String,
    /// `None`: a public client.
    pub client_secret: Option<Secret>,
    /// Where the issuer sends the browser back to; its origin is this application's.
    pub redirect_uri: Url,
    /// PEM certificates to trust beside the system's authorities.
    pub authorities: Vec<u8>,
    pub verifier: Arc<dyn VerifyIdToken>,
    pub clock: Arc<dyn Clock>,
}
