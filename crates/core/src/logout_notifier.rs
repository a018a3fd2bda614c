//! The trait for delivering logout tokens to clients (OpenID Connect Back-Channel Logout 1.0). Recipients and retries
//! are decided in `countersign_issuer`.

use async_trait::async_trait;
use url::Url;

use crate::Secret;

/// The result of one delivery attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// 200 or 204.
    Accepted,
    /// 400: the client rejects the token; it is not sent again (section 2.8).
    Refused { status: u16 },
    /// Any other status, or no response in time; retried. Contains no secret.
    Failed { reason: String },
}

/// Delivers logout tokens to the back-channel logout endpoints of clients.
#[async_trait]
pub trait LogoutNotifier: Send + Sync {
    /// Posts the logout token to exactly this URL, without following redirects, within a time limit.
    async fn deliver(&self, to: &Url, logout_token: &Secret) -> DeliveryOutcome;
}
