//! Posts a logout token to a client's `backchannelLogoutURI` and reads only the response status (OpenID Connect
//! Back-Channel Logout 1.0 section 2.5). Redirects are not followed.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::network::is_link_local_or_special;
use countersign_core::{DeliveryOutcome, LogoutNotifier, Secret};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CACHE_CONTROL;
use reqwest::redirect::Policy;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// From the DNS lookup to the response status.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(8);

pub struct HttpNotifier {
    client: reqwest::Client,
}

impl HttpNotifier {
    /// Trusts the system's certificate authorities (`SSL_CERT_FILE` replaces them).
    pub fn new() -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .dns_resolver(NoLinkLocal)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .user_agent("countersign")
            .http1_only()
            .build()
            .map_err(|e| format!("no HTTP client can be built: {e}"))?;
        Ok(Self { client })
    }
}

#[async_trait]
impl LogoutNotifier for HttpNotifier {
    async fn deliver(&self, to: &Url, logout_token: &Secret) -> DeliveryOutcome {
        let form = [("logout_token", logout_token.expose())];
        let request = self.client.post(to.clone()).header(CACHE_CONTROL, "no-store").form(&form);
        match request.send().await {
            Ok(response) => outcome(response.status().as_u16()),
            Err(error) => DeliveryOutcome::Failed { reason: innermost_cause(error) },
        }
    }
}

/// Section 2.8: 200 (from some frameworks 204) means success, 400 that the client rejects the token. Every other status
/// is retried: a 401 or 404 may be caused by a deployment in progress.
fn outcome(status: u16) -> DeliveryOutcome {
    match status {
        200 | 204 => DeliveryOutcome::Accepted,
        400 => DeliveryOutcome::Refused { status },
        _ => DeliveryOutcome::Failed { reason: format!("status {status}") },
    }
}

fn innermost_cause(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    let error = error.without_url();
    countersign_core::text::causes(&error).last().map(ToString::to_string).unwrap_or_default()
}

/// The system's resolver without link-local addresses, to which cloud metadata services listen (SSRF).
struct NoLinkLocal;

impl Resolve for NoLinkLocal {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let kept: Vec<SocketAddr> =
                found.filter(|address| !is_link_local_or_special(address.ip())).collect();
            if kept.is_empty() {
                return Err("the name has no address that is not link-local".into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::DeliveryOutcome;

    use super::outcome;

    #[test]
    fn only_400_is_a_refusal() {
        for accepted in [200, 204] {
            assert_eq!(outcome(accepted), DeliveryOutcome::Accepted);
        }
        assert_eq!(outcome(400), DeliveryOutcome::Refused { status: 400 });
        for again in [301, 302, 307, 401, 404, 408, 429, 500, 501, 503, 504] {
            assert!(matches!(outcome(again), DeliveryOutcome::Failed { .. }), "{again}");
        }
    }
}
