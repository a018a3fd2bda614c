//! Delivers queued back-channel logout tokens, for sessions ended by any replica, with bounded concurrency.
//!
//! Each client has its own limit, so that a client that does not respond delays no other. The logout token and the
//! retries are defined in `countersign_issuer`.
//!
//! A logout token is posted to the client's `backchannelLogoutURI`; only the response status is read (OpenID Connect
//! Back-Channel Logout 1.0 section 2.5), and redirects are not followed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::network::is_link_local_or_special;
use countersign_core::{ClientId, DeliveryOutcome, LogoutNotifier, Secret};
use countersign_issuer::IssuerError;
use countersign_issuer::logout_notifications::LogoutDelivery;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CACHE_CONTROL;
use reqwest::redirect::Policy;
use tokio::task::JoinSet;
use url::Url;

use crate::app::CurrentApp;

/// How often the database is read for notifications queued by other replicas and for due retries.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
const MAX_CONCURRENT_PER_CLIENT: usize = 4;
const MAX_CONCURRENT: usize = 128;

/// Delivers notifications until it is dropped. Deliveries interrupted then are retried by any replica.
pub async fn run(current: CurrentApp) {
    let mut dispatcher =
        Dispatcher { current, notifier: None, clients: HashMap::new(), in_flight: JoinSet::new() };
    loop {
        if let Err(error) = dispatcher.start_due_deliveries().await {
            tracing::debug!(cause = %error, "the queued logout notifications could not be read");
        }
        dispatcher.wait().await;
    }
}

struct Dispatcher {
    current: CurrentApp,
    /// Built before the first delivery, because it reads the system's certificate authorities: that takes as long as
    /// the rest of the start, and most servers never deliver anything.
    notifier: Option<Arc<HttpNotifier>>,
    clients: HashMap<ClientId, ClientState>,
    in_flight: JoinSet<(ClientId, Option<LogoutDelivery>)>,
}

#[derive(Default)]
struct ClientState {
    in_flight: usize,
    /// The last delivery failed: deliveries are sent one at a time until one succeeds.
    is_failing: bool,
}

impl ClientState {
    fn capacity(&self) -> usize {
        let limit = if self.is_failing { 1 } else { MAX_CONCURRENT_PER_CLIENT };
        limit.saturating_sub(self.in_flight)
    }
}

impl Dispatcher {
    /// Starts due deliveries, as far as the limits allow.
    async fn start_due_deliveries(&mut self) -> Result<(), IssuerError> {
        let app = self.current.app();
        // Checked every time, since a reload may add the first such client.
        if !app.issuer.has_backchannel_clients() {
            return Ok(());
        }
        let clients = app.issuer.clients_with_logout_notifications().await?;
        if clients.is_empty() {
            return Ok(());
        }
        let Some(notifier) = self.notifier().await else { return Ok(()) };
        for client in clients {
            let left = MAX_CONCURRENT.saturating_sub(self.in_flight.len());
            let state = self.clients.entry(client.clone()).or_default();
            let capacity = state.capacity().min(left);
            if capacity == 0 {
                continue;
            }
            for notification in app.issuer.claim_logout_notifications(&client, capacity).await? {
                state.in_flight += 1;
                let (app, notifier) = (app.clone(), Arc::clone(&notifier));
                self.in_flight.spawn(async move {
                    let client = notification.client.clone();
                    let delivery = app.issuer.deliver(notification, &*notifier).await;
                    let delivery = delivery.inspect_err(|error| {
                        tracing::warn!(client = %client, cause = %error, "a logout notification was not delivered");
                    });
                    (client, delivery.ok())
                });
            }
        }
        Ok(())
    }

    /// `None`: it cannot be built now, so the notifications stay queued, and the next round tries again.
    async fn notifier(&mut self) -> Option<Arc<HttpNotifier>> {
        if self.notifier.is_none() {
            let built = tokio::task::spawn_blocking(HttpNotifier::new).await;
            match built.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(notifier) => self.notifier = Some(Arc::new(notifier)),
                Err(reason) => {
                    tracing::error!(cause = reason, "logout notifications cannot be delivered");
                }
            }
        }
        self.notifier.clone()
    }

    /// Waits until a notification is queued here, a delivery finishes, or the poll interval has passed.
    async fn wait(&mut self) {
        let store = self.current.app().issuer.store.clone();
        tokio::select! {
            () = store.logout_notification_queued() => {}
            Some(finished) = self.in_flight.join_next() => {
                if let Ok((client, delivery)) = finished {
                    self.finished(&client, delivery);
                }
            }
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }

    fn finished(&mut self, client: &ClientId, delivery: Option<LogoutDelivery>) {
        if let Some(state) = self.clients.get_mut(client) {
            state.in_flight = state.in_flight.saturating_sub(1);
            state.is_failing =
                !matches!(delivery, Some(LogoutDelivery::Delivered | LogoutDelivery::Refused));
        }
        if let Some(delivery) = delivery {
            // A client that is no longer configured is counted without a label.
            let app = self.current.app();
            let known = app.issuer.clients.get(client);
            let label = known.as_ref().map_or("", |client| client.id.as_str());
            app.metrics.logout_notification(label, delivery);
        }
    }
}

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
