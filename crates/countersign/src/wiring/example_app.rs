//! Builds the example application from the command line or the configuration.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::{Clock, Secret, Timestamp};
use countersign_jose::{Expected, Typ, UpstreamKeys, hash};
use countersign_server::example_app::{ExampleApp, Settings, VerifyIdToken};
use countersign_server::listen::Listener;
use url::Url;

/// Tolerated clock difference between this machine and the issuer.
const LEEWAY: Duration = Duration::from_mins(1);

/// Verifies ID tokens with the issuer's published keys, by the code that verifies upstream ID tokens.
struct PublishedKeys {
    issuer: String,
    client_id: String,
}

impl VerifyIdToken for PublishedKeys {
    fn verify(&self, token: &str, key_set: &[u8], now: Timestamp) -> Result<(), String> {
        let keys = UpstreamKeys::parse(key_set).ok_or("the issuer's keys cannot be read")?;
        let expected =
            Expected { issuer: &self.issuer, typ: Typ::IdToken, now: Some(now), leeway: LEEWAY };
        let (claims, _) = keys.verify(token, &expected).map_err(|error| error.to_string())?;
        match claims.is_for(&self.client_id) {
            true => Ok(()),
            false => Err(format!("aud does not contain {}", self.client_id)),
        }
    }

    fn challenge(&self, verifier: &str) -> String {
        hash::s256(verifier)
    }
}

/// The client that the example application acts as.
pub struct ExampleClient<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub client_secret: Option<Secret>,
    pub redirect_uri: Url,
    /// PEM, trusted in addition to the system's authorities.
    pub authorities: Vec<u8>,
}

/// Binds to the host and port of the redirect URI, unless `listen` specifies another address.
pub fn prepare(
    client: ExampleClient<'_>,
    listen: Option<&str>,
    clock: Arc<dyn Clock>,
) -> Result<(Listener, ExampleApp), String> {
    let url = &client.redirect_uri;
    let own = format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or_default()
    );
    let address = listen.unwrap_or(&own);
    let app = ExampleApp::new(Settings {
        issuer: client.issuer.to_owned(),
        client_id: client.client_id.to_owned(),
        client_secret: client.client_secret,
        authorities: client.authorities,
        verifier: Arc::new(PublishedKeys {
            issuer: client.issuer.to_owned(),
            client_id: client.client_id.to_owned(),
        }),
        redirect_uri: client.redirect_uri,
        clock,
    })?;
    let listener = Listener::bind(address, None)
        .map_err(|error| format!("the example application cannot listen on {address}: {error}"))?;
    Ok((listener, app))
}
