//! Background work: rotating signing keys and deleting expired rows.

use countersign_store::{Collected, Retention};

use crate::{Issuer, IssuerError};

/// Maximum number of batches per call.
const MOST_ROUNDS: u32 = 100;

impl Issuer {
    /// Reads the keys again and rotates those that are due. Called every 30 seconds.
    pub async fn renew_keys(&self) -> Result<(), IssuerError> {
        self.keyring.renew(&self.store, &self.root, &self.settings, self.now()).await
    }

    /// Deletes expired rows, at most a fixed number of batches per call.
    pub async fn sweep(&self) -> Result<(), IssuerError> {
        for _ in 0..MOST_ROUNDS {
            let swept = self.sweep_once().await?;
            let Collected { codes, grants, sessions, events, memberships, .. } = swept;
            let Collected { logout_notifications, blocked_users, device_requests, .. } = swept;
            let Collected { used_assertions, .. } = swept;
            tracing::debug!(
                codes,
                grants,
                sessions,
                events,
                logout_notifications,
                memberships,
                blocked_users,
                device_requests,
                used_assertions,
                "expired rows deleted"
            );
            if !swept.has_more {
                break;
            }
        }
        Ok(())
    }

    async fn sweep_once(&self) -> Result<Collected, IssuerError> {
        let now = self.now();
        let settings = &self.settings;
        let collected = self
            .store
            .collect(Retention {
                now,
                events_before: now - settings.event_retention,
                memberships_before: now - settings.membership_retention,
                requests_before: now - settings.longest_request_lifetime(),
                max_idle: settings.longest_refresh_rest(),
                max_age: settings.longest_refresh_lifetime(),
            })
            .await?;
        Ok(collected)
    }
}
