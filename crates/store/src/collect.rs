//! Forgetting what no promise needs any more, a bounded bite at a time. Ends nothing that lives:
//! a grant past its limits has only dead tokens, a session without grants has no browser.

use std::time::Duration;

use countersign_core::{SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Value};
use crate::events::id_from;
use crate::{Store, StoreError, memberships};

/// A session that gave something within this time is left alone. Whoever gives renews
/// `last_seen`, and PostgreSQL looks at it again before it deletes a row it had to wait for.
const GIVING_MARGIN: Duration = Duration::from_secs(10 * 60);

/// Given up long before, unless nobody was there to do it.
const NOTICE_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long after its expiry a device request is kept, so that its client still receives `expired_token`.
const EXPIRED_DEVICE_REQUESTS: Duration = Duration::from_secs(10 * 60);

/// How long things are remembered.
#[derive(Clone, Debug)]
pub struct Retention {
    pub now: Timestamp,
    /// Older events are deleted.
    pub events_before: Timestamp,
    /// Times in a group that were over before are deleted.
    pub memberships_before: Timestamp,
    /// Codes made later are kept although expired: their authorization request may still be
    /// brought again, and a request finishes once.
    pub requests_before: Timestamp,
    /// Grants with a refresh token that was not used since are forgotten; `None` for no limit.
    pub offline_unused_since: Option<Timestamp>,
    /// Grants with a refresh token made before are forgotten; `None` for no limit.
    pub offline_created_before: Option<Timestamp>,
    /// Rows per table and call; ask again while a number in the answer reaches it.
    pub limit: i64,
}

/// How many rows were forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub codes: u64,
    pub grants: u64,
    pub sessions: u64,
    pub events: u64,
    /// Times in a group, as old as the events.
    pub memberships: u64,
    /// Messages that nobody delivers any more.
    pub logout_notifications: u64,
    pub device_requests: u64,
}

impl Store {
    /// One transaction per table, so that nobody waits for all of it. Every replica may call it.
    pub async fn collect(&self, retention: Retention) -> Result<Collected, StoreError> {
        let Retention { now, limit, .. } = retention;
        let codes = [now.into(), retention.requests_before.into(), limit.into()];
        let over = [now.into(), limit.into()];
        let unused = [now.into(), retention.offline_unused_since.into(), limit.into()];
        let old = [now.into(), retention.offline_created_before.into(), limit.into()];
        let ended = [limit.into()];
        let left = [now.into(), (now - GIVING_MARGIN).into(), limit.into()];
        let events = [id_from(retention.events_before).as_str().into(), limit.into()];
        let memberships = [retention.memberships_before.into(), limit.into()];
        let logout_notifications = [(now - NOTICE_LIFETIME).into(), limit.into()];
        let device_requests = [(now - EXPIRED_DEVICE_REQUESTS).into(), limit.into()];
        Ok(Collected {
            // Before the codes, which stay as long as their grants, and before the sessions.
            grants: self.forget(ENDED_GRANTS, over).await?
                + self.forget(SHORT_GRANTS, [now.into(), limit.into()]).await?
                + self.forget(UNUSED_GRANTS, unused).await?
                + self.forget(OLD_GRANTS, old).await?,
            codes: self.forget(CODES, codes).await?,
            sessions: self.forget(ENDED_SESSIONS, ended).await?
                + self.write(ForgetLeft { now, values: left }).await?,
            events: self.forget(EVENTS, events).await?,
            memberships: self.forget(MEMBERSHIPS, memberships).await?,
            logout_notifications: self.forget(NOTICES, logout_notifications).await?,
            device_requests: self.forget(DEVICE_REQUESTS, device_requests).await?,
        })
    }

    async fn forget<const N: usize>(
        &self,
        sql: &'static str,
        values: [Value; N],
    ) -> Result<u64, StoreError> {
        self.write(Forget { sql, values: values.into() }).await
    }
}

struct Forget {
    sql: &'static str,
    values: Vec<Value>,
}

impl Operation for Forget {
    type Answer = u64;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<u64, StoreError> {
        conn.execute(self.sql, &self.values).await
    }
}

/// Nobody ended them: what they held is held until now, when no token of theirs lives.
struct ForgetLeft {
    now: Timestamp,
    values: [Value; 3],
}

impl Operation for ForgetLeft {
    type Answer = u64;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<u64, StoreError> {
        let rows = conn.returning(LEFT_SESSIONS, &self.values).await?;
        for row in &rows {
            memberships::end(conn, &SessionId::new(row.text("id")?), self.now).await?;
        }
        Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    }
}

/// A used code is what tells a second use from an unknown one, while there is a grant to end for it;
/// its `grant_id` is null again when the grant is forgotten. An unused one may be replaced while this
/// waits for its row, so the conditions stand twice.
const CODES: &str = "DELETE FROM codes WHERE hash IN (SELECT hash FROM codes \
    WHERE grant_id IS NULL AND expires_at < $1 AND created_at < $2 LIMIT $3) \
    AND grant_id IS NULL AND expires_at < $1 AND created_at < $2";

const ENDED_GRANTS: &str = "DELETE FROM grants WHERE id IN (SELECT id FROM grants \
    WHERE ended_at IS NOT NULL AND tokens_until < $1 LIMIT $2)";

const SHORT_GRANTS: &str = "DELETE FROM grants WHERE id IN (SELECT id FROM grants \
    WHERE refreshable = 0 AND tokens_until < $1 LIMIT $2) AND tokens_until < $1";

/// The conditions stand twice: the outer ones are looked at again when a rotation was faster.
const UNUSED_GRANTS: &str = "DELETE FROM grants WHERE id IN (SELECT id FROM grants \
    WHERE refreshable = 1 AND rotated_at < $2 AND tokens_until < $1 LIMIT $3) \
    AND rotated_at < $2 AND tokens_until < $1";

const OLD_GRANTS: &str = "DELETE FROM grants WHERE id IN (SELECT id FROM grants \
    WHERE refreshable = 1 AND created_at < $2 AND tokens_until < $1 LIMIT $3) \
    AND tokens_until < $1";

const ENDED_SESSIONS: &str = "DELETE FROM sessions WHERE id IN (SELECT s.id FROM sessions s \
    WHERE s.ended_at IS NOT NULL \
    AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.session_id = s.id) \
    AND NOT EXISTS (SELECT 1 FROM codes c WHERE c.session_id = s.id) LIMIT $1)";

/// Live, but nobody holds anything of them.
const LEFT_SESSIONS: &str = "DELETE FROM sessions WHERE id IN (SELECT s.id FROM sessions s \
    WHERE s.ended_at IS NULL AND s.cookie_until < $1 AND s.last_seen < $2 \
    AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.session_id = s.id) \
    AND NOT EXISTS (SELECT 1 FROM codes c WHERE c.session_id = s.id) LIMIT $3) \
    AND cookie_until < $1 AND last_seen < $2 RETURNING id";

const EVENTS: &str = "DELETE FROM events WHERE id IN (SELECT id FROM events \
    WHERE id < $1 ORDER BY id LIMIT $2)";

const MEMBERSHIPS: &str = "DELETE FROM memberships \
    WHERE (session_id, group_name, since) IN (SELECT session_id, group_name, since \
    FROM memberships WHERE tokens_until < $1 LIMIT $2)";

const NOTICES: &str = "DELETE FROM notices WHERE id IN (SELECT id FROM notices \
    WHERE created_at < $1 LIMIT $2)";

pub(crate) const DEVICE_REQUESTS: &str = "DELETE FROM device_requests WHERE device_code_hash IN \
    (SELECT device_code_hash FROM device_requests WHERE expires_at < $1 \
    ORDER BY expires_at LIMIT $2)";
