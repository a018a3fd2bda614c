//! Grants and the rotation of their refresh tokens.
//!
//! A refresh token contains its grant and a generation; the database stores the current generation, never the token. A
//! compare-and-set decides which request rotates.

use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{Grant, GrantId, Session, SessionId, Timestamp};
use serde_json::json;

use crate::ends::end_grant;
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::engine::sql::Statements;
use crate::error::corrupt;
use crate::events::{record, session_event};
use crate::rows::{self, grant_columns, session_columns, usable_session};
use crate::sessions::{lock_statement, lock_usable_session};
use crate::snapshots::{Snapshot, apply};
use crate::unconfirmed::Unconfirmed;
use crate::{Store, StoreError};

/// A refresh token with a valid MAC was presented; describes the response's tokens.
#[derive(Clone, Debug)]
pub struct Rotate {
    pub grant: GrantId,
    /// The session of the grant.
    pub session: SessionId,
    /// The generation of the presented token.
    pub generation: i64,
    /// False for clients whose refresh token is not rotated.
    pub rotate: bool,
    /// The MAC key of the next refresh token.
    pub mac_key: i64,
    pub now: Timestamp,
    /// Expiry of the last of the new tokens.
    pub tokens_until: Timestamp,
    /// For how long the previous generation is accepted again, for a lost response or concurrent requests; zero: never.
    /// RFC 9700 section 4.14.2 leaves this to the server.
    pub reuse_interval: Duration,
    /// The identity refreshed for this request. Stored whatever the outcome, if the session is live.
    pub snapshot: Option<Snapshot>,
}

/// The outcome of [`Store::rotate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The new refresh token has this generation.
    Rotated { generation: i64 },
    /// A lost response or a concurrent request: the refresh token has this generation again.
    Repeated { generation: i64 },
    /// The token is newer than the database, which was restored from a backup; its generation is adopted.
    DatabaseRestored { generation: i64 },
    /// Theft, or a response lost long ago: the grant has ended; expiry of its last token.
    Reused { tokens_until: Timestamp },
    /// The grant or its session is not live, or the user is blocked. Nothing was issued.
    Ended,
}

impl Store {
    /// A grant and its session, live or ended.
    pub async fn grant(&self, id: &GrantId) -> Result<Option<(Grant, Session)>, StoreError> {
        self.revert_unconfirmed(id.as_str()).await?;
        self.read(ById(id.clone())).await
    }

    /// Decides whether a refresh token is accepted, and records what is issued for it.
    pub async fn rotate(&self, rotate: Rotate) -> Result<Rotation, StoreError> {
        let unconfirmed = Unconfirmed::Rotation {
            grant: rotate.grant.clone(),
            from: rotate.generation,
            to: rotate.next(),
            mac_key: rotate.mac_key,
            at: rotate.now,
        };
        self.write_use(rotate, unconfirmed).await
    }
}

struct ById(GrantId);

impl Operation for ById {
    type Output = Option<(Grant, Session)>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Output, StoreError> {
        let row = conn.select_one(WITH_SESSION, &[(&self.0).into()]).await?;
        row.as_ref().map(rows::grant_and_session).transpose()
    }
}

pub(crate) const WITH_SESSION: &str = concat!(
    "SELECT ",
    grant_columns!(),
    ", ",
    session_columns!("sessions", "session_of_"),
    " FROM grants JOIN sessions ON sessions.id = grants.session_id WHERE grants.id = $1"
);

async fn grant(conn: &mut Conn<'_>, id: &GrantId) -> Result<Option<Grant>, StoreError> {
    let sql = concat!("SELECT ", grant_columns!(), " FROM grants WHERE id = $1");
    let row = conn.select_one(sql, &[id.into()]).await?;
    row.as_ref().map(rows::grant).transpose()
}

impl Operation for Rotate {
    type Output = Rotation;
    async fn run_in_one_statement(
        &self,
        conn: &mut Conn<'_>,
    ) -> Result<Option<Rotation>, StoreError> {
        let rotated = self.rotate_if_live(conn).await?;
        Ok(rotated.then(|| Rotation::Rotated { generation: self.next() }))
    }

    fn has_one_statement(&self) -> bool {
        self.snapshot.is_none()
    }

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Rotation, StoreError> {
        // On PostgreSQL, without a snapshot, the same statement was already attempted.
        if self.snapshot.is_none() && !conn.is_postgres() && self.rotate_if_live(conn).await? {
            return Ok(Rotation::Rotated { generation: self.next() });
        }
        // From here on no other rotation of this session runs concurrently.
        if !lock_usable_session(conn, &self.session, self.now).await? {
            return Ok(Rotation::Ended);
        }
        let rotation = self.decide(conn).await?;
        // The upstream has already replaced its refresh token, so the new one is stored whatever the outcome, and the
        // lease is released with it.
        if let Some(snapshot) = &self.snapshot
            && (snapshot.session != self.session || !apply(conn, snapshot).await?)
        {
            return Err(corrupt("a refresh has the snapshot of another session or person"));
        }
        Ok(rotation)
    }
}

impl Rotate {
    fn next(&self) -> i64 {
        if self.rotate { self.generation.saturating_add(1) } else { self.generation }
    }

    /// The usual case: the session is live and the token is the current one. [`lock_usable_session`] and
    /// [`Rotate::advance`] in one message. False: nothing was rotated.
    ///
    /// If PostgreSQL has to wait for the session's row it evaluates the condition again afterwards, and likewise for
    /// the grant's row (EvalPlanQual), so a concurrent end or rotation is seen.
    async fn rotate_if_live(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        // Stored texts contain no NUL.
        if self.grant.as_str().contains('\0') || self.session.as_str().contains('\0') {
            return Ok(false);
        }
        let values = vec![
            (&self.grant).into(),
            self.generation.into(),
            self.next().into(),
            self.mac_key.into(),
            self.now.into(),
            self.tokens_until.into(),
            (&self.session).into(),
        ];
        if conn.is_postgres() {
            let sql = concat!(
                "WITH live AS (UPDATE sessions SET last_seen = $5 WHERE id = $7 AND ",
                usable_session!("$5"),
                " RETURNING id) UPDATE grants SET generation = $3, mac_key = $4, rotated_at = $5, \
                 tokens_until = CASE WHEN tokens_until < $6 THEN $6 ELSE tokens_until END \
                 FROM live WHERE grants.id = $1 AND generation = $2 AND session_id = live.id \
                 AND refreshable = 1 AND ended_at IS NULL"
            );
            return Ok(conn.execute(sql, &values).await? == 1);
        }
        let mut statements = Statements::default();
        let sql = concat!(
            "UPDATE grants SET generation = $3, mac_key = $4, rotated_at = $5, \
             tokens_until = CASE WHEN tokens_until < $6 THEN $6 ELSE tokens_until END \
             WHERE id = $1 AND generation = $2 AND session_id = $7 AND refreshable = 1 \
             AND ended_at IS NULL AND EXISTS (SELECT 1 FROM sessions WHERE id = $7 AND ",
            usable_session!("$5"),
            ")"
        );
        statements.add(sql, values);
        statements.extend([lock_statement(&self.session, self.now)]);
        Ok(conn.execute_all(statements).await? == 2)
    }

    async fn decide(&self, conn: &mut Conn<'_>) -> Result<Rotation, StoreError> {
        let next = self.next();
        if self.advance(conn, self.generation, next).await? {
            return Ok(Rotation::Rotated { generation: next });
        }
        let Some(grant) = grant(conn, &self.grant).await? else { return Ok(Rotation::Ended) };
        if grant.ended.is_some() || !grant.refreshable || grant.session != self.session {
            return Ok(Rotation::Ended);
        }
        if self.generation > grant.generation {
            return self.adopt(conn, &grant, next).await;
        }
        if conn.may_have_run {
            if self.is_own_effect(&grant) {
                return Ok(Rotation::Rotated { generation: next });
            }
            // A later refresh came between. Whether its token was ours is not known, so nothing ends.
            if grant.generation > next {
                return Err(StoreError::OutcomeUnknown("the token was used meanwhile".into()));
            }
        }
        if self.is_repetition(&grant) {
            return self.repeat(conn, &grant).await;
        }
        // A rotation that is being reverted holds the row's lock; then the token is the current one again.
        let lock = "UPDATE grants SET generation = generation WHERE id = $1";
        conn.execute(lock, &[(&self.grant).into()]).await?;
        if self.advance(conn, self.generation, next).await? {
            return Ok(Rotation::Rotated { generation: next });
        }
        let ended = Ended { at: self.now, by: "system".into(), reason: EndReason::RefreshReused };
        let end = end_grant(conn, &self.grant, &ended, None).await?;
        Ok(end.map_or(Rotation::Ended, |end| Rotation::Reused { tokens_until: end.tokens_until }))
    }

    /// The compare-and-set; true if it succeeded.
    async fn advance(&self, conn: &mut Conn<'_>, from: i64, to: i64) -> Result<bool, StoreError> {
        let hit = conn
            .execute(
                "UPDATE grants SET generation = $3, mac_key = $4, rotated_at = $5, \
                 tokens_until = CASE WHEN tokens_until < $6 THEN $6 ELSE tokens_until END \
                 WHERE id = $1 AND generation = $2 AND session_id = $7 AND refreshable = 1 \
                 AND ended_at IS NULL",
                &[
                    (&self.grant).into(),
                    from.into(),
                    to.into(),
                    self.mac_key.into(),
                    self.now.into(),
                    self.tokens_until.into(),
                    (&self.session).into(),
                ],
            )
            .await?;
        Ok(hit == 1)
    }

    /// Whether the grant is as the statement has left it whose answer was lost. Another request with the same token
    /// in the same millisecond looks the same, and would have been issued the same refresh token.
    fn is_own_effect(&self, grant: &Grant) -> bool {
        grant.generation == self.next()
            && grant.rotated_at == self.now
            && grant.mac_key == self.mac_key
    }

    fn is_repetition(&self, grant: &Grant) -> bool {
        grant.generation.checked_sub(1) == Some(self.generation)
            && !self.reuse_interval.is_zero()
            && self.now.since(grant.rotated_at) <= self.reuse_interval
    }

    /// New tokens of the current generation, which is recorded as given again: a server that does not know whether its
    /// rotation was committed then leaves it (see `unconfirmed`).
    async fn repeat(&self, conn: &mut Conn<'_>, grant: &Grant) -> Result<Rotation, StoreError> {
        let raised = conn
            .execute(
                "UPDATE grants SET repeated_generation = generation, \
                 tokens_until = CASE WHEN tokens_until < $2 THEN $2 ELSE tokens_until END \
                 WHERE id = $1 AND generation = $3 AND ended_at IS NULL",
                &[(&self.grant).into(), self.tokens_until.into(), grant.generation.into()],
            )
            .await?;
        if raised == 1 {
            return Ok(Rotation::Repeated { generation: grant.generation });
        }
        // The rotation was reverted since the row was read, so the token is the current one again.
        let next = self.next();
        Ok(match self.advance(conn, self.generation, next).await? {
            true => Rotation::Rotated { generation: next },
            false => Rotation::Ended,
        })
    }

    async fn adopt(
        &self,
        conn: &mut Conn<'_>,
        grant: &Grant,
        next: i64,
    ) -> Result<Rotation, StoreError> {
        if !self.advance(conn, grant.generation, next).await? {
            return Ok(Rotation::Ended);
        }
        let sql = concat!("SELECT ", session_columns!(), " FROM sessions WHERE id = $1");
        let row = conn.select_one(sql, &[(&grant.session).into()]).await?;
        let row = row.ok_or_else(|| corrupt("a grant has no session"))?;
        let mut event =
            session_event(&rows::session(&row)?, self.now, EventKind::DatabaseRestored, "system");
        event.grant = Some(grant.id.clone());
        event.client = Some(grant.client.clone());
        event.details = json!({ "stored": grant.generation, "presented": self.generation });
        record(conn, &event).await?;
        Ok(Rotation::DatabaseRestored { generation: next })
    }
}
