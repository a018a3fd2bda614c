//! Grants and the rotation of their refresh tokens.
//!
//! A refresh token names its grant and a generation; the database knows the current generation
//! and never the token. One compare-and-set decides who rotates.

use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{Grant, GrantId, Session, SessionId, Timestamp};
use serde_json::json;

use crate::ends::end_grant;
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::error::broken;
use crate::events::{about, tell};
use crate::rows::{self, grant_columns, session_columns};
use crate::sessions::lock_live_session;
use crate::snapshots::{Snapshot, apply};
use crate::{Store, StoreError};

/// A refresh token with a valid MAC was presented, and the answer would carry new tokens.
#[derive(Clone, Debug)]
pub struct Rotate {
    pub grant: GrantId,
    /// The generation in the token presented.
    pub proxy_headers: i64,
    /// False for clients whose refresh token stays the same.
    pub rotate: bool,
    /// The key under which the next refresh token will be made.
    pub mac_key: i64,
    pub now: Timestamp,
    /// The last of the new tokens dies then.
    pub tokens_until: Timestamp,
    /// How long the generation before the current one gets the same answer again (RFC 9700
    /// section 4.14.2 leaves it to us); zero for never.
    pub reuse_interval: Duration,
    /// What the upstream said for this refresh; written with a new generation, or not at all.
    pub snapshot: Option<Snapshot>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The token to give is of this generation.
    Rotated { generation: i64 },
    /// A lost answer or a parallel request: the token to give is again of this generation.
    Repeated { generation: i64 },
    /// The token was newer than the database, which therefore went back in time; adopted.
    WentBack { generation: i64 },
    /// Theft or a lost answer: the grant has ended, its last token dies then.
    Reused { tokens_until: Timestamp },
    /// The grant or its session is not live. Nothing was given.
    Ended,
}

impl Store {
    /// A grant with its session, both ended or not.
    pub async fn grant(&self, id: &GrantId) -> Result<Option<(Grant, Session)>, StoreError> {
        self.read(ById(id.clone())).await
    }

    /// Decides what a refresh token is worth, and records what is given for it.
    pub async fn rotate(&self, rotate: Rotate) -> Result<Rotation, StoreError> {
        self.write(rotate).await
    }
}

struct ById(GrantId);

impl Operation for ById {
    type Answer = Option<(Grant, Session)>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer, StoreError> {
        let Some(grant) = grant(conn, &self.0).await? else { return Ok(None) };
        let sql = concat!("SELECT ", session_columns!(), " FROM sessions WHERE id = $1");
        let row = conn.select_one(sql, &[(&grant.session).into()]).await?;
        Ok(match row {
            Some(row) => Some((grant, rows::session(&row)?)),
            // Both were forgotten between the two looks.
            None => None,
        })
    }
}

async fn grant(conn: &mut Conn<'_>, id: &GrantId) -> Result<Option<Grant>, StoreError> {
    let sql = concat!("SELECT ", grant_columns!(), " FROM grants WHERE id = $1");
    let row = conn.select_one(sql, &[id.into()]).await?;
    row.as_ref().map(rows::grant).transpose()
}

impl Operation for Rotate {
    type Answer = Rotation;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Rotation, StoreError> {
        let sql = "SELECT session_id FROM grants WHERE id = $1";
        let Some(row) = conn.select_one(sql, &[(&self.grant).into()]).await? else {
            return Ok(Rotation::Ended);
        };
        let session = SessionId::new(row.text("session_id")?);
        // From here on no other rotation of this session runs.
        if !lock_live_session(conn, &session, self.now).await? {
            return Ok(Rotation::Ended);
        }
        let next =
            if self.rotate { self.proxy_headers.saturating_add(1) } else { self.proxy_headers };
        if self.advance(conn, self.proxy_headers, next).await? {
            self.keep_snapshot(conn, &session).await?;
            return Ok(Rotation::Rotated { generation: next });
        }
        let Some(grant) = grant(conn, &self.grant).await? else { return Ok(Rotation::Ended) };
        if grant.ended.is_some() || !grant.refreshable {
            return Ok(Rotation::Ended);
        }
        if self.proxy_headers > grant.generation {
            return self.adopt(conn, &grant, next).await;
        }
        if self.is_repetition(&grant) {
            return self.repeat(conn, &grant).await;
        }
        let ended = Ended { at: self.now, by: "system".into(), why: EndReason::RefreshReused };
        let end = end_grant(conn, &self.grant, &ended).await?;
        Ok(end.map_or(Rotation::Ended, |end| Rotation::Reused { tokens_until: end.tokens_until }))
    }
}

impl Rotate {
    /// The compare-and-set; true when it hit.
    async fn advance(&self, conn: &mut Conn<'_>, from: i64, to: i64) -> Result<bool, StoreError> {
        let hit = conn
            .execute(
                "UPDATE grants SET generation = $3, mac_key = $4, rotated_at = $5, \
                 tokens_until = CASE WHEN tokens_until < $6 THEN $6 ELSE tokens_until END \
                 WHERE id = $1 AND generation = $2 AND refreshable = 1 AND ended_at IS NULL",
                &[
                    (&self.grant).into(),
                    from.into(),
                    to.into(),
                    self.mac_key.into(),
                    self.now.into(),
                    self.tokens_until.into(),
                ],
            )
            .await?;
        Ok(hit == 1)
    }

    fn is_repetition(&self, grant: &Grant) -> bool {
        grant.generation.checked_sub(1) == Some(self.proxy_headers)
            && !self.reuse_interval.is_zero()
            && self.now.since(grant.rotated_at) <= self.reuse_interval
    }

    /// New tokens under the generation that is current already.
    async fn repeat(&self, conn: &mut Conn<'_>, grant: &Grant) -> Result<Rotation, StoreError> {
        let raised = conn
            .execute(
                "UPDATE grants SET \
                 tokens_until = CASE WHEN tokens_until < $2 THEN $2 ELSE tokens_until END \
                 WHERE id = $1 AND ended_at IS NULL",
                &[(&self.grant).into(), self.tokens_until.into()],
            )
            .await?;
        Ok(match raised {
            0 => Rotation::Ended,
            _ => Rotation::Repeated { generation: grant.generation },
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
        self.keep_snapshot(conn, &grant.session).await?;
        let sql = concat!("SELECT ", session_columns!(), " FROM sessions WHERE id = $1");
        let row = conn.select_one(sql, &[(&grant.session).into()]).await?;
        let row = row.ok_or_else(|| broken("a grant has no session"))?;
        let mut event =
            about(&rows::session(&row)?, self.now, EventKind::DatabaseRestored, "system");
        event.grant = Some(grant.id.clone());
        event.client = Some(grant.client.clone());
        event.details = json!({ "remembered": grant.generation, "presented": self.proxy_headers });
        tell(conn, &event).await?;
        Ok(Rotation::WentBack { generation: next })
    }

    async fn keep_snapshot(
        &self,
        conn: &mut Conn<'_>,
        session: &SessionId,
    ) -> Result<(), StoreError> {
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        if snapshot.session != *session || !apply(conn, snapshot).await? {
            return Err(broken("a refresh brought the snapshot of another session or person"));
        }
        Ok(())
    }
}
