//! Revalidation of a session at its upstream: the lease, the refreshed identity, and users whom the upstream no longer
//! knows.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{Identity, Session, SessionId, Timestamp};
use serde_json::json;

use crate::circuit_breakers::is_circuit_open;
use crate::ends::{SessionEnd, end_session};
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::engine::sql::Value;
use crate::events::{record, session_event};
use crate::memberships::Holder;
use crate::names::SearchNames;
use crate::rows::{self, session_columns};
use crate::search::set_search_columns;
use crate::{Store, StoreError};

/// The result of a revalidation.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub session: SessionId,
    /// Its `user_id` must be that of the session.
    pub identity: Identity,
    pub fingerprint: String,
    /// Replaces the upstream data, sealed; `None` deletes it.
    pub upstream: Option<String>,
    /// The upstream data that the revalidation has used, sealed as they were read.
    pub used_upstream: Option<String>,
    /// When the user of the revalidated session had authenticated. A login since then returned a newer identity and
    /// upstream data, perhaps for more scopes: these stay. Only if it returned no upstream data, those that the
    /// revalidation has used are replaced.
    pub auth_time: Timestamp,
    /// The lease held for the revalidation, as its expiry; `None` if none was needed.
    pub lease: Option<Timestamp>,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Reported missing for the first time; the session remains live.
    First,
    /// Reported missing again, too soon after the first time; the session remains live.
    Pending,
    Ended(SessionEnd),
    /// The connector's circuit breaker is open: nothing was recorded, the session remains live.
    CircuitOpen,
    /// The session was not live.
    NotLive,
}

impl Missing {
    /// For logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Pending => "pending",
            Self::Ended(_) => "ended",
            Self::CircuitOpen => "circuit_open",
            Self::NotLive => "not_live",
        }
    }
}

impl Store {
    /// Acquires the lease on revalidating a live session until `until`; false if another request holds it. A lease is
    /// identified by its expiry: whoever acquires the next one does so later.
    pub async fn lease_upstream(
        &self,
        session: &SessionId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(Lease { session: session.clone(), now, until }).await
    }

    /// Releases the lease that was acquired until `lease`. Does nothing if that has expired and another request has
    /// acquired the next one since.
    pub async fn release_upstream(
        &self,
        session: &SessionId,
        lease: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Release { session: session.clone(), lease }).await
    }

    /// Replaces the identity and upstream data and releases the snapshot's lease; false if the session is not live or
    /// belongs to another user.
    pub async fn update_snapshot(&self, snapshot: Snapshot) -> Result<bool, StoreError> {
        self.write(snapshot).await
    }

    /// Replaces the upstream data of a live session; false if they are no longer `before`. Both are sealed. Does not
    /// release the lease.
    pub async fn replace_upstream(
        &self,
        session: &SessionId,
        before: &str,
        after: &str,
    ) -> Result<bool, StoreError> {
        let (before, after) = (before.to_owned(), after.to_owned());
        self.write(ReplaceUpstream { session: session.clone(), before, after }).await
    }

    /// Records that the upstream no longer knows the user. The session ends with `reason` at a second report at least
    /// `delay` after the first, or immediately if `delay` is zero.
    pub async fn mark_missing(
        &self,
        session: &SessionId,
        reason: EndReason,
        delay: Duration,
        now: Timestamp,
    ) -> Result<Missing, StoreError> {
        self.write(MarkMissing { session: session.clone(), reason, delay, now }).await
    }
}

struct Lease {
    session: SessionId,
    now: Timestamp,
    until: Timestamp,
}

impl Operation for Lease {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let updated = conn
            .execute(
                "UPDATE sessions SET upstream_lease = $3 WHERE id = $1 AND ended_at IS NULL \
                 AND (upstream_lease IS NULL OR upstream_lease < $2)",
                &[(&self.session).into(), self.now.into(), self.until.into()],
            )
            .await?;
        Ok(updated == 1)
    }
}

struct Release {
    session: SessionId,
    lease: Timestamp,
}

impl Operation for Release {
    type Output = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        conn.execute(
            "UPDATE sessions SET upstream_lease = NULL WHERE id = $1 AND upstream_lease = $2",
            &[(&self.session).into(), self.lease.into()],
        )
        .await?;
        Ok(())
    }
}

struct ReplaceUpstream {
    session: SessionId,
    before: String,
    after: String,
}

impl Operation for ReplaceUpstream {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let updated = conn
            .execute(
                "UPDATE sessions SET upstream = $3 \
                 WHERE id = $1 AND ended_at IS NULL AND upstream = $2",
                &[(&self.session).into(), (&self.before).into(), (&self.after).into()],
            )
            .await?;
        Ok(updated == 1)
    }
}

impl Operation for Snapshot {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        apply(conn, self).await
    }
}

/// Stores the identity, unless the user has signed in again since, and releases the snapshot's lease. False if the
/// session is not live or belongs to another user.
pub(crate) async fn apply(conn: &mut Conn<'_>, snapshot: &Snapshot) -> Result<bool, StoreError> {
    let locked = lock_session(conn, &snapshot.session, snapshot.lease).await?;
    let Some(before) = locked else { return Ok(false) };
    // `sub` is derived from the user id (OpenID Connect Core section 2) and must not change within a session.
    if before.identity.user_id != snapshot.identity.user_id {
        return Ok(false);
    }
    if before.auth_time > snapshot.auth_time {
        if before.upstream.is_some() && before.upstream == snapshot.used_upstream {
            let values: [Value; 2] = [(&snapshot.session).into(), (&snapshot.upstream).into()];
            conn.execute("UPDATE sessions SET upstream = $2 WHERE id = $1", &values).await?;
        }
        return Ok(true);
    }
    conn.execute(
        "UPDATE sessions SET identity = $2, identity_at = $3, fingerprint = $4, upstream = $5, \
         missing_since = NULL WHERE id = $1",
        &[
            (&snapshot.session).into(),
            Value::json(&snapshot.identity)?,
            snapshot.now.into(),
            (&snapshot.fingerprint).into(),
            (&snapshot.upstream).into(),
        ],
    )
    .await?;
    // Each is indexed, and most revalidations do not change them.
    let names = SearchNames::of(&snapshot.identity);
    if names != SearchNames::of(&before.identity) {
        set_search_columns(conn, &before.id, &names, false).await?;
    }
    record_changed_groups(conn, &before, &snapshot.identity, snapshot.now).await?;
    Ok(true)
}

/// Locks the row of a live session, and releases this lease if it is still held.
async fn lock_session(
    conn: &mut Conn<'_>,
    id: &SessionId,
    lease: Option<Timestamp>,
) -> Result<Option<Session>, StoreError> {
    let rows = conn
        .returning(
            concat!(
                "UPDATE sessions SET upstream_lease = \
                 CASE WHEN upstream_lease = $2 THEN NULL ELSE upstream_lease END \
                 WHERE id = $1 AND ended_at IS NULL RETURNING ",
                session_columns!()
            ),
            &[id.into(), lease.into()],
        )
        .await?;
    rows.first().map(rows::session).transpose()
}

/// Records changed groups; a different order is not a change.
pub(crate) async fn record_changed_groups(
    conn: &mut Conn<'_>,
    before: &Session,
    after: &Identity,
    now: Timestamp,
) -> Result<(), StoreError> {
    let was: BTreeSet<_> = before.identity.groups.iter().collect();
    let is: BTreeSet<_> = after.groups.iter().collect();
    if was == is {
        return Ok(());
    }
    let holder = Holder { session: &before.id, connector: &before.connector, identity: after };
    holder.change(conn, &before.identity, now).await?;
    let mut event = session_event(before, now, EventKind::GroupsChanged, "upstream");
    event.details = json!({ "before": before.identity.groups, "after": after.groups });
    record(conn, &event).await
}

struct MarkMissing {
    session: SessionId,
    reason: EndReason,
    delay: Duration,
    now: Timestamp,
}

impl Operation for MarkMissing {
    type Output = Missing;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Missing, StoreError> {
        let Some(session) = lock_session(conn, &self.session, None).await? else {
            return Ok(Missing::NotLive);
        };
        // Read from the database, so that no replica ends a session after another opened the breaker.
        if is_circuit_open(conn, &session.connector).await? {
            return Ok(Missing::CircuitOpen);
        }
        let at_once = self.delay.is_zero().then_some(self.now);
        let Some(first) = session.missing_since.or(at_once) else {
            conn.execute(
                "UPDATE sessions SET missing_since = $2 WHERE id = $1",
                &[(&self.session).into(), self.now.into()],
            )
            .await?;
            return Ok(Missing::First);
        };
        if self.now.since(first) < self.delay {
            return Ok(Missing::Pending);
        }
        let ended = Ended { at: self.now, by: "upstream".into(), reason: self.reason };
        let end = end_session(conn, &self.session, &ended, None).await?;
        Ok(end.map_or(Missing::NotLive, Missing::Ended))
    }
}
