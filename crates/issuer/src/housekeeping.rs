//! What happens without being asked: keys are renewed, what is dead is swept away.

use countersign_store::{Collected, Retention};

use crate::{Issuer, IssuerError};

/// Rows swept per table and round, so that no sweep holds up a login.
const MOST_ROUNDS: u32 = 100;

impl Issuer {
    /// Reads the keys again and rotates them if that is due. Called every half minute.
    pub async fn renew_keys(&self) -> Result<(), IssuerError> {
        self.keyring.renew(&self.store, &self.root, &self.settings, self.now()).await
    }

    /// Sweeps in bounded rounds until nothing is left, or for long enough.
    pub async fn sweep(&self) -> Result<(), IssuerError> {
        for _ in 0..MOST_ROUNDS {
            let swept = self.sweep_once().await?;
            let Collected { codes, grants, sessions, events, memberships, .. } = swept;
            let Collected { logout_notifications, blocked_users, has_more, .. } = swept;
            tracing::debug!(
                codes,
                grants,
                sessions,
                events,
                logout_notifications,
                memberships,
                blocked_users,
                "expired rows deleted"
            );
            if !has_more {
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
