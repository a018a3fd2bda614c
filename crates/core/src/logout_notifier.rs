//! The port by which a client hears that a session of its users is over (OpenID Connect Back-Channel
//! Logout 1.0). Who is told what, and how often it is tried, is decided in the issuer.

use async_trait::async_trait;
use url::Url;

use crate::Secret;

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// 200 or 204.
    Accepted,
    /// 400: the client does not believe it, and never will (section 2.8).
    Refused { status: u16 },
    /// Anything else, or no answer in time: worth another try. Holds no secret.
    Failed { why: String },
}

#[async_trait]
pub trait LogoutNotifier: Send + Sync {
    /// Brings the logout token to exactly this address, following no redirect, in a bounded time.
    async fn deliver(&self, to: &Url, logout_token: &Secret) -> DeliveryOutcome;
}
