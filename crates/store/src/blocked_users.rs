//! Users blocked by an administrator: sign-in, refresh and Kubernetes requests are refused. Every session that is read
//! includes its user's block (`Session::blocked_until`), so that checking it needs no separate statement.

use countersign_core::event::EventKind;
use countersign_core::{ConnectorId, Event, Timestamp};
use serde_json::json;

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::events::record;
use crate::{Store, StoreError};

/// Maximum number of rows of a page.
const MAX_PAGE: i64 = 500;

/// A block that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedUser {
    pub connector: ConnectorId,
    pub user_id: String,
    /// Shown to administrators and logged.
    pub reason: String,
    pub blocked_at: Timestamp,
    /// `user:…`, `client:…`.
    pub blocked_by: String,
    /// `None`: the block lasts until it is lifted.
    pub expires_at: Option<Timestamp>,
}

/// Blocks a person, or replaces reason and end of an existing block.
#[derive(Clone, Debug)]
pub struct BlockUser {
    pub connector: ConnectorId,
    pub user_id: String,
    pub reason: String,
    /// `user:…`, `client:…`.
    pub by: String,
    pub now: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Address of the request, for the event.
    pub ip: Option<String>,
}

/// One page of blocked users.
#[derive(Clone, Debug, Default)]
pub struct BlockedUserPage {
    pub users: Vec<BlockedUser>,
    /// Whether there are more; the next page begins after the connector and user id of the last row.
    pub more: bool,
}

impl Store {
    /// Blocks a user and records the event. Sessions of the user are refused from now on, but do not end.
    pub async fn block_user(&self, block: BlockUser) -> Result<BlockedUser, StoreError> {
        self.write(block).await
    }

    /// Lifts a block and records the event; false when the user is not blocked.
    pub async fn unblock_user(
        &self,
        connector: &ConnectorId,
        user_id: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (connector, user_id, by) = (connector.clone(), user_id.to_owned(), by.to_owned());
        self.write(Unblock { connector, user_id, by, now }).await
    }

    /// The block of a user, unless it has expired.
    pub async fn blocked_user(
        &self,
        connector: &ConnectorId,
        user_id: &str,
        now: Timestamp,
    ) -> Result<Option<BlockedUser>, StoreError> {
        let (connector, user_id) = (connector.clone(), user_id.to_owned());
        self.read(FindBlock { connector, user_id, now }).await
    }

    /// Blocks that have not expired, ordered by connector and user id: 1 to 500 of them, after the given connector and
    /// user id.
    pub async fn blocked_users(
        &self,
        after: Option<(ConnectorId, String)>,
        limit: i64,
        now: Timestamp,
    ) -> Result<BlockedUserPage, StoreError> {
        self.read(ListBlocks { after, limit: limit.clamp(1, MAX_PAGE), now }).await
    }
}

macro_rules! columns {
    () => {
        "connector_id, user_id, reason, blocked_at, blocked_by, expires_at"
    };
}

fn blocked_user(row: &Row) -> Result<BlockedUser, StoreError> {
    Ok(BlockedUser {
        connector: ConnectorId::new(row.text("connector_id")?),
        user_id: row.text("user_id")?,
        reason: row.text("reason")?,
        blocked_at: row.time("blocked_at")?,
        blocked_by: row.text("blocked_by")?,
        expires_at: row.maybe_time("expires_at")?,
    })
}

impl Operation for BlockUser {
    type Output = BlockedUser;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<BlockedUser, StoreError> {
        conn.execute(
            concat!(
                "INSERT INTO blocked_users (",
                columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (connector_id, user_id) \
                 DO UPDATE SET reason = excluded.reason, blocked_at = excluded.blocked_at, \
                 blocked_by = excluded.blocked_by, expires_at = excluded.expires_at"
            ),
            &[
                (&self.connector).into(),
                (&self.user_id).into(),
                (&self.reason).into(),
                self.now.into(),
                (&self.by).into(),
                self.expires_at.into(),
            ],
        )
        .await?;
        let mut event = Event::new(self.now, EventKind::UserBlocked, self.by.clone());
        event.connector = Some(self.connector.clone());
        event.user_id = Some(self.user_id.clone());
        event.ip.clone_from(&self.ip);
        event.details = json!({ "reason": self.reason, "expires_at": self.expires_at });
        record(conn, &event).await?;
        Ok(BlockedUser {
            connector: self.connector.clone(),
            user_id: self.user_id.clone(),
            reason: self.reason.clone(),
            blocked_at: self.now,
            blocked_by: self.by.clone(),
            expires_at: self.expires_at,
        })
    }
}

struct Unblock {
    connector: ConnectorId,
    user_id: String,
    by: String,
    now: Timestamp,
}

impl Operation for Unblock {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let deleted = conn
            .execute(
                "DELETE FROM blocked_users WHERE connector_id = $1 AND user_id = $2 \
                 AND (expires_at IS NULL OR expires_at > $3)",
                &[(&self.connector).into(), (&self.user_id).into(), self.now.into()],
            )
            .await?;
        if deleted == 0 {
            return Ok(false);
        }
        let mut event = Event::new(self.now, EventKind::UserUnblocked, self.by.clone());
        event.connector = Some(self.connector.clone());
        event.user_id = Some(self.user_id.clone());
        record(conn, &event).await?;
        Ok(true)
    }
}

struct FindBlock {
    connector: ConnectorId,
    user_id: String,
    now: Timestamp,
}

impl Operation for FindBlock {
    type Output = Option<BlockedUser>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Output, StoreError> {
        find_block(conn, &self.connector, &self.user_id, self.now).await
    }
}

/// The block of a user, if it has not expired at `now`.
pub(crate) async fn find_block(
    conn: &mut Conn<'_>,
    connector: &ConnectorId,
    user_id: &str,
    now: Timestamp,
) -> Result<Option<BlockedUser>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM blocked_users WHERE connector_id = $1 AND user_id = $2 \
         AND (expires_at IS NULL OR expires_at > $3)"
    );
    let row = conn.select_one(sql, &[connector.into(), user_id.into(), now.into()]).await?;
    row.as_ref().map(blocked_user).transpose()
}

struct ListBlocks {
    after: Option<(ConnectorId, String)>,
    limit: i64,
    now: Timestamp,
}

impl Operation for ListBlocks {
    type Output = BlockedUserPage;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<BlockedUserPage, StoreError> {
        let (connector, user_id) = match &self.after {
            Some((connector, user_id)) => (connector.as_str(), user_id.as_str()),
            None => ("", ""),
        };
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM blocked_users WHERE (connector_id, user_id) > ($1, $2) \
             AND (expires_at IS NULL OR expires_at > $3) ORDER BY connector_id, user_id LIMIT $4"
        );
        let values = [connector.into(), user_id.into(), self.now.into(), (self.limit + 1).into()];
        let rows = conn.select(sql, &values).await?;
        let mut users = rows.iter().map(blocked_user).collect::<Result<Vec<_>, _>>()?;
        let more = crate::page_cursor::truncate_page(&mut users, self.limit);
        Ok(BlockedUserPage { users, more })
    }
}
