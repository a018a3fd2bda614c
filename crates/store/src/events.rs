//! The audit log: written with the act it tells of, read by the administrator, never changed.

use countersign_core::event::EventKind;
use countersign_core::ids::random_bytes;
use countersign_core::{ClientId, ConnectorId, Event, GrantId, Session, SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row, Value};
use crate::error::broken;
use crate::names::{LONGEST_TEXT, contains};
use crate::{Store, StoreError};

/// Rows of one answer at most.
const LARGEST_PAGE: i64 = 1000;
/// Digits of an id: its time, its number, its random part.
const TIME_DIGITS: usize = 15;
const ID_DIGITS: usize = TIME_DIGITS + 8 + 16;

/// Which events; a field left out does not matter.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    pub session: Option<SessionId>,
    pub grant: Option<GrantId>,
    /// At any connector.
    pub user_id: Option<String>,
    /// Whoever did it, spelled as in the event.
    pub actor: Option<String>,
    pub client: Option<ClientId>,
    pub connector: Option<ConnectorId>,
    pub ip: Option<String>,
    /// Part of the actor, the user id or the details, in any case (of letters beyond ASCII: as written).
    /// With a kind or a connector alone, no index knows it: `since` bounds how far it looks.
    pub text: Option<String>,
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

    /// Newest first. A `before_id` that no event can have is `NoSuchPage`.
    pub async fn events(&self, query: EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        if query.before_id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(StoreError::NoSuchPage);
        }
        if query.text.as_ref().is_some_and(|text| text.len() > LONGEST_TEXT) {
            return Ok(Vec::new());
        }
        self.read(query).await
    }
}

struct AddEvent(Event);

impl Operation for AddEvent {
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

/// As [`next_id`] makes them.
fn is_id(text: &str) -> bool {
    let digit =
        |(n, b): (usize, u8)| b.is_ascii_digit() || (n >= TIME_DIGITS && matches!(b, b'a'..=b'f'));
    text.len() == ID_DIGITS && text.bytes().enumerate().all(digit)
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
            " AND id >= $2 AND id < $3 AND ($5 IS NULL OR session_id = $5) \
             AND ($6 IS NULL OR user_id = $6) AND ($7 IS NULL OR kind = $7) \
             AND ($8 IS NULL OR connector_id = $8) AND ($9 IS NULL OR client_id = $9) \
             AND ($10 IS NULL OR actor = $10) AND ($11 IS NULL OR grant_id = $11) \
             AND ($12 IS NULL OR ip = $12) \
             AND ($13 IS NULL OR details LIKE $13 ESCAPE '\\' \
             OR lower(details) LIKE $14 ESCAPE '\\' \
             OR actor || ' ' || COALESCE(user_id, '') LIKE $15 ESCAPE '\\' \
             OR lower(actor || ' ' || COALESCE(user_id, '')) LIKE $16 ESCAPE '\\') \
             ORDER BY id DESC LIMIT $4"
        )
    };
}

impl EventQuery {
    /// One text per index that can drive it: an OR over everything would walk the whole log.
    fn driver(&self) -> (&'static str, &str) {
        if let Some(grant) = &self.grant {
            return (page!("grant_id = $1"), grant.as_str());
        }
        if let Some(session) = &self.session {
            return (page!("session_id = $1"), session.as_str());
        }
        if let Some(user) = &self.user_id {
            return (page!("user_id = $1"), user);
        }
        if let Some(ip) = &self.ip {
            return (page!("ip = $1"), ip);
        }
        if let Some(actor) = &self.actor {
            return (page!("actor = $1"), actor);
        }
        if let Some(client) = &self.client {
            return (page!("client_id = $1"), client.as_str());
        }
        (page!("$1 = 'everybody'"), "everybody")
    }
}

impl Operation for EventQuery {
    type Answer = Vec<StoredEvent>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<StoredEvent>, StoreError> {
        let (sql, whose) = self.driver();
        let until = self.until.map_or_else(|| "a".to_owned(), id_from);
        let before = self.before_id.as_ref().map_or(until.as_str(), |id| id.as_str().min(&until));
        let [details, details_lower, names, names_lower] = patterns(self.text.as_deref())?;
        let rows = conn
            .select(
                sql,
                &[
                    whose.into(),
                    self.since.map(id_from).unwrap_or_default().as_str().into(),
                    before.into(),
                    self.limit.clamp(1, LARGEST_PAGE).into(),
                    self.session.as_ref().map(SessionId::as_str).into(),
                    (&self.user_id).into(),
                    self.kind.map(EventKind::as_str).into(),
                    self.connector.as_ref().map(ConnectorId::as_str).into(),
                    self.client.as_ref().map(ClientId::as_str).into(),
                    (&self.actor).into(),
                    self.grant.as_ref().map(GrantId::as_str).into(),
                    (&self.ip).into(),
                    details,
                    details_lower,
                    names,
                    names_lower,
                ],
            )
            .await?;
        rows.iter().map(stored).collect()
    }
}

/// For the details, which are JSON and spell some characters otherwise, and for the names; each as it was
/// written and in lower case, because what `lower` does beyond ASCII differs.
fn patterns(text: Option<&str>) -> Result<[Value; 4], StoreError> {
    let Some(text) = text else { return Ok([const { Value::Text(None) }; 4]) };
    let json = serde_json::to_string(text).map_err(broken)?;
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    let pattern = |text: &str| Value::from(contains(text).as_str());
    let lower = |text: &str| pattern(&text.to_lowercase());
    Ok([pattern(json), lower(json), pattern(text), lower(text)])
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
