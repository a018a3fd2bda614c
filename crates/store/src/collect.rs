//! Deletes expired rows in batches, each of which occupies SQLite's writer for a few milliseconds. Nothing live is
//! deleted: a deleted grant has only expired tokens, a deleted session has neither grants nor a valid cookie.
//!
//! A grant or session is found by an index range over `expires_at`, the instant at which it must be examined next. It
//! is then deleted, or its `expires_at` is set to the earliest instant at which it may have expired. Neither a refresh
//! nor a sign-in changes that column.

#[cfg(test)]
mod cost;

use std::time::Duration;

use countersign_core::{ConnectorId, Identity, SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::engine::sql::{Sql, Value};
use crate::events::id_from;
use crate::memberships::Holder;
use crate::{Store, StoreError};

/// Rows per transaction. SQLite deletes a row with its index entries in well under 100 µs.
const BATCH: i64 = 100;
/// A session that issued something within this time is kept: PostgreSQL examines `last_seen` again before
/// it deletes a row that it had to wait for.
const ISSUE_MARGIN: Duration = Duration::from_mins(10);
/// Notifications are abandoned much earlier, unless no replica was running.
const NOTIFICATION_LIFETIME: Duration = Duration::from_hours(168);
/// How long after its expiry a device request is kept, so that its client still receives `expired_token`.
const EXPIRED_DEVICE_REQUESTS: Duration = Duration::from_mins(10);
/// When a row whose expiry depends on something unlimited is examined again.
const EXAMINE_AGAIN: Duration = Duration::from_hours(24);
/// The same for a session that only has codes.
const EXAMINE_CODES_AGAIN: Duration = Duration::from_hours(1);

/// How long rows are kept.
#[derive(Clone, Debug)]
pub struct Retention {
    pub now: Timestamp,
    /// Older events are deleted.
    pub events_before: Timestamp,
    /// Memberships that ended before this instant are deleted.
    pub memberships_before: Timestamp,
    /// Codes that expired before this instant are deleted. Later ones are kept although expired, because their
    /// authorization request may be submitted again, and a request is completed only once.
    pub requests_before: Timestamp,
    /// Grants with a refresh token unused for longer are deleted; `None` for no limit.
    pub max_idle: Option<Duration>,
    /// Grants with a refresh token older than that are deleted; `None` for no limit.
    pub max_age: Option<Duration>,
}

/// How many rows were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub codes: u64,
    pub grants: u64,
    pub sessions: u64,
    pub events: u64,
    pub memberships: u64,
    pub logout_notifications: u64,
    pub blocked_users: u64,
    pub device_requests: u64,
    pub used_assertions: u64,
    /// Some batch was full: call again.
    pub has_more: bool,
}

impl Store {
    /// Deletes one batch per table, each in its own transaction. Any replica may call it at any time.
    pub async fn collect(&self, retention: Retention) -> Result<Collected, StoreError> {
        let now = retention.now;
        let grants = self.write(CollectGrants(retention.clone())).await?;
        let codes = self.delete(CODES, [retention.requests_before.min(now).into()]).await?;
        let sessions = self.write(CollectSessions { now }).await?;
        let events =
            self.delete(EVENTS, [id_from(retention.events_before).as_str().into()]).await?;
        let memberships = self.delete(MEMBERSHIPS, [retention.memberships_before.into()]).await?;
        let notifications = self.delete(NOTIFICATIONS, [(now - NOTIFICATION_LIFETIME).into()]);
        let logout_notifications = notifications.await?;
        let blocked_users = self.delete(BLOCKED_USERS, [now.into()]).await?;
        let device_requests =
            self.delete(DEVICE_REQUESTS, [(now - EXPIRED_DEVICE_REQUESTS).into()]).await?;
        let used_assertions = self.delete(USED_ASSERTIONS, [now.into()]).await?;
        let full = u64::try_from(BATCH).unwrap_or(u64::MAX);
        let has_more = [codes, events, memberships, logout_notifications, blocked_users]
            .into_iter()
            .chain([grants.examined, sessions.examined, device_requests, used_assertions])
            .any(|rows| rows >= full);
        Ok(Collected {
            codes,
            grants: grants.deleted,
            sessions: sessions.deleted,
            events,
            memberships,
            logout_notifications,
            blocked_users,
            device_requests,
            used_assertions,
            has_more,
        })
    }

    async fn delete(&self, sql: &'static str, values: [Value; 1]) -> Result<u64, StoreError> {
        let [value] = values;
        self.write(Delete { sql, values: [value, BATCH.into()] }).await
    }
}

struct Delete {
    sql: &'static str,
    values: [Value; 2],
}

impl Operation for Delete {
    type Output = u64;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<u64, StoreError> {
        conn.execute(self.sql, &self.values).await
    }
}

/// A used code is kept as long as its grant exists, to distinguish a second use from an unknown code; when the grant is
/// deleted, `grant_id` becomes null. The condition is repeated, because an unused code may be replaced while this
/// statement waits for its row.
pub(crate) const CODES: &str = "DELETE FROM codes WHERE hash IN (SELECT hash FROM codes \
    WHERE grant_id IS NULL AND expires_at < $1 ORDER BY expires_at LIMIT $2) \
    AND grant_id IS NULL AND expires_at < $1";
pub(crate) const EVENTS: &str = "DELETE FROM events WHERE id IN (SELECT id FROM events \
    WHERE id < $1 ORDER BY id LIMIT $2)";
pub(crate) const MEMBERSHIPS: &str = "DELETE FROM memberships WHERE id IN (SELECT id \
    FROM memberships WHERE tokens_until < $1 ORDER BY tokens_until LIMIT $2)";
pub(crate) const NOTIFICATIONS: &str = "DELETE FROM logout_notifications WHERE id IN (SELECT id \
    FROM logout_notifications WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
pub(crate) const BLOCKED_USERS: &str = "DELETE FROM blocked_users WHERE (connector_id, user_id) IN \
    (SELECT connector_id, user_id FROM blocked_users WHERE expires_at < $1 \
    ORDER BY expires_at LIMIT $2) AND expires_at < $1";
pub(crate) const DEVICE_REQUESTS: &str = "DELETE FROM device_requests WHERE device_code_hash IN \
    (SELECT device_code_hash FROM device_requests WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
pub(crate) const USED_ASSERTIONS: &str = "DELETE FROM used_assertions WHERE hash IN \
    (SELECT hash FROM used_assertions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
pub(crate) const EXPIRED_GRANTS: &str = "SELECT id, session_id, refreshable, created_at, rotated_at, \
    tokens_until, ended_at FROM grants WHERE expires_at < $1 ORDER BY expires_at LIMIT $2";
pub(crate) const EXPIRED_SESSIONS: &str = "SELECT id, cookie_until, last_seen, ended_at, \
    (SELECT MAX(g.expires_at) FROM grants g WHERE g.session_id = sessions.id) AS grants_until, \
    (SELECT MIN(c.hash) FROM codes c WHERE c.session_id = sessions.id) AS a_code \
    FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2";

struct Examined {
    examined: u64,
    deleted: u64,
}

impl Examined {
    fn new(rows: &[Row], deleted: u64) -> Self {
        Self { examined: u64::try_from(rows.len()).unwrap_or(u64::MAX), deleted }
    }
}

struct CollectGrants(Retention);

impl CollectGrants {
    /// When the grant may be deleted, as far as known; `None`: no limit.
    fn expiry(&self, row: &Row) -> Result<Option<Timestamp>, StoreError> {
        let tokens_until = row.time("tokens_until")?;
        if row.int("refreshable")? == 0 || row.maybe_time("ended_at")?.is_some() {
            return Ok(Some(tokens_until));
        }
        let idle = self.0.max_idle.map(|max| row.time("rotated_at").map(|at| at + max));
        let age = self.0.max_age.map(|max| row.time("created_at").map(|at| at + max));
        let end = [idle.transpose()?, age.transpose()?].into_iter().flatten().min();
        Ok(end.map(|end| end.max(tokens_until)))
    }

    /// Checks the limits again, because the grant may have been rotated meanwhile.
    async fn delete(&self, conn: &mut Conn<'_>, ids: &[String]) -> Result<u64, StoreError> {
        let now = self.0.now;
        let mut sql = Sql::default();
        sql.push("DELETE FROM grants WHERE id IN ").bind_list(ids.iter());
        sql.push(" AND tokens_until < ").bind(now);
        sql.push(" AND (ended_at IS NOT NULL OR refreshable = 0");
        if let Some(max) = self.0.max_idle {
            sql.push(" OR rotated_at < ").bind(now - max);
        }
        if let Some(max) = self.0.max_age {
            sql.push(" OR created_at < ").bind(now - max);
        }
        sql.push(")");
        conn.execute_built(&sql).await
    }
}

impl Operation for CollectGrants {
    type Output = Examined;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Examined, StoreError> {
        let now = self.0.now;
        let rows = conn.select(EXPIRED_GRANTS, &[now.into(), BATCH.into()]).await?;
        let (mut expired, mut sessions, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            match self.expiry(row)? {
                Some(expiry) if expiry < now => {
                    expired.push(row.text("id")?);
                    sessions.push(row.text("session_id")?);
                }
                Some(expiry) => later.push((row.text("id")?, expiry)),
                None => later.push((row.text("id")?, now + EXAMINE_AGAIN)),
            }
        }
        set_expiry(conn, "grants", &later).await?;
        if expired.is_empty() {
            return Ok(Examined::new(&rows, 0));
        }
        let deleted = self.delete(conn, &expired).await?;
        let mut sql = Sql::default();
        sql.push("UPDATE sessions SET expires_at = ").bind(now);
        sql.push(" WHERE expires_at > ").bind(now).push(" AND id IN ").bind_list(sessions.iter());
        conn.execute_built(&sql).await?;
        Ok(Examined::new(&rows, deleted))
    }
}

/// Sets when these rows are next examined.
async fn set_expiry(
    conn: &mut Conn<'_>,
    table: &'static str,
    rows: &[(String, Timestamp)],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::default();
    sql.push("UPDATE ").push(table).push(" SET expires_at = CASE id");
    for (id, at) in rows {
        sql.push(" WHEN ").bind(id).push(" THEN ").bind(*at);
    }
    sql.push(" ELSE expires_at END WHERE id IN ").bind_list(rows.iter().map(|(id, _)| id));
    conn.execute_built(&sql).await?;
    Ok(())
}

struct CollectSessions {
    now: Timestamp,
}

impl CollectSessions {
    /// The next instant at which the session may have expired; `None` if it has expired.
    fn next(&self, row: &Row) -> Result<Option<Timestamp>, StoreError> {
        if let Some(grants_until) = row.maybe_time("grants_until")? {
            return Ok(Some(grants_until.max(self.now)));
        }
        if row.maybe_text("a_code")?.is_some() {
            return Ok(Some(self.now + EXAMINE_CODES_AGAIN));
        }
        if row.maybe_time("ended_at")?.is_some() {
            return Ok(None);
        }
        let unused = (row.time("last_seen")? + ISSUE_MARGIN).max(row.time("cookie_until")?);
        Ok((unused >= self.now).then_some(unused))
    }
}

impl Operation for CollectSessions {
    type Output = Examined;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Examined, StoreError> {
        let rows = conn.select(EXPIRED_SESSIONS, &[self.now.into(), BATCH.into()]).await?;
        let (mut expired, mut later) = (Vec::new(), Vec::new());
        for row in &rows {
            match self.next(row)? {
                None => expired.push(row.text("id")?),
                // At least a millisecond later, so that the row leaves the index range.
                Some(at) => later.push((row.text("id")?, at + Duration::from_millis(1))),
            }
        }
        set_expiry(conn, "sessions", &later).await?;
        if expired.is_empty() {
            return Ok(Examined::new(&rows, 0));
        }
        // The memberships of ended sessions were closed when they ended. For the others they are closed now, since no
        // token of theirs is valid any more.
        let live = self.live(conn, &expired).await?;
        let mut sql = Sql::default();
        sql.push("DELETE FROM sessions WHERE id IN ").bind_list(expired.iter());
        sql.push(" AND (ended_at IS NOT NULL OR (cookie_until < ").bind(self.now);
        sql.push(" AND last_seen < ").bind(self.now - ISSUE_MARGIN).push("))");
        let deleted = conn.execute_built(&sql).await?;
        for (session, connector, identity) in &live {
            Holder { session, connector, identity }.end(conn, self.now).await?;
        }
        Ok(Examined::new(&rows, deleted))
    }
}

impl CollectSessions {
    async fn live(
        &self,
        conn: &mut Conn<'_>,
        ids: &[String],
    ) -> Result<Vec<(SessionId, ConnectorId, Identity)>, StoreError> {
        let mut sql = Sql::default();
        sql.push(
            "SELECT id, connector_id, identity FROM sessions WHERE ended_at IS NULL AND id IN ",
        );
        sql.bind_list(ids.iter());
        let rows = conn.select_built(&sql).await?;
        let live = rows.iter().map(|row| {
            let connector = ConnectorId::new(row.text("connector_id")?);
            Ok((SessionId::new(row.text("id")?), connector, row.json("identity")?))
        });
        live.collect()
    }
}
