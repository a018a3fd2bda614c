//! Searches sessions. A preview counts with the same conditions as the end uses. The search columns of `sessions` are
//! written with the identity, and filled at start-up in rows of an earlier version.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::{ClientId, Grant, Session, SessionFilter, SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::engine::sql::Sql;
use crate::matching::{Index, MAX_TOTAL, Matching};
use crate::memberships::Holder;
use crate::names::SearchNames;
use crate::page_cursor::{PageCursor, page_size, truncate_page};
use crate::rows::{self, grant_columns, session_columns};
use crate::{Store, StoreError};

/// Rows of an earlier version that are filled in one transaction.
const FILL_BATCH: i64 = 500;

/// A session with a summary of its grants.
#[derive(Clone, Debug)]
pub struct FoundSession {
    pub session: Session,
    pub live_grants: i64,
    /// Clients with a live grant, in the order of their ids.
    pub clients: Vec<ClientId>,
    /// Expiry of the last token of this session, which may be in the past; `None` when it has no stored grant.
    pub tokens_until: Option<Timestamp>,
}

/// One page of sessions.
#[derive(Clone, Debug, Default)]
pub struct SessionPage {
    pub sessions: Vec<FoundSession>,
    /// Cursor of the next page; `None` on the last one.
    pub next: Option<String>,
    /// Number of matching sessions; `None` above one thousand, where they are not counted.
    pub total: Option<i64>,
}

/// The number of sessions, and what would end with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCount {
    pub sessions: i64,
    /// A user at two connectors counts twice.
    pub people: i64,
    /// Live grants.
    pub grants: i64,
    /// Live grants of each client that has any, in the order of client ids.
    pub clients: Vec<(ClientId, i64)>,
    /// Expiry of the last token of these sessions, which may be in the past.
    pub tokens_until: Option<Timestamp>,
}

impl Store {
    /// Sessions, newest first, 1 to 500 of them. `after` is the `next` of the previous page; an invalid one is
    /// `InvalidCursor`.
    pub async fn find_sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<SessionPage, StoreError> {
        let after = after.map(PageCursor::parse).transpose()?;
        let Some(matching) = Matching::of(filter) else { return Ok(SessionPage::default()) };
        self.read(Find { matching, after, limit: page_size(limit) }).await
    }

    /// What [`Store::end_sessions`] would end now, if the filter is for live sessions.
    pub async fn count_sessions(&self, filter: &SessionFilter) -> Result<SessionCount, StoreError> {
        let Some(matching) = Matching::of(filter) else { return Ok(SessionCount::default()) };
        self.read(Count(matching)).await
    }

    /// All stored grants of a session, including ended ones, newest first.
    pub async fn grants_of(&self, session: &SessionId) -> Result<Vec<Grant>, StoreError> {
        self.read(GrantsOf(session.clone())).await
    }
}

struct Find {
    matching: Matching,
    after: Option<PageCursor>,
    limit: i64,
}

impl Operation for Find {
    type Output = SessionPage;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<SessionPage, StoreError> {
        let index = self.matching.choose_index(conn).await?;
        let sql = self.matching.page(index, self.after.as_ref(), self.limit + 1);
        let mut rows = conn.select_built(&sql).await?;
        let more = truncate_page(&mut rows, self.limit);
        let sessions = rows.iter().map(rows::session).collect::<Result<Vec<_>, _>>()?;
        let sessions = with_grants(conn, sessions).await?;
        let last = sessions.last().map(|found| &found.session).filter(|_| more);
        let next = last.map(|last| PageCursor::new(last.created_at, last.id.as_str()).to_text());
        let total = self.total(conn, index, sessions.len(), more).await?;
        Ok(SessionPage { sessions, next, total })
    }
}

impl Find {
    async fn total(
        &self,
        conn: &mut Conn<'_>,
        index: Index,
        found: usize,
        more: bool,
    ) -> Result<Option<i64>, StoreError> {
        if self.after.is_none() && !more {
            return Ok(i64::try_from(found).ok());
        }
        let rows = conn.select_built(&self.matching.total(index)).await?;
        let total = rows.first().map(|row| row.int("total")).transpose()?;
        Ok(total.filter(|total| *total <= MAX_TOTAL))
    }
}

async fn with_grants(
    conn: &mut Conn<'_>,
    sessions: Vec<Session>,
) -> Result<Vec<FoundSession>, StoreError> {
    let mut grants: BTreeMap<String, GrantSummary> = BTreeMap::new();
    if !sessions.is_empty() {
        let mut sql = Sql::default();
        sql.push(
            "SELECT session_id, client_id, COUNT(CASE WHEN ended_at IS NULL THEN 1 END) AS live, \
             MAX(tokens_until) AS tokens_until FROM grants WHERE session_id IN ",
        );
        sql.bind_list(sessions.iter().map(|session| &session.id));
        sql.push(" GROUP BY session_id, client_id");
        for row in conn.select_built(&sql).await? {
            grants.entry(row.text("session_id")?).or_default().add(&row)?;
        }
    }
    let found = sessions.into_iter().map(|session| {
        let grants = grants.remove(session.id.as_str()).unwrap_or_default();
        FoundSession {
            session,
            live_grants: grants.live,
            clients: grants.clients.into_iter().collect(),
            tokens_until: grants.tokens_until,
        }
    });
    Ok(found.collect())
}

#[derive(Default)]
struct GrantSummary {
    live: i64,
    clients: BTreeSet<ClientId>,
    tokens_until: Option<Timestamp>,
}

impl GrantSummary {
    /// Adds the grants of one client.
    fn add(&mut self, row: &Row) -> Result<(), StoreError> {
        let live = row.int("live")?;
        self.live += live;
        if live > 0 {
            self.clients.insert(ClientId::new(row.text("client_id")?));
        }
        self.tokens_until = self.tokens_until.max(row.maybe_time("tokens_until")?);
        Ok(())
    }
}

struct Count(Matching);

impl Operation for Count {
    type Output = SessionCount;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<SessionCount, StoreError> {
        let index = self.0.choose_index(conn).await?;
        let mut count = SessionCount::default();
        if let Some(row) = conn.select_built(&self.0.count(index)).await?.first() {
            (count.sessions, count.people) = (row.int("sessions")?, row.int("people")?);
        }
        for row in conn.select_built(&self.0.grants(index)).await? {
            let live = row.int("live")?;
            count.grants += live;
            if live > 0 {
                count.clients.push((ClientId::new(row.text("client_id")?), live));
            }
            count.tokens_until = count.tokens_until.max(row.maybe_time("tokens_until")?);
        }
        count.clients.sort_unstable();
        Ok(count)
    }
}

struct GrantsOf(SessionId);

impl Operation for GrantsOf {
    type Output = Vec<Grant>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<Grant>, StoreError> {
        let sql = concat!(
            "SELECT ",
            grant_columns!(),
            " FROM grants WHERE session_id = $1 ORDER BY created_at DESC, id DESC"
        );
        let rows = conn.select(sql, &[(&self.0).into()]).await?;
        rows.iter().map(rows::grant).collect()
    }
}

impl Store {
    /// Fills rows of an earlier version. Safe while other replicas run.
    pub(crate) async fn fill_search_columns(&self) -> Result<(), StoreError> {
        while self.write(FillSearchColumns).await? {}
        Ok(())
    }
}

struct FillSearchColumns;

impl Operation for FillSearchColumns {
    /// True if there may be more.
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE search IS NULL ORDER BY id LIMIT $1"
        );
        let rows = conn.select(sql, &[FILL_BATCH.into()]).await?;
        for row in &rows {
            let session = rows::session(row)?;
            let names = SearchNames::of(&session.identity);
            if set_search_columns(conn, &session.id, &names, true).await? {
                add_memberships(conn, &session).await?;
            }
        }
        Ok(!rows.is_empty())
    }
}

/// For a session from before memberships were recorded: its groups count from its beginning.
async fn add_memberships(conn: &mut Conn<'_>, session: &Session) -> Result<(), StoreError> {
    let holder = Holder::of(session);
    holder.begin(conn, session.created_at).await?;
    match &session.ended {
        Some(ended) => holder.end(conn, ended.at).await,
        None => Ok(()),
    }
}

/// False if the row no longer exists or, with `only_unfilled`, was filled by another replica.
pub(crate) async fn set_search_columns(
    conn: &mut Conn<'_>,
    session: &SessionId,
    names: &SearchNames,
    only_unfilled: bool,
) -> Result<bool, StoreError> {
    let updated = conn
        .execute(
            "UPDATE sessions SET user_key = $2, login = $3, email = $4, search = $5 \
             WHERE id = $1 AND (search IS NULL OR $6 = 0)",
            &[
                session.into(),
                (&names.user_key).into(),
                (&names.login).into(),
                (&names.email).into(),
                (&names.search).into(),
                only_unfilled.into(),
            ],
        )
        .await?;
    Ok(updated == 1)
}
