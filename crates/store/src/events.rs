//! The audit log: append only, each event written in the transaction of what it records.

use countersign_core::event::EventKind;
use countersign_core::ids::random_bytes;
use countersign_core::{ClientId, ConnectorId, Event, GrantId, Session, SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::engine::sql::{Sql, Statement, Statements, Value};
use crate::error::corrupt;
use crate::names::{MAX_SEARCH_TEXT, contains};
use crate::{Store, StoreError};

/// Maximum number of rows of a page.
const MAX_PAGE: i64 = 1000;
/// Digits of an id: the instant, a counter, a random part.
const TIME_DIGITS: usize = 15;
const ID_DIGITS: usize = TIME_DIGITS + 8 + 16;

/// Conditions on events; `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    pub session: Option<SessionId>,
    pub grant: Option<GrantId>,
    /// At any connector.
    pub user_id: Option<String>,
    /// The actor as stored.
    pub actor: Option<String>,
    pub client: Option<ClientId>,
    pub connector: Option<ConnectorId>,
    pub ip: Option<String>,
    /// Part of the actor, the user id or the details, ignoring case for ASCII letters. Not indexed: `since` bounds the
    /// rows read.
    pub text: Option<String>,
    pub kind: Option<EventKind>,
    /// Inclusive.
    pub since: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
    /// Clamped to 1 to 1000.
    pub limit: i64,
    /// The id of the last event of the previous page.
    pub before_id: Option<String>,
}

/// An event as stored.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Newer events have greater ids; events of one millisecond are in the order in which a store wrote them.
    pub id: String,
    pub event: Event,
}

impl Store {
    /// Records an event that does not belong to another operation.
    pub async fn add_event(&self, event: Event) -> Result<(), StoreError> {
        self.write(AddEvent(event)).await
    }

    /// Events, newest first. An invalid `before_id` is `InvalidCursor`.
    pub async fn events(&self, query: EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        if query.before_id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(StoreError::InvalidCursor);
        }
        if query.text.as_ref().is_some_and(|text| text.len() > MAX_SEARCH_TEXT) {
            return Ok(Vec::new());
        }
        self.read(query).await
    }
}

struct AddEvent(Event);

impl Operation for AddEvent {
    type Output = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        record(conn, &self.0).await
    }
}

/// An event about a session, its user and its connector.
pub(crate) fn session_event(
    session: &Session,
    at: Timestamp,
    kind: EventKind,
    actor: &str,
) -> Event {
    let mut event = Event::new(at, kind, actor);
    event.session = Some(session.id.clone());
    event.connector = Some(session.connector.clone());
    event.user_id = Some(session.identity.user_id.clone());
    event
}

/// Records an event in the transaction of the operation.
pub(crate) async fn record(conn: &mut Conn<'_>, event: &Event) -> Result<(), StoreError> {
    let mut statements = Statements::default();
    statements.extend([event_statement(conn, event)?]);
    conn.execute_all(statements).await?;
    Ok(())
}

/// The statement of [`record`].
pub(crate) fn event_statement(conn: &Conn<'_>, event: &Event) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "INSERT INTO events (id, at, kind, actor, session_id, grant_id, client_id, \
         connector_id, user_id, ip, reason, details) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        vec![
            next_id(conn, event.at)?.into(),
            event.at.into(),
            event.kind.as_str().into(),
            event.actor.as_str().into(),
            event.session.as_ref().map(SessionId::as_str).into(),
            event.grant.as_ref().map(GrantId::as_str).into(),
            event.client.as_ref().map(ClientId::as_str).into(),
            event.connector.as_ref().map(ConnectorId::as_str).into(),
            (&event.user_id).into(),
            (&event.ip).into(),
            (&event.reason).into(),
            Value::json(&event.details)?,
        ],
    ))
}

/// An id from instant, counter and random part in fixed width, in characters that all collations sort alike.
fn next_id(conn: &Conn<'_>, at: Timestamp) -> Result<String, StoreError> {
    let random = random_bytes::<8>().map_err(corrupt)?;
    Ok(format!(
        "{}{:08x}{:016x}",
        id_from(at),
        conn.shared.next_event(),
        u64::from_be_bytes(random)
    ))
}

/// Whether a text has the format of [`next_id`].
fn is_id(text: &str) -> bool {
    let digit =
        |(n, b): (usize, u8)| b.is_ascii_digit() || (n >= TIME_DIGITS && matches!(b, b'a'..=b'f'));
    text.len() == ID_DIGITS && text.bytes().enumerate().all(digit)
}

/// The prefix of the ids of this millisecond, which sorts before all of them.
pub(crate) fn id_from(at: Timestamp) -> String {
    format!("{:015}", at.millis().max(0))
}

/// Kinds that are frequent enough to be found by reading the log from its end. The others are in the partial index
/// `events_rare_kind`, whose condition must be repeated literally.
const COMMON_KINDS: [EventKind; 6] = [
    EventKind::SignedIn,
    EventKind::Reauthenticated,
    EventKind::SignedOut,
    EventKind::SessionEnded,
    EventKind::GrantEnded,
    EventKind::GroupsChanged,
];
const IS_RARE_KIND: &str = " AND kind NOT IN ('signed_in', 'reauthenticated', 'signed_out', \
     'session_ended', 'grant_ended', 'groups_changed')";

impl EventQuery {
    pub(crate) fn sql(&self) -> Result<Sql, StoreError> {
        let until = self.until.map_or_else(|| "a".to_owned(), id_from);
        let before = self.before_id.as_ref().map_or(until.as_str(), |id| id.as_str().min(&until));
        let mut sql = Sql::default();
        sql.push(
            "SELECT id, at, kind, actor, session_id, grant_id, client_id, connector_id, user_id, \
             ip, reason, details FROM events WHERE id < ",
        );
        sql.bind(before);
        sql.and("id >= ", self.since.map(id_from).as_deref());
        sql.and("session_id = ", self.session.as_ref());
        sql.and("grant_id = ", self.grant.as_ref());
        sql.and("user_id = ", self.user_id.as_deref());
        sql.and("actor = ", self.actor.as_deref());
        sql.and("client_id = ", self.client.as_ref());
        sql.and("connector_id = ", self.connector.as_ref());
        sql.and("ip = ", self.ip.as_deref());
        if let Some(kind) = self.kind {
            sql.push(" AND kind = ").bind(kind.as_str());
            if !COMMON_KINDS.contains(&kind) {
                sql.push(IS_RARE_KIND);
            }
        }
        if let Some(text) = &self.text {
            push_text(&mut sql, text)?;
        }
        sql.push(" ORDER BY id DESC LIMIT ").bind(self.limit.clamp(1, MAX_PAGE));
        Ok(sql)
    }
}

impl Operation for EventQuery {
    type Output = Vec<StoredEvent>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<StoredEvent>, StoreError> {
        conn.select_built(&self.sql()?).await?.iter().map(stored).collect()
    }
}

/// Searches the details, which are JSON with escapes, and the names; each as written and in lower case, because `lower`
/// differs between the engines beyond ASCII.
fn push_text(sql: &mut Sql, text: &str) -> Result<(), StoreError> {
    let json = serde_json::to_string(text).map_err(corrupt)?;
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    let names = "actor || ' ' || COALESCE(user_id, '')";
    sql.push(" AND (details LIKE ").bind(contains(json).as_str());
    sql.push(" ESCAPE '\\' OR lower(details) LIKE ").bind(contains(&json.to_lowercase()).as_str());
    sql.push(" ESCAPE '\\' OR ").push(names).push(" LIKE ").bind(contains(text).as_str());
    sql.push(" ESCAPE '\\' OR lower(").push(names).push(") LIKE ");
    sql.bind(contains(&text.to_lowercase()).as_str()).push(" ESCAPE '\\')");
    Ok(())
}

fn stored(row: &Row) -> Result<StoredEvent, StoreError> {
    let kind = row.text("kind")?;
    let event = Event {
        at: row.time("at")?,
        kind: serde_json::from_value(serde_json::Value::String(kind))
            .map_err(|e| corrupt(format!("events.kind: {e}")))?,
        actor: row.text("actor")?,
        session: row.maybe_text("session_id")?.map(SessionId::new),
        grant: row.maybe_text("grant_id")?.map(GrantId::new),
        client: row.maybe_text("client_id")?.map(ClientId::new),
        connector: row.maybe_text("connector_id")?.map(ConnectorId::new),
        user_id: row.maybe_text("user_id")?,
        ip: row.maybe_text("ip")?,
        reason: row.maybe_text("reason")?,
        details: row.json("details")?,
    };
    Ok(StoredEvent { id: row.text("id")?, event })
}
