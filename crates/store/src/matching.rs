//! The filter as SQL: one condition for search, preview and end alike, and for each index that can drive
//! it a text of its own, because an OR over everything would walk the whole table.

use countersign_core::{SessionFilter, SessionState, Timestamp};

use crate::StoreError;
use crate::engine::conn::{Conn, Value};
use crate::names::{LONGEST_TEXT, exact, key, pattern};
use crate::page::Mark;
use crate::rows::session_columns;

/// A client or a group that so few hold is looked up and put into order; one that more hold is soon met
/// on the way from the newest session to the oldest.
const FEW: i64 = 1000;

/// The whole filter; `$17` is left for a limit.
macro_rules! matching {
    ($driver:literal, $created_at:literal) => {
        concat!(
            $driver,
            $created_at,
            " >= $1 AND (",
            $created_at,
            ", s.id) < ($2, $3) AND s.last_seen >= $4 AND s.last_seen < $5 \
             AND CASE WHEN s.ended_at IS NULL THEN $6 ELSE $7 END = 1 \
             AND ($8 IS NULL OR s.connector_id = $8) \
             AND ($9 IS NULL OR s.ip = $9) \
             AND ($10 IS NULL OR s.search LIKE $10 ESCAPE '\\') \
             AND ($11 IS NULL OR s.user_key = $11 OR s.login = $11 OR s.email = $11) \
             AND ($12 IS NULL OR (s.connector_id = $12 AND s.user_id = $13)) \
             AND ($14 IS NULL OR s.id <> $14) \
             AND ($15 IS NULL OR EXISTS (SELECT 1 FROM grants g WHERE g.session_id = s.id \
             AND g.client_id = $15 AND g.ended_at IS NULL)) \
             AND ($16 IS NULL OR EXISTS (SELECT 1 FROM memberships m WHERE m.session_id = s.id \
             AND m.group_name = $16 AND (m.until IS NULL OR m.until >= s.ended_at)))"
        )
    };
}

/// What is asked of the sessions that one index finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    /// Newest first.
    pub(crate) page: &'static str,
    /// Ids of live ones in no order that means anything.
    pub(crate) live: &'static str,
    /// How many sessions and people.
    pub(crate) count: &'static str,
    /// Per client: live grants, and the last token of any.
    pub(crate) grants: &'static str,
}

/// The order of the live ones is nobody's wish, but it makes SQLite walk an index without ended ones;
/// the plus keeps both engines from another.
macro_rules! texts {
    ($driver:literal) => {
        texts!($driver, "")
    };
    ($driver:literal, $live_order:literal) => {
        Texts {
            page: concat!(
                "SELECT ",
                session_columns!(),
                " FROM sessions s WHERE ",
                matching!($driver, "s.created_at"),
                " ORDER BY s.created_at DESC, s.id DESC LIMIT $17"
            ),
            live: concat!(
                "SELECT s.id FROM sessions s WHERE s.ended_at IS NULL AND ",
                matching!($driver, "+s.created_at"),
                $live_order,
                " LIMIT $17"
            ),
            count: concat!(
                "SELECT COUNT(*) AS people, CAST(COALESCE(SUM(n), 0) AS BIGINT) AS sessions \
                 FROM (SELECT COUNT(*) AS n FROM sessions s WHERE ",
                matching!($driver, "s.created_at"),
                " GROUP BY s.connector_id, s.user_id) AS person"
            ),
            grants: concat!(
                "SELECT g.client_id, COUNT(CASE WHEN g.ended_at IS NULL THEN 1 END) AS live, \
                 MAX(g.tokens_until) AS tokens_until FROM grants g \
                 WHERE g.session_id IN (SELECT s.id FROM sessions s WHERE ",
                matching!($driver, "s.created_at"),
                ") GROUP BY g.client_id ORDER BY g.client_id"
            ),
        }
    };
}

pub(crate) const ALL: Texts = texts!("", " ORDER BY s.cookie_until");
pub(crate) const LIVE_OF_CONNECTOR: Texts =
    texts!("s.ended_at IS NULL AND s.connector_id = $8 AND ");
pub(crate) const LIVE_OF_IP: Texts = texts!("s.ended_at IS NULL AND s.ip = $9 AND ");
pub(crate) const OF_PERSON: Texts = texts!("s.connector_id = $12 AND s.user_id = $13 AND ");
pub(crate) const OF_USER: Texts = texts!(
    "s.id IN (SELECT id FROM sessions WHERE user_key = $11 \
     UNION SELECT id FROM sessions WHERE login = $11 \
     UNION SELECT id FROM sessions WHERE email = $11) AND "
);
pub(crate) const OF_CLIENT: Texts = texts!(
    "s.id IN (SELECT session_id FROM grants WHERE client_id = $15 AND ended_at IS NULL) AND "
);
pub(crate) const OF_GROUP: Texts =
    texts!("s.id IN (SELECT session_id FROM memberships WHERE group_name = $16) AND ");

/// A filter, made to fit what the columns hold.
#[derive(Clone, Debug)]
pub(crate) struct Matching {
    filter: SessionFilter,
    text: Option<String>,
    user: Option<String>,
    group: Option<String>,
}

impl Matching {
    /// `None` when nothing can be found.
    pub(crate) fn of(filter: &SessionFilter) -> Option<Self> {
        let given = [&filter.text, &filter.user, &filter.group];
        if given.into_iter().flatten().any(|text| text.len() > LONGEST_TEXT) {
            return None;
        }
        Some(Self {
            text: filter.text.as_deref().map(pattern),
            user: filter.user.as_deref().map(exact),
            group: filter.group.as_deref().map(key),
            filter: filter.clone(),
        })
    }

    pub(crate) fn live(mut self) -> Self {
        self.filter.state = SessionState::Live;
        self
    }

    /// In the order of the placeholders: those after `after`, at most `limit`.
    pub(crate) fn values(&self, after: Option<Mark>, limit: i64) -> [Value; 17] {
        let filter = &self.filter;
        let first = Timestamp::from_millis(i64::MIN);
        let last = Timestamp::from_millis(i64::MAX);
        let newest = Mark::before(filter.created_before.unwrap_or(last));
        let after = after.map_or(newest.clone(), |mark| mark.or_later(newest));
        [
            filter.created_since.unwrap_or(first).into(),
            after.at.into(),
            after.id.as_str().into(),
            filter.seen_since.unwrap_or(first).into(),
            filter.seen_before.unwrap_or(last).into(),
            (filter.state != SessionState::Ended).into(),
            (filter.state != SessionState::Live).into(),
            filter.connector.as_ref().map(|id| id.as_str()).into(),
            (&filter.ip).into(),
            (&self.text).into(),
            (&self.user).into(),
            filter.person.as_ref().map(|(connector, _)| connector.as_str()).into(),
            filter.person.as_ref().map(|(_, user_id)| user_id.as_str()).into(),
            filter.except.as_ref().map(|id| id.as_str()).into(),
            filter.client.as_ref().map(|id| id.as_str()).into(),
            (&self.group).into(),
            limit.into(),
        ]
    }

    /// The texts of the index that finds the fewest.
    pub(crate) async fn texts(&self, conn: &mut Conn<'_>) -> Result<&'static Texts, StoreError> {
        let (filter, live) = (&self.filter, self.filter.state == SessionState::Live);
        if filter.person.is_some() {
            return Ok(&OF_PERSON);
        }
        if self.user.is_some() {
            return Ok(&OF_USER);
        }
        if let Some(client) = &filter.client
            && is_rare(conn, RARE_CLIENT, client.as_str()).await?
        {
            return Ok(&OF_CLIENT);
        }
        if let Some(group) = &self.group
            && is_rare(conn, RARE_GROUP, group).await?
        {
            return Ok(&OF_GROUP);
        }
        Ok(match filter {
            SessionFilter { ip: Some(_), .. } if live => &LIVE_OF_IP,
            SessionFilter { connector: Some(_), .. } if live => &LIVE_OF_CONNECTOR,
            _ => &ALL,
        })
    }
}

const RARE_CLIENT: &str = "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM grants \
    WHERE client_id = $1 AND ended_at IS NULL LIMIT $2) AS few";
/// Those who held it once are counted too: they stand in the same index.
const RARE_GROUP: &str = "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM memberships \
    WHERE group_name = $1 LIMIT $2) AS few";

async fn is_rare(conn: &mut Conn<'_>, sql: &'static str, whose: &str) -> Result<bool, StoreError> {
    let row = conn.select_one(sql, &[whose.into(), (FEW + 1).into()]).await?;
    row.map_or(Ok(true), |row| Ok(row.int("n")? <= FEW))
}

#[cfg(test)]
mod tests;
