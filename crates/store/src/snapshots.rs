//! What the upstream says of a person in a session: who may ask, what came back, who is missing.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{Identity, Session, SessionId, Timestamp};
use serde_json::json;

use crate::circuit_breakers::is_circuit_open;
use crate::ends::{SessionEnd, end_session};
use crate::engine::Operation;
use crate::engine::conn::{Conn, Value};
use crate::events::{about, tell};
use crate::memberships::Holder;
use crate::names::{Names, set_names};
use crate::rows::{self, session_columns};
use crate::{Store, StoreError};

/// What the connector answered when it was asked again.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub session: SessionId,
    /// Of the same `user_id`; another person's is refused.
    pub identity: Identity,
    pub fingerprint: String,
    /// Replaces what was kept, sealed; `None` keeps nothing.
    pub upstream: Option<String>,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Refused for the first time; the session lives.
    First,
    /// Refused again, too soon to believe it; the session lives.
    Waiting,
    Ended(SessionEnd),
    /// The connector is circuit_breaker: nothing was marked, the session lives.
    CircuitOpen,
    /// The session was not live.
    Gone,
}

impl Store {
    /// Takes the right to ask the upstream about a live session until `until`, when nobody has it;
    /// true when it was taken.
    pub async fn lease_upstream(
        &self,
        session: &SessionId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(Lease { session: session.clone(), now, until }).await
    }

    pub async fn release_upstream(&self, session: &SessionId) -> Result<(), StoreError> {
        self.write(Release(session.clone())).await
    }

    /// Replaces what is known of the person and gives the lease back; false when the session is
    /// not live or is somebody else's.
    pub async fn update_snapshot(&self, snapshot: Snapshot) -> Result<bool, StoreError> {
        self.write(snapshot).await
    }

    /// The upstream no longer finds the person. A second time at least `patience` after the first
    /// ends the session for `why`; with a `patience` of zero the first does. Gives the lease back.
    pub async fn mark_missing(
        &self,
        session: &SessionId,
        why: EndReason,
        patience: Duration,
        now: Timestamp,
    ) -> Result<Missing, StoreError> {
        self.write(MarkMissing { session: session.clone(), why, patience, now }).await
    }
}

struct Lease {
    session: SessionId,
    now: Timestamp,
    until: Timestamp,
}

impl Operation for Lease {
    type Answer = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let taken = conn
            .execute(
                "UPDATE sessions SET upstream_lease = $3 WHERE id = $1 AND ended_at IS NULL \
                 AND (upstream_lease IS NULL OR upstream_lease < $2)",
                &[(&self.session).into(), self.now.into(), self.until.into()],
            )
            .await?;
        Ok(taken == 1)
    }
}

struct Release(SessionId);

impl Operation for Release {
    type Answer = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        conn.execute(
            "UPDATE sessions SET upstream_lease = NULL \
             WHERE id = $1 AND upstream_lease IS NOT NULL",
            &[(&self.0).into()],
        )
        .await?;
        Ok(())
    }
}

impl Operation for Snapshot {
    type Answer = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        apply(conn, self).await
    }
}

pub(crate) async fn apply(conn: &mut Conn<'_>, snapshot: &Snapshot) -> Result<bool, StoreError> {
    let Some(before) = take(conn, &snapshot.session).await? else { return Ok(false) };
    // `sub` is made of the user id (OpenID Connect Core section 2): it never changes in a session.
    if before.identity.user_id != snapshot.identity.user_id {
        return Ok(false);
    }
    conn.execute(
        "UPDATE sessions SET identity = $2, identity_at = $3, basis = $4, upstream = $5, \
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
    // Each is in an index; most snapshots change none of them.
    let names = Names::of(&snapshot.identity);
    if names != Names::of(&before.identity) {
        set_names(conn, &before, &names, false).await?;
    }
    tell_changed_groups(conn, &before, &snapshot.identity, snapshot.now).await?;
    Ok(true)
}

/// Takes the row of a live session and gives its lease back.
async fn take(conn: &mut Conn<'_>, id: &SessionId) -> Result<Option<Session>, StoreError> {
    let rows = conn
        .returning(
            concat!(
                "UPDATE sessions SET upstream_lease = NULL \
                 WHERE id = $1 AND ended_at IS NULL RETURNING ",
                session_columns!()
            ),
            &[id.into()],
        )
        .await?;
    rows.first().map(rows::session).transpose()
}

/// An upstream may answer in another order: only another set is a change.
pub(crate) async fn tell_changed_groups(
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
    let mut event = about(before, now, EventKind::GroupsChanged, "upstream");
    event.details = json!({ "before": before.identity.groups, "after": after.groups });
    tell(conn, &event).await
}

struct MarkMissing {
    session: SessionId,
    why: EndReason,
    patience: Duration,
    now: Timestamp,
}

impl Operation for MarkMissing {
    type Answer = Missing;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Missing, StoreError> {
        let Some(session) = take(conn, &self.session).await? else { return Ok(Missing::Gone) };
        // Looked at here and not only in memory: no replica ends anybody after another set a brake.
        if is_circuit_open(conn, &session.connector).await? {
            return Ok(Missing::CircuitOpen);
        }
        let at_once = self.patience.is_zero().then_some(self.now);
        let Some(first) = session.missing_since.or(at_once) else {
            conn.execute(
                "UPDATE sessions SET missing_since = $2 WHERE id = $1",
                &[(&self.session).into(), self.now.into()],
            )
            .await?;
            return Ok(Missing::First);
        };
        if self.now.since(first) < self.patience {
            return Ok(Missing::Waiting);
        }
        let ended = Ended { at: self.now, by: "upstream".into(), why: self.why };
        let end = end_session(conn, &self.session, &ended, None).await?;
        Ok(end.map_or(Missing::Gone, Missing::Ended))
    }
}
