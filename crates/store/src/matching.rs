//! A session filter as SQL, with the same conditions for searching, counting and ending, and the choice of the index
//! that yields the fewest sessions.

use countersign_core::{SessionFilter, SessionState};

use crate::StoreError;
use crate::engine::conn::Conn;
use crate::engine::sql::Sql;
use crate::names::{MAX_SEARCH_TEXT, exact, key, pattern};
use crate::page_cursor::PageCursor;
use crate::rows::session_columns;

/// A client or group with at most so many rows is looked up by its own index and sorted; one with more is found by
/// reading sessions from the newest. At a million sessions that reads at most 200 for each one found.
const RARE: i64 = 5_000;
/// The total of a list is counted up to this number.
pub(crate) const MAX_TOTAL: i64 = 1000;

/// The index by which a statement finds its sessions. Equality conditions on columns of other indexes are written so
/// that no engine uses those indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    /// By creation: `sessions_live` for live sessions, `sessions_newest` for all.
    Creation,
    Connector,
    Ip,
    Person,
    User,
    Client,
    Group,
    /// By id, for sessions that were selected individually.
    Id,
}

/// A filter whose texts are normalized like the columns.
#[derive(Clone, Debug)]
pub(crate) struct Matching {
    filter: SessionFilter,
    text: Option<String>,
    user: Option<String>,
}

impl Matching {
    /// `None` if no session can match.
    pub(crate) fn of(filter: &SessionFilter) -> Option<Self> {
        let texts = [&filter.text, &filter.user, &filter.group];
        if texts.into_iter().flatten().any(|text| text.len() > MAX_SEARCH_TEXT) {
            return None;
        }
        Some(Self {
            text: filter.text.as_deref().map(pattern),
            user: filter.user.as_deref().map(exact),
            filter: filter.clone(),
        })
    }

    pub(crate) fn live(mut self) -> Self {
        self.filter.state = SessionState::Live;
        self
    }

    fn is_live(&self) -> bool {
        self.filter.state == SessionState::Live
    }

    pub(crate) async fn choose_index(&self, conn: &mut Conn<'_>) -> Result<Index, StoreError> {
        let filter = &self.filter;
        if !filter.sessions.is_empty() {
            return Ok(Index::Id);
        }
        if filter.person.is_some() {
            return Ok(Index::Person);
        }
        if self.user.is_some() {
            return Ok(Index::User);
        }
        if let Some(client) = &filter.client
            && is_rare(conn, RARE_CLIENT, client.as_str()).await?
        {
            return Ok(Index::Client);
        }
        if let Some(group) = &filter.group
            && is_rare(conn, RARE_GROUP, &key(group)).await?
        {
            return Ok(Index::Group);
        }
        Ok(match filter {
            SessionFilter { ip: Some(_), .. } if self.is_live() => Index::Ip,
            SessionFilter { connector: Some(_), .. } if self.is_live() => Index::Connector,
            _ => Index::Creation,
        })
    }

    /// Newest first.
    pub(crate) fn page(&self, index: Index, after: Option<&PageCursor>, limit: i64) -> Sql {
        let mut sql = Sql::default();
        sql.push(concat!("SELECT ", session_columns!("s", ""), " FROM sessions s WHERE "));
        self.push_conditions(&mut sql, index);
        if let Some(after) = after {
            sql.push(" AND (s.created_at, s.id) < (").bind(after.at);
            sql.push(", ").bind(after.id.as_str()).push(")");
        }
        sql.push(" ORDER BY s.created_at DESC, s.id DESC LIMIT ").bind(limit);
        sql
    }

    /// The number of matching sessions, counted up to one more than [`MAX_TOTAL`].
    pub(crate) fn total(&self, index: Index) -> Sql {
        let mut sql = Sql::default();
        sql.push("SELECT COUNT(*) AS total FROM (SELECT s.id FROM sessions s WHERE ");
        self.push_conditions(&mut sql, index);
        // Without ORDER BY SQLite reads the table instead of the partial index of live sessions.
        if index.is_in_order_of_creation() {
            sql.push(" ORDER BY s.created_at DESC, s.id DESC");
        }
        sql.push(" LIMIT ").bind(MAX_TOTAL + 1).push(") AS x");
        sql
    }

    /// The ids of matching live sessions.
    pub(crate) fn live_ids(&self, index: Index, limit: i64) -> Sql {
        let mut sql = Sql::default();
        sql.push("SELECT s.id FROM sessions s WHERE ");
        self.push_conditions(&mut sql, index);
        sql.push(" ORDER BY s.created_at, s.id LIMIT ").bind(limit);
        sql
    }

    /// The numbers of sessions and of users.
    pub(crate) fn count(&self, index: Index) -> Sql {
        let mut sql = Sql::default();
        sql.push(
            "SELECT COUNT(*) AS people, CAST(COALESCE(SUM(n), 0) AS BIGINT) AS sessions \
             FROM (SELECT COUNT(*) AS n FROM sessions s WHERE ",
        );
        self.push_conditions(&mut sql, index);
        sql.push(" GROUP BY s.connector_id, s.user_id) AS person");
        sql
    }

    /// Per client: live grants, and the expiry of the last token of any grant.
    pub(crate) fn grants(&self, index: Index) -> Sql {
        let mut sql = Sql::default();
        sql.push(
            "SELECT g.client_id, COUNT(CASE WHEN g.ended_at IS NULL THEN 1 END) AS live, \
             MAX(g.tokens_until) AS tokens_until FROM grants g \
             WHERE g.session_id IN (SELECT s.id FROM sessions s WHERE ",
        );
        self.push_conditions(&mut sql, index);
        sql.push(") GROUP BY g.client_id ORDER BY g.client_id");
        sql
    }

    fn push_conditions(&self, sql: &mut Sql, index: Index) {
        let filter = &self.filter;
        self.push_index(sql, index);
        sql.push(match filter.state {
            SessionState::Live => " AND s.ended_at IS NULL",
            SessionState::Ended => " AND s.ended_at IS NOT NULL",
            SessionState::All => "",
        });
        let created =
            if index.is_in_order_of_creation() { "s.created_at" } else { "+s.created_at" };
        sql.and(&format!("{created} >= "), filter.created_since);
        sql.and(&format!("{created} < "), filter.created_before);
        sql.and("s.last_seen >= ", filter.seen_since);
        sql.and("s.last_seen < ", filter.seen_before);
        if index != Index::Connector {
            sql.and("COALESCE(s.connector_id, '') = ", filter.connector.as_ref());
        }
        if index != Index::Ip {
            sql.and("COALESCE(s.ip, '') = ", filter.ip.as_deref());
        }
        if index != Index::User
            && let Some(user) = &self.user
        {
            sql.push(" AND (COALESCE(s.user_key, '') = ").bind(user);
            sql.push(" OR COALESCE(s.login, '') = ").bind(user);
            sql.push(" OR COALESCE(s.email, '') = ").bind(user).push(")");
        }
        sql.and("COALESCE(s.id, '') <> ", filter.except.as_ref());
        if let Some(text) = &self.text {
            sql.push(" AND s.search LIKE ").bind(text).push(" ESCAPE '\\'");
        }
        if index != Index::Client
            && let Some(client) = &filter.client
        {
            sql.push(
                " AND EXISTS (SELECT 1 FROM grants g WHERE g.session_id = s.id AND g.client_id = ",
            );
            sql.bind(client).push(" AND g.ended_at IS NULL)");
        }
        if index != Index::Person
            && let Some((connector, user_id)) = &filter.person
        {
            sql.push(" AND COALESCE(s.user_id, '') = ").bind(user_id);
            sql.push(" AND COALESCE(s.connector_id, '') = ").bind(connector);
        }
        if let Some(group) = &filter.group {
            push_group(sql, group);
        }
    }

    /// The condition for which the index is used.
    fn push_index(&self, sql: &mut Sql, index: Index) {
        let filter = &self.filter;
        match (index, &self.user, filter) {
            (Index::Id, _, SessionFilter { sessions, .. }) => {
                sql.push("s.id IN ").bind_list(sessions);
            }
            (Index::Connector, _, SessionFilter { connector: Some(connector), .. }) => {
                sql.push("s.connector_id = ").bind(connector);
            }
            (Index::Ip, _, SessionFilter { ip: Some(ip), .. }) => {
                sql.push("s.ip = ").bind(ip);
            }
            (Index::Person, _, SessionFilter { person: Some((connector, user_id)), .. }) => {
                sql.push("s.user_id = ").bind(user_id).push(" AND s.connector_id = ");
                sql.bind(connector);
            }
            (Index::User, Some(user), _) => {
                sql.push("s.id IN (SELECT id FROM sessions WHERE user_key = ").bind(user);
                sql.push(" UNION SELECT id FROM sessions WHERE login = ").bind(user);
                sql.push(" UNION SELECT id FROM sessions WHERE email = ").bind(user).push(")");
            }
            (Index::Client, _, SessionFilter { client: Some(client), .. }) => {
                sql.push("s.id IN (SELECT session_id FROM grants WHERE ended_at IS NULL ");
                sql.push("AND client_id = ").bind(client).push(")");
            }
            (Index::Group, _, SessionFilter { group: Some(group), .. }) => {
                sql.push("s.id IN (SELECT p.id FROM memberships m JOIN sessions p ");
                sql.push("ON p.user_id = m.user_id AND p.connector_id = m.connector_id ");
                sql.push("WHERE m.group_name = ").bind(key(group).as_str()).push(")");
            }
            _ => {
                sql.push("1 = 1");
            }
        }
    }
}

impl Index {
    /// Whether the index yields rows in order of creation, so that no sorting is needed.
    const fn is_in_order_of_creation(self) -> bool {
        matches!(self, Self::Creation | Self::Connector | Self::Ip)
    }
}

/// The session's identity has this group in its claim `groups`, or had it when the session ended. The identity is JSON
/// without spaces, and the groups are its only array, so a quoted text between `[` or `,` and `,` or `]` is a group.
fn push_group(sql: &mut Sql, group: &str) {
    let quoted = serde_json::Value::from(group).to_string();
    for (n, (before, after)) in [('[', ']'), ('[', ','), (',', ','), (',', ']')].iter().enumerate()
    {
        sql.push(if n == 0 { " AND (" } else { " OR " });
        let element = format!("{before}{quoted}{after}");
        sql.push("REPLACE(s.identity, ").bind(element.as_str()).push(", '') <> s.identity");
    }
    sql.push(")");
}

// Ordered like their indexes: with only a LIMIT an engine may prefer to read the table from its beginning.
const RARE_CLIENT: &str = "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM grants \
    WHERE client_id = $1 AND ended_at IS NULL ORDER BY session_id LIMIT $2) AS few";
const RARE_GROUP: &str = "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM memberships \
    WHERE group_name = $1 ORDER BY since LIMIT $2) AS few";

async fn is_rare(conn: &mut Conn<'_>, sql: &'static str, name: &str) -> Result<bool, StoreError> {
    let row = conn.select_one(sql, &[name.into(), (RARE + 1).into()]).await?;
    row.map_or(Ok(true), |row| Ok(row.int("n")? <= RARE))
}
