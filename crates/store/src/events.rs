//! The audit log: written with the act it tells of, read by the administrator, never changed.

use countersign_core::event::EventKind;
use countersign_core::ids::random_bytes;
use countersign_core::{ClientId, ConnectorId, Event, GrantId, Session, SessionId, Timestamp};

use crate::engine::Verb;
use crate::engine::conn::{Conn, Row, Value};
use crate::error::broken;
use crate::{Store, StoreError};

/// Rows of one answer at most.
const LARGEST_PAGE: i64 = 1000;

/// Which events; a field left out does not matter.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    pub session: Option<SessionId>,
    /// At any connector.
    pub user_id: Option<String>,
    pub kind: Option<EventKind>,
    /// This instant and later.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// At least 1, at most 1000, whatever is asked.
    pub limit: i64,
    /// The id of the last event of the page before.
    pub before_id: Option<String>,
}

#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Newer events have greater ids; within a millisecond those that one store told later.
    pub id: String,
    pub event: Event,
}

impl Store {
    /// For what happens outside any other verb, such as a new signing key.
    pub async fn add_event(&self, event: Event) -> Result<(), StoreError> {
        self.write(AddEvent(event)).await
    }

    /// Newest first.
    pub async fn events(&self, query: EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(query).await
    }
}

struct AddEvent(Event);

impl Verb for AddEvent {
    type Answer = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        tell(conn, &self.0).await
    }
}

/// An event about a session, its person and its connector.
pub(crate) fn about(session: &Session, at: Timestamp, kind: EventKind, actor: &str) -> Event {
    let mut event = Event::new(at, kind, actor);
    event.session = Some(session.id.clone());
    event.connector = Some(session.connector.clone());
    event.user_id = Some(session.identity.user_id.clone());
    event
}

pub(crate) async fn tell(conn: &mut Conn<'_>, event: &Event) -> Result<(), StoreError> {
    let id = next_id(conn, event.at)?;
    conn.execute(
        "INSERT INTO events (id, at, kind, actor, session_id, grant_id, client_id, \
         connector_id, user_id, ip, reason, details) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            id.as_str().into(),
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
    )
    .await?;
    Ok(())
}

/// When, after how many others, and something random: digits and lower hex in fixed width, which
/// every collation of every engine orders alike.
fn next_id(conn: &Conn<'_>, at: Timestamp) -> Result<String, StoreError> {
    let random = random_bytes::<8>().map_err(broken)?;
    Ok(format!("{}{:08x}{:016x}", id_from(at), conn.told.next(), u64::from_be_bytes(random)))
}

/// What the ids of this millisecond begin with; less than all of them.
pub(crate) fn id_from(at: Timestamp) -> String {
    format!("{:015}", at.millis().max(0))
}

macro_rules! page {
    ($whose:literal) => {
        concat!(
            "SELECT id, at, kind, actor, session_id, grant_id, client_id, connector_id, user_id, \
             ip, reason, details FROM events WHERE ",
            $whose,
            " AND ($2 IS NULL OR session_id = $2) AND ($3 IS NULL OR kind = $3) \
             AND id >= $4 AND id < $5 ORDER BY id DESC LIMIT $6"
        )
    };
}

impl Verb for EventQuery {
    type Answer = Vec<StoredEvent>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<StoredEvent>, StoreError> {
        // One text per index that can drive it: an OR over everything would walk the whole log.
        let (sql, whose, session) = match (&self.user_id, &self.session) {
            (Some(user), session) => (page!("user_id = $1"), user.as_str(), session.as_ref()),
            (None, Some(session)) => (page!("session_id = $1"), session.as_str(), None),
            (None, None) => (page!("$1 = 'everybody'"), "everybody", None),
        };
        let until = self.until.map_or_else(|| "a".to_owned(), id_from);
        let before = self.before_id.as_ref().map_or(until.as_str(), |id| id.as_str().min(&until));
        let rows = conn
            .select(
                sql,
                &[
                    whose.into(),
                    session.map(SessionId::as_str).into(),
                    self.kind.map(EventKind::as_str).into(),
                    self.since.map(id_from).unwrap_or_default().as_str().into(),
                    before.into(),
                    self.limit.clamp(1, LARGEST_PAGE).into(),
                ],
            )
            .await?;
        rows.iter().map(stored).collect()
    }
}

fn stored(row: &Row) -> Result<StoredEvent, StoreError> {
    let kind = row.text("kind")?;
    let event = Event {
        at: row.time("at")?,
        kind: serde_json::from_value(serde_json::Value::String(kind))
            .map_err(|e| broken(format!("events.kind: {e}")))?,
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
