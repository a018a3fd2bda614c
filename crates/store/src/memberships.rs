//! Group memberships over time: one interval per connector, user and group, from the first session with the group until
//! no live session has it. Written in the transaction of the sign-in, the change, or the end of the session.

use std::collections::BTreeSet;

use countersign_core::ids::random_id;
use countersign_core::{ConnectorId, Identity, Session, SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::engine::sql::{Sql, Statement, Statements};
use crate::error::corrupt;
use crate::names::key;
use crate::page_cursor::{PageCursor, page_size, truncate_page};
use crate::{Store, StoreError};

/// Number of groups per statement.
const BATCH: usize = 100;
/// Number of other live sessions of a user that are examined when one of them loses a group. If there are more, the
/// group counts as still held.
const MAX_OTHER_SESSIONS: i64 = 50;

/// A query for the users who had a group between two instants.
#[derive(Clone, Debug)]
pub struct MembershipQuery {
    /// Exact, as in the claim `groups`.
    pub group: String,
    pub connector: Option<ConnectorId>,
    /// Inclusive.
    pub since: Timestamp,
    /// Exclusive.
    pub until: Timestamp,
    /// The `next` of the previous page.
    pub after: Option<String>,
    /// Clamped to 1 to 500.
    pub limit: i64,
}

/// One interval in which a user had a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub connector: ConnectorId,
    pub user_id: String,
    /// Name, and e-mail address or login, at that time.
    pub person: String,
    pub since: Timestamp,
    /// No new token contains the group from then on: the upstream removed it, or the last session with it ended.
    /// `None`: still held.
    pub until: Option<Timestamp>,
    /// Latest expiry of tokens that contain the group, which counts as held until then. `None`: still held.
    pub tokens_until: Option<Timestamp>,
}

/// One page of memberships.
#[derive(Clone, Debug, Default)]
pub struct MembershipPage {
    pub memberships: Vec<Membership>,
    /// Cursor of the next page; `None` on the last one.
    pub next: Option<String>,
}

impl Store {
    /// Memberships, latest `since` first. An invalid `after` is `InvalidCursor`.
    pub async fn memberships(&self, query: MembershipQuery) -> Result<MembershipPage, StoreError> {
        let after = query.after.as_deref().map(PageCursor::parse).transpose()?;
        self.read(FindMemberships { query, after }).await
    }
}

struct FindMemberships {
    query: MembershipQuery,
    after: Option<PageCursor>,
}

impl FindMemberships {
    fn sql(&self, limit: i64) -> Sql {
        let newest = PageCursor::before(self.query.until);
        let after = self.after.clone().map_or(newest.clone(), |cursor| cursor.later_of(newest));
        let mut sql = Sql::default();
        sql.push(
            "SELECT id, connector_id, user_id, person, since, until, tokens_until \
             FROM memberships WHERE group_name = ",
        );
        sql.bind(key(&self.query.group).as_str());
        sql.push(" AND (since, id) < (").bind(after.at).push(", ").bind(after.id.as_str());
        // An interval closed at the instant it began, without a token, does not count.
        sql.push(") AND (tokens_until IS NULL OR (tokens_until > since AND tokens_until > ");
        sql.bind(self.query.since).push("))");
        sql.and("connector_id = ", self.query.connector.as_ref());
        sql.push(" ORDER BY since DESC, id DESC LIMIT ").bind(limit + 1);
        sql
    }
}

impl Operation for FindMemberships {
    type Output = MembershipPage;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<MembershipPage, StoreError> {
        let limit = page_size(self.query.limit);
        let mut rows = conn.select_built(&self.sql(limit)).await?;
        let more = truncate_page(&mut rows, limit);
        let memberships = rows.iter().map(membership).collect::<Result<Vec<_>, _>>()?;
        let last = rows.last().filter(|_| more);
        let cursor = |row: &Row| {
            Ok::<_, StoreError>(PageCursor::new(row.time("since")?, &row.text("id")?).to_text())
        };
        Ok(MembershipPage { memberships, next: last.map(cursor).transpose()? })
    }
}

fn membership(row: &Row) -> Result<Membership, StoreError> {
    Ok(Membership {
        connector: ConnectorId::new(row.text("connector_id")?),
        user_id: row.text("user_id")?,
        person: row.text("person")?,
        since: row.time("since")?,
        until: row.maybe_time("until")?,
        tokens_until: row.maybe_time("tokens_until")?,
    })
}

/// A session of a user, with the groups it has or had.
pub(crate) struct Holder<'a> {
    pub(crate) session: &'a SessionId,
    pub(crate) connector: &'a ConnectorId,
    pub(crate) identity: &'a Identity,
}

impl<'a> Holder<'a> {
    pub(crate) fn of(session: &'a Session) -> Self {
        Self { session: &session.id, connector: &session.connector, identity: &session.identity }
    }

    /// The statements for a session that has all groups of its identity from now on.
    pub(crate) fn begin_statements(&self, now: Timestamp) -> Result<Vec<Statement>, StoreError> {
        self.gain(&group_keys(self.identity), now)
    }

    /// Like [`Holder::begin_statements`], executed immediately.
    pub(crate) async fn begin(
        &self,
        conn: &mut Conn<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut statements = Statements::default();
        statements.extend(self.begin_statements(now)?);
        conn.execute_all(statements).await?;
        Ok(())
    }

    /// Records that the groups changed from those of `before` to those of the identity.
    pub(crate) async fn change(
        &self,
        conn: &mut Conn<'_>,
        before: &Identity,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (was, is) = (group_keys(before), group_keys(self.identity));
        let lost: Vec<_> = was.difference(&is).cloned().collect();
        let gained = is.difference(&was).cloned().collect();
        self.lose(conn, lost, now).await?;
        let mut statements = Statements::default();
        statements.extend(self.gain(&gained, now)?);
        conn.execute_all(statements).await?;
        Ok(())
    }

    /// Records that the session has ended or was deleted. Must be called while its grants still exist.
    pub(crate) async fn end(&self, conn: &mut Conn<'_>, now: Timestamp) -> Result<(), StoreError> {
        self.lose(conn, group_keys(self.identity).into_iter().collect(), now).await
    }

    /// Opens an interval for each group without an open one. PostgreSQL locks the existing interval even if nothing is
    /// updated, so that a concurrent end sees this session.
    fn gain(
        &self,
        groups: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Vec<Statement>, StoreError> {
        let person = person(self.identity);
        let groups: Vec<&String> = groups.iter().collect();
        let mut statements = Vec::new();
        for batch in groups.chunks(BATCH) {
            let mut sql = Sql::default();
            sql.push(
                "INSERT INTO memberships \
                 (id, connector_id, user_id, group_name, since, person) VALUES ",
            );
            for (n, group) in batch.iter().copied().enumerate() {
                sql.push(if n == 0 { "(" } else { ", (" });
                sql.bind(random_id().map_err(corrupt)?.as_str()).push(", ").bind(self.connector);
                sql.push(", ").bind(&self.identity.user_id).push(", ").bind(group);
                sql.push(", ").bind(now).push(", ").bind(&person).push(")");
            }
            sql.push(
                " ON CONFLICT (connector_id, user_id, group_name) WHERE tokens_until IS NULL \
                 DO UPDATE SET person = excluded.person \
                 WHERE memberships.person <> excluded.person",
            );
            statements.push(sql.into());
        }
        Ok(statements)
    }

    /// Closes the intervals of the groups that no other live session of the user has.
    async fn lose(
        &self,
        conn: &mut Conn<'_>,
        groups: Vec<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for batch in groups.chunks(BATCH) {
            self.lock(conn, batch).await?;
        }
        if groups.is_empty() {
            return Ok(());
        }
        let Some(others) = self.groups_of_other_sessions(conn).await? else { return Ok(()) };
        let lost: Vec<String> =
            groups.into_iter().filter(|group| !others.contains(group)).collect();
        for batch in lost.chunks(BATCH) {
            self.close(conn, batch, now).await?;
        }
        Ok(())
    }

    /// Locks the open intervals, so that of two sessions that end concurrently the second sees that the first has
    /// ended.
    async fn lock(&self, conn: &mut Conn<'_>, groups: &[String]) -> Result<(), StoreError> {
        let mut sql = Sql::default();
        sql.push("UPDATE memberships SET person = person");
        self.push_open(&mut sql, groups);
        conn.execute_built(&sql).await?;
        Ok(())
    }

    async fn close(
        &self,
        conn: &mut Conn<'_>,
        groups: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut sql = Sql::default();
        sql.push("UPDATE memberships SET until = ").bind(now);
        // Includes ended grants, because their tokens are still valid.
        sql.push(
            ", tokens_until = (SELECT MAX(at) FROM (SELECT tokens_until AS at FROM grants \
             WHERE session_id IN (SELECT id FROM sessions WHERE connector_id = ",
        );
        sql.bind(self.connector).push(" AND user_id = ").bind(&self.identity.user_id);
        sql.push(") UNION ALL SELECT tokens_until AS at FROM grants WHERE session_id = ");
        sql.bind(self.session).push(" UNION ALL SELECT ").bind(now).push(") AS x)");
        self.push_open(&mut sql, groups);
        conn.execute_built(&sql).await?;
        Ok(())
    }

    fn push_open(&self, sql: &mut Sql, groups: &[String]) {
        sql.push(" WHERE connector_id = ").bind(self.connector);
        sql.push(" AND user_id = ").bind(&self.identity.user_id);
        sql.push(" AND tokens_until IS NULL AND group_name IN ").bind_list(groups.iter());
    }

    /// `None` if the user has too many other live sessions to examine.
    async fn groups_of_other_sessions(
        &self,
        conn: &mut Conn<'_>,
    ) -> Result<Option<BTreeSet<String>>, StoreError> {
        let rows = conn
            .select(
                "SELECT identity FROM sessions WHERE connector_id = $1 AND user_id = $2 \
                 AND ended_at IS NULL AND id <> $3 LIMIT $4",
                &[
                    self.connector.into(),
                    (&self.identity.user_id).into(),
                    self.session.into(),
                    (MAX_OTHER_SESSIONS + 1).into(),
                ],
            )
            .await?;
        if i64::try_from(rows.len()).is_ok_and(|found| found > MAX_OTHER_SESSIONS) {
            return Ok(None);
        }
        let mut groups = BTreeSet::new();
        for row in &rows {
            groups.extend(group_keys(&row.json("identity")?));
        }
        Ok(Some(groups))
    }
}

fn group_keys(identity: &Identity) -> BTreeSet<String> {
    identity.groups.iter().map(|group| key(group)).collect()
}

/// The user's name as shown to an administrator.
fn person(identity: &Identity) -> String {
    let Identity { username, preferred_username, email, .. } = identity;
    let known_as = if email.is_empty() { preferred_username } else { email };
    let person = match (username.as_str(), known_as.as_str()) {
        (name, "") => name.to_owned(),
        ("", known_as) => known_as.to_owned(),
        (name, known_as) if name == known_as => name.to_owned(),
        (name, known_as) => format!("{name} <{known_as}>"),
    };
    person.replace('\0', " ")
}
