//! Requests to a provider outside a login: for a diagnosis, and for the page after a logout.

use countersign_core::Trace;
use url::Url;

use super::Provider;
use crate::oauth::UpstreamError;

impl Provider {
    /// Makes all requests that need no user.
    pub async fn diagnose(&self, trace: &mut Trace) -> Result<(), UpstreamError> {
        let metadata = self.metadata(trace).await?;
        trace.response(format!("people sign in at {}", metadata.authorize));
        self.fetch_keys(&metadata.keys, trace).await?;
        trace.response("keys that can sign ID tokens");
        let client = self.client(&metadata);
        client.probe(&self.http, &metadata.token, &self.settings.registration, trace).await
    }

    /// The end session endpoint with our client id. The recommended `id_token_hint` is omitted, because it would put
    /// the user's data into a URL (OpenID Connect RP-Initiated Logout 1.0 section 2).
    pub async fn sign_out_url(&self, trace: &mut Trace) -> Result<Option<Url>, UpstreamError> {
        let mut url = self.metadata(trace).await?.end_session.clone();
        if let Some(url) = &mut url {
            let client_id = &self.settings.registration.client_id;
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        Ok(url)
    }
}
