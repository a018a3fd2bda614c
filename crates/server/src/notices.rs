//! The courier: brings clients the news of ends, whichever replica's they are, soon and not too often.
//!
//! It decides only how many deliveries run at once. Each client has its own few, so one that does not
//! answer delays nobody else's. What is said and when it is given up is the issuer's.

mod http;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::ClientId;
use countersign_issuer::IssuerError;
use countersign_issuer::logout_notifications::LogoutDelivery;
use tokio::task::JoinSet;

use self::http::HttpNotifier;
use crate::app::App;

/// What other replicas wrote, and what comes due again, is found within this time.
const LOOK: Duration = Duration::from_secs(2);
/// Deliveries at once to one client, and to all together.
const AT_ONE: usize = 4;
const AT_ALL: usize = 128;

/// Delivers until it is dropped. What was under way then comes due again at any replica.
pub async fn deliver(app: App) {
    if !app.issuer.has_backchannel_clients() {
        return;
    }
    let notifier = match HttpNotifier::new() {
        Ok(notifier) => notifier,
        Err(why) => {
            tracing::error!(cause = why, "no client will be told of an end");
            return;
        }
    };
    let mut courier = Courier {
        app,
        notifier: Arc::new(notifier),
        clients: HashMap::new(),
        under_way: JoinSet::new(),
    };
    loop {
        if let Err(failure) = courier.send_out().await {
            tracing::debug!(cause = %failure, "the messages to clients could not be read");
        }
        courier.wait().await;
    }
}

struct Courier {
    app: App,
    notifier: Arc<HttpNotifier>,
    clients: HashMap<ClientId, Standing>,
    under_way: JoinSet<(ClientId, Option<LogoutDelivery>)>,
}

#[derive(Default)]
struct Standing {
    under_way: usize,
    /// The last delivery failed: one at a time until one succeeds.
    is_failing: bool,
}

impl Standing {
    fn room(&self) -> usize {
        let most = if self.is_failing { 1 } else { AT_ONE };
        most.saturating_sub(self.under_way)
    }
}

impl Courier {
    /// Begins what is due and has room.
    async fn send_out(&mut self) -> Result<(), IssuerError> {
        for client in self.app.issuer.clients_with_logout_notifications().await? {
            let left = AT_ALL.saturating_sub(self.under_way.len());
            let standing = self.clients.entry(client.clone()).or_default();
            let room = standing.room().min(left);
            if room == 0 {
                continue;
            }
            for notice in self.app.issuer.claim_logout_notifications(&client, room).await? {
                standing.under_way += 1;
                let (app, notifier) = (self.app.clone(), Arc::clone(&self.notifier));
                self.under_way.spawn(async move {
                    let client = notice.client.clone();
                    let end = app.issuer.deliver(notice, &*notifier).await;
                    let end = end.inspect_err(|failure| {
                        tracing::warn!(client = %client, cause = %failure, "a message was not delivered");
                    });
                    (client, end.ok())
                });
            }
        }
        Ok(())
    }

    /// Until something was written here, came to its end, or it is time to look.
    async fn wait(&mut self) {
        let store = &self.app.issuer.store;
        tokio::select! {
            () = store.logout_notification_queued() => {}
            Some(ended) = self.under_way.join_next() => {
                if let Ok((client, end)) = ended {
                    self.ended(&client, end);
                }
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }

    fn ended(&mut self, client: &ClientId, end: Option<LogoutDelivery>) {
        if let Some(standing) = self.clients.get_mut(client) {
            standing.under_way = standing.under_way.saturating_sub(1);
            standing.is_failing =
                !matches!(end, Some(LogoutDelivery::Delivered | LogoutDelivery::Refused));
        }
        if let Some(end) = end {
            // A client that left the configuration is no label.
            let known = self.app.issuer.clients.get(client);
            self.app.metrics.notice(known.map_or("", |client| client.id.as_str()), end);
        }
    }
}
