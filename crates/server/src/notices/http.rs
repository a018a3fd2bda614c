//! One logout token by HTTP: to the configured address alone, following nothing, reading nothing but the
//! status (OpenID Connect Back-Channel Logout 1.0 section 2.5).

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
/// From the first look at the name to the status.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(8);

pub struct HttpNotifier {
    client: reqwest::Client,
}

impl HttpNotifier {
    /// Believes the system's certificate authorities (`SSL_CERT_FILE` names others).
    pub fn new() -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .dns_resolver(FarFromUs)
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
            Ok(answer) => outcome(answer.status().as_u16()),
            Err(error) => DeliveryOutcome::Failed { why: told(error) },
        }
    }
}

/// Section 2.8: 200, for some frameworks 204, and 400 for a token that is not believed. A redirect is
/// no answer, and 404 or 401 may be a deployment under way.
fn outcome(status: u16) -> DeliveryOutcome {
    match status {
        200 | 204 => DeliveryOutcome::Accepted,
        400 => DeliveryOutcome::Refused { status },
        _ => DeliveryOutcome::Failed { why: format!("it answered {status}") },
    }
}

fn told(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    // The innermost cause is the specific one.
    let error = error.without_url();
    countersign_core::text::causes(&error).last().map(ToString::to_string).unwrap_or_default()
}

/// Resolves names as the system does, but never to an address of the local link: there a cloud's metadata
/// service listens, which nobody configures as an application.
struct FarFromUs;

impl Resolve for FarFromUs {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let kept: Vec<SocketAddr> =
                found.filter(|address| !is_link_local_or_special(address.ip())).collect();
            if kept.is_empty() {
                return Err("the name leads to no address that may be told".into());
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
    fn only_a_clear_no_is_the_end_of_it() {
        for taken in [200, 204] {
            assert_eq!(outcome(taken), DeliveryOutcome::Accepted);
        }
        assert_eq!(outcome(400), DeliveryOutcome::Refused { status: 400 });
        for again in [301, 302, 307, 401, 404, 408, 429, 500, 501, 503, 504] {
            assert!(matches!(outcome(again), DeliveryOutcome::Failed { .. }), "{again}");
        }
    }
}
