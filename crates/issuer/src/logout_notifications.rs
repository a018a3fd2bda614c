//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0): the logout token, how often its delivery is attempted,
//! and when it is abandoned. It is sent through the trait [`LogoutNotifier`].
//!
//! Rule for all JWTs that we sign, because some verifiers ignore `typ` (RFC 8725 section 3.11): only ID and access
//! tokens contain both a `sub` that identifies a user and an `aud` that a cluster accepts. The groups token
//! (`kubernetes`) has no `sub`; the access token of the client credentials grant (`token::client_credentials`)
//! has only the API in `aud`; a logout token for a cluster's client has no `sub`.

use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::identity::subject;
use countersign_core::{Client, ClientId, DeliveryOutcome, Event, LogoutNotifier, Secret, ids};
use countersign_store::LogoutNotification;
use serde::Serialize;
use serde_json::json;

use crate::{Issuer, IssuerError};

/// `typ` of a logout token (section 2.4).
const LOGOUT_TOKEN_TYPE: &str = "logout+jwt";
/// Section 2.4 recommends at most two minutes.
const TOKEN_LIFETIME: Duration = Duration::from_mins(2);
/// Longer than one delivery may take; the lease of a replica that stopped expires after this.
const LEASE: Duration = Duration::from_secs(30);

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// How long to wait after each failed attempt; after the last one the notification is abandoned, about five hours after
/// the session ended.
const WAITS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(20),
    minutes(1),
    minutes(5),
    minutes(20),
    minutes(60),
    minutes(200),
];

/// The outcome of a delivery, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutDelivery {
    Delivered,
    /// The client answered that it refuses the token; not attempted again.
    Refused,
    /// The attempt failed and is repeated later.
    Postponed,
    Abandoned,
}

/// Section 2.4 requires `sub`, `sid` or both. A Kubernetes API server ignores `typ` and would accept a token with `sub`
/// and its own `aud` as an ID token, so the client of a cluster receives only `sid`. A `nonce` is prohibited, so that
/// it cannot be used as an ID token.
#[derive(Serialize)]
struct LogoutToken<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    sid: &'a str,
    events: serde_json::Value,
}

impl Issuer {
    /// Whether any client has a back-channel logout URI.
    pub fn has_backchannel_clients(&self) -> bool {
        self.clients.iter().any(|client| client.backchannel_logout_uri.is_some())
    }

    /// The clients that have notifications due now.
    pub async fn clients_with_logout_notifications(&self) -> Result<Vec<ClientId>, IssuerError> {
        Ok(self.store.clients_with_logout_notifications(self.now()).await?)
    }

    /// Takes a lease on up to `limit` notifications for this client; other replicas skip them meanwhile.
    pub async fn claim_logout_notifications(
        &self,
        client: &ClientId,
        limit: usize,
    ) -> Result<Vec<LogoutNotification>, IssuerError> {
        let (now, limit) = (self.now(), i64::try_from(limit).unwrap_or(i64::MAX));
        Ok(self.store.claim_logout_notifications(client, now, now + LEASE, limit).await?)
    }

    /// Makes one delivery attempt, with a newly signed logout token so that it is not expired.
    pub async fn deliver(
        &self,
        notification: LogoutNotification,
        notifier: &dyn LogoutNotifier,
    ) -> Result<LogoutDelivery, IssuerError> {
        let client = self.clients.get(&notification.client);
        let registered =
            client.as_deref().and_then(|c| Some((c, c.backchannel_logout_uri.as_ref()?)));
        let Some((client, uri)) = registered else {
            return self
                .abandon(&notification, "not_configured", "has no backchannelLogoutURI")
                .await;
        };
        let token = match self.logout_token(client, &notification).await {
            Err(
                IssuerError::Unavailable { cause, .. } | IssuerError::Misconfigured { cause, .. },
            ) => {
                return self.postpone(&notification, &cause).await;
            }
            token => token?,
        };
        match notifier.deliver(uri, &token).await {
            DeliveryOutcome::Accepted => {
                self.store.finish_logout_notification(&notification, None).await?;
                tracing::info!(event = "logout_notification_delivered", client = %client.id, session = %notification.session, tries = notification.attempts, "a client received a logout token");
                Ok(LogoutDelivery::Delivered)
            }
            DeliveryOutcome::Refused { status } => {
                self.abandon(&notification, "refused", &format!("answered {status}")).await?;
                Ok(LogoutDelivery::Refused)
            }
            DeliveryOutcome::Failed { reason } => self.postpone(&notification, &reason).await,
        }
    }

    async fn postpone(
        &self,
        notification: &LogoutNotification,
        cause: &str,
    ) -> Result<LogoutDelivery, IssuerError> {
        let tried = usize::try_from(notification.attempts).unwrap_or(usize::MAX);
        let Some(wait) = WAITS.get(tried.saturating_sub(1)) else {
            return self.abandon(notification, "unreachable", cause).await;
        };
        self.store.postpone_logout_notification(notification, self.now() + *wait).await?;
        tracing::warn!(event = "logout_notification_postponed", client = %notification.client, session = %notification.session, tries = notification.attempts, again_in_seconds = wait.as_secs(), cause, "a logout token could not be delivered and is retried");
        Ok(LogoutDelivery::Postponed)
    }

    async fn abandon(
        &self,
        notification: &LogoutNotification,
        reason: &str,
        cause: &str,
    ) -> Result<LogoutDelivery, IssuerError> {
        let mut event = Event::new(self.now(), EventKind::LogoutNotificationFailed, "system");
        event.session = Some(notification.session.clone());
        event.client = Some(notification.client.clone());
        event.connector = Some(notification.connector.clone());
        event.user_id = Some(notification.user_id.clone());
        event.reason = Some(reason.to_owned());
        event.details =
            json!({ "tries": notification.attempts, "ended_at": notification.created_at });
        self.store.finish_logout_notification(notification, Some(event)).await?;
        tracing::error!(event = "logout_notification_failed", client = %notification.client, session = %notification.session, tries = notification.attempts, reason, cause, "a logout token was abandoned");
        Ok(LogoutDelivery::Abandoned)
    }

    async fn logout_token(
        &self,
        client: &Client,
        notification: &LogoutNotification,
    ) -> Result<Secret, IssuerError> {
        let now = self.now();
        // A cluster's API server accepts tokens for it: it is in the list of clusters, or has settings of a cluster.
        let is_listed = self.settings.clusters.iter().any(|cluster| cluster.client == client.id);
        let is_cluster = is_listed || client.kubernetes.is_some();
        let claims = LogoutToken {
            iss: self.settings.issuer.as_str(),
            sub: (!is_cluster).then(|| subject(&notification.user_id, &notification.connector)),
            aud: client.id.as_str(),
            iat: now.secs(),
            exp: (now + TOKEN_LIFETIME).secs(),
            jti: ids::random_id()?,
            sid: notification.session.as_str(),
            events: json!({ "http://schemas.openid.net/event/backchannel-logout": {} }),
        };
        let claims = serde_json::to_vec(&claims).map_err(|e| IssuerError::Broken(e.to_string()))?;
        let signer = self.keyring.keys().signer(now)?;
        let threads = &self.keyring.signing_threads;
        let signed = signer.sign_in_turn(threads, Some(LOGOUT_TOKEN_TYPE), claims).await?;
        Ok(Secret::new(signed))
    }
}
