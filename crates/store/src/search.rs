//! Looking for sessions and people: who is in, from where, since when. Changes nothing.
//!
//! What an end would take with it is counted by the same condition as it will be ended by.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::{
    ClientId, ConnectorId, Grant, Identity, Session, SessionFilter, SessionId, Timestamp,
};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row, Value};
use crate::matching::Matching;
use crate::names::{LONGEST_TEXT, exact, pattern};
use crate::page::{Mark, cut, size};
use crate::rows::{self, grant_columns, session_columns};
use crate::{Store, StoreError};

/// A session and what hangs on it.
#[derive(Clone, Debug)]
pub struct FoundSession {
    pub session: Session,
    pub live_grants: i64,
    /// Those with a live grant, in the order of their names.
    pub clients: Vec<ClientId>,
    /// The last token that anybody holds of this session dies then, which may be over; `None` when none
    /// was ever given that is still remembered.
    pub tokens_until: Option<Timestamp>,
}

#[derive(Clone, Debug, Default)]
pub struct SessionPage {
    pub sessions: Vec<FoundSession>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

/// How many sessions there are, and what would end with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCount {
    pub sessions: i64,
    /// Somebody at two connectors is two.
    pub people: i64,
    /// Live ones.
    pub grants: i64,
    /// Live grants of each client that has any, in the order of their names.
    pub clients: Vec<(ClientId, i64)>,
    /// The last token that anybody holds of these sessions dies then, which may be over.
    pub tokens_until: Option<Timestamp>,
}

/// Somebody who has signed in, by what is known of them last.
#[derive(Clone, Debug)]
pub struct Person {
    pub connector: ConnectorId,
    pub identity: Identity,
    /// When `identity` was learnt.
    pub identity_at: Timestamp,
    pub last_seen: Timestamp,
    pub live_sessions: i64,
}

impl Store {
    /// Newest sign-in first, at least 1 and at most 500 of them. `after` is the `next` of the page
    /// before; one that was never given is `NoSuchPage`.
    pub async fn find_sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<SessionPage, StoreError> {
        let after = after.map(Mark::parse).transpose()?;
        let Some(matching) = Matching::of(filter) else { return Ok(SessionPage::default()) };
        self.read(Find { matching, after, limit: size(limit) }).await
    }

    /// What [`Store::end_sessions`] would end now, when the filter asks for live ones.
    pub async fn count_sessions(&self, filter: &SessionFilter) -> Result<SessionCount, StoreError> {
        let Some(matching) = Matching::of(filter) else { return Ok(SessionCount::default()) };
        self.read(Count(matching)).await
    }

    /// All that is remembered of what a session gave, ended ones too, newest first.
    pub async fn grants_of(&self, session: &SessionId) -> Result<Vec<Grant>, StoreError> {
        self.read(GrantsOf(session.clone())).await
    }

    /// Those of whom a session is remembered whose user id, login or e-mail address is `text` in any
    /// case; when nobody's is, those of whom it is part of one of them or of the name. Last seen first.
    pub async fn find_people(&self, text: &str, limit: i64) -> Result<Vec<Person>, StoreError> {
        if text.len() > LONGEST_TEXT {
            return Ok(Vec::new());
        }
        self.read(FindPeople { text: text.to_owned(), limit: size(limit) }).await
    }
}

struct Find {
    matching: Matching,
    after: Option<Mark>,
    limit: i64,
}

impl Operation for Find {
    type Answer = SessionPage;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<SessionPage, StoreError> {
        let sql = self.matching.texts(conn).await?.page;
        let values = self.matching.values(self.after.clone(), self.limit + 1);
        let mut rows = conn.select(sql, &values).await?;
        let more = cut(&mut rows, self.limit);
        let mut sessions = Vec::with_capacity(rows.len());
        for row in &rows {
            sessions.push(rows::session(row)?);
        }
        let sessions = with_grants(conn, sessions).await?;
        let last = sessions.last().map(|found| &found.session).filter(|_| more);
        let next = last.map(|session| Mark::new(session.created_at, &session.id).spell());
        Ok(SessionPage { sessions, next })
    }
}

/// Sessions of one statement.
const AT_ONCE: usize = 20;
const GRANTS_OF_SOME: &str = "SELECT session_id, client_id, \
    COUNT(CASE WHEN ended_at IS NULL THEN 1 END) AS live, MAX(tokens_until) AS tokens_until \
    FROM grants WHERE session_id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
    $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) GROUP BY session_id, client_id";

async fn with_grants(
    conn: &mut Conn<'_>,
    sessions: Vec<Session>,
) -> Result<Vec<FoundSession>, StoreError> {
    let mut given: BTreeMap<String, Given> = BTreeMap::new();
    for some in sessions.chunks(AT_ONCE) {
        let ids = some.iter().map(|session| Some(session.id.as_str()));
        let ids: Vec<Value> =
            ids.chain(std::iter::repeat(None)).take(AT_ONCE).map(Value::from).collect();
        for row in conn.select(GRANTS_OF_SOME, &ids).await? {
            given.entry(row.text("session_id")?).or_default().add(&row)?;
        }
    }
    let found = sessions.into_iter().map(|session| {
        let given = given.remove(session.id.as_str()).unwrap_or_default();
        FoundSession {
            session,
            live_grants: given.live,
            clients: given.clients.into_iter().collect(),
            tokens_until: given.tokens_until,
        }
    });
    Ok(found.collect())
}

#[derive(Default)]
struct Given {
    live: i64,
    clients: BTreeSet<ClientId>,
    tokens_until: Option<Timestamp>,
}

impl Given {
    /// What was given to one client.
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
    type Answer = SessionCount;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<SessionCount, StoreError> {
        let texts = self.0.texts(conn).await?;
        let mut count = SessionCount::default();
        if let Some(row) = conn.select_one(texts.count, &self.0.values(None, 0)).await? {
            (count.sessions, count.people) = (row.int("sessions")?, row.int("people")?);
        }
        for row in conn.select(texts.grants, &self.0.values(None, 0)).await? {
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
    type Answer = Vec<Grant>;
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

struct FindPeople {
    text: String,
    limit: i64,
}

macro_rules! people {
    ($whose:literal) => {
        concat!(
            "SELECT connector_id, user_id, MAX(last_seen) AS last_seen, \
             COUNT(CASE WHEN ended_at IS NULL THEN 1 END) AS live FROM sessions WHERE ",
            $whose,
            " GROUP BY connector_id, user_id \
             ORDER BY MAX(last_seen) DESC, connector_id, user_id LIMIT $2"
        )
    };
}

impl Operation for FindPeople {
    type Answer = Vec<Person>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<Person>, StoreError> {
        let (whole, part) = (exact(&self.text), pattern(&self.text));
        let sql = people!("user_key = $1 OR login = $1 OR email = $1");
        let mut rows = conn.select(sql, &[(&whole).into(), self.limit.into()]).await?;
        if rows.is_empty() {
            let sql = people!("search LIKE $1 ESCAPE '\\'");
            rows = conn.select(sql, &[(&part).into(), self.limit.into()]).await?;
        }
        let mut people = Vec::with_capacity(rows.len());
        for row in &rows {
            people.extend(person(conn, row).await?);
        }
        Ok(people)
    }
}

/// `None` when all their sessions were forgotten between the two looks.
async fn person(conn: &mut Conn<'_>, row: &Row) -> Result<Option<Person>, StoreError> {
    let (connector, user_id) = (row.text("connector_id")?, row.text("user_id")?);
    let sql = concat!(
        "SELECT ",
        session_columns!(),
        " FROM sessions WHERE connector_id = $1 AND user_id = $2 \
         ORDER BY identity_at DESC, id DESC LIMIT 1"
    );
    let newest =
        conn.select_one(sql, &[connector.as_str().into(), user_id.as_str().into()]).await?;
    let Some(newest) = newest.as_ref().map(rows::session).transpose()? else { return Ok(None) };
    Ok(Some(Person {
        connector: newest.connector,
        identity: newest.identity,
        identity_at: newest.identity_at,
        last_seen: row.time("last_seen")?,
        live_sessions: row.int("live")?,
    }))
}
