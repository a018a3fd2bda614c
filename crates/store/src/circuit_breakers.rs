//! CircuitBreakers: connectors whose refusals are not believed until a person has confirmed them (design 5).

use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::{ConnectorId, Event, Timestamp};
use serde_json::json;

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::events::tell;
use crate::{Store, StoreError};

/// What a connector was braked for, and whether somebody has confirmed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    pub connector: ConnectorId,
    pub set_at: Timestamp,
    /// People refused within the minute before.
    pub refused: i64,
    /// People asked about within that minute, refused ones included.
    pub asked: i64,
    /// `None`: it holds.
    pub confirmed: Option<Confirmed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    pub at: Timestamp,
    /// `user:…`, `client:…`.
    pub by: String,
}

impl CircuitBreaker {
    pub fn holds(&self) -> bool {
        self.confirmed.is_none()
    }
}

/// A connector refused too many people at once.
#[derive(Clone, Debug)]
pub struct OpenCircuitBreaker {
    pub connector: ConnectorId,
    pub refused: i64,
    pub asked: i64,
    /// Marks of missing people as old as this or younger are part of the same mistake: taken back.
    pub marks_since: Timestamp,
    /// Who confirmed within this time before meant the refusals: no brake is set.
    pub confirmation_counts: Duration,
    pub now: Timestamp,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CircuitBreakerState {
    Set(CircuitBreaker),
    /// Another replica was first, or a person has just confirmed.
    Already(CircuitBreaker),
}

impl Store {
    pub async fn open_circuit_breaker(
        &self,
        circuit_breaker: OpenCircuitBreaker,
    ) -> Result<CircuitBreakerState, StoreError> {
        self.write(circuit_breaker).await
    }

    /// Every connector that was ever circuit_breaker, in the order of ids; confirmed ones too.
    pub async fn circuit_breakers(&self) -> Result<Vec<CircuitBreaker>, StoreError> {
        self.read(All).await
    }

    /// A person has looked: what the upstream says counts again. `None` when no brake holds. `by` is
    /// `user:…` or `client:…`.
    pub async fn close_circuit_breaker(
        &self,
        connector: &ConnectorId,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<CircuitBreaker>, StoreError> {
        self.write(Release { connector: connector.clone(), by: by.to_owned(), now }).await
    }
}

macro_rules! columns {
    () => {
        "connector_id, set_at, refused, asked, confirmed_at, confirmed_by"
    };
}

impl Operation for OpenCircuitBreaker {
    type Answer = CircuitBreakerState;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<CircuitBreakerState, StoreError> {
        let set = conn
            .returning(
                concat!(
                    "INSERT INTO brakes (connector_id, set_at, refused, asked) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT (connector_id) DO UPDATE \
                     SET set_at = $2, refused = $3, asked = $4, confirmed_at = NULL, \
                     confirmed_by = NULL WHERE brakes.confirmed_at < $5 RETURNING ",
                    columns!()
                ),
                &[
                    (&self.connector).into(),
                    self.now.into(),
                    self.refused.into(),
                    self.asked.into(),
                    (self.now - self.confirmation_counts).into(),
                ],
            )
            .await?;
        let Some(row) = set.first() else {
            let there = brake_of(conn, &self.connector).await?;
            let there = there.ok_or_else(|| crate::error::broken("a brake vanished"))?;
            return Ok(CircuitBreakerState::Already(there));
        };
        conn.execute(
            "UPDATE sessions SET missing_since = NULL \
             WHERE connector_id = $1 AND missing_since >= $2 AND ended_at IS NULL",
            &[(&self.connector).into(), self.marks_since.into()],
        )
        .await?;
        let circuit_breaker = circuit_breaker(row)?;
        let mut event = Event::new(self.now, EventKind::CircuitBreakerOpened, "system");
        event.connector = Some(self.connector.clone());
        event.reason = Some("mass_refusal".to_owned());
        event.details =
            json!({ "refused": circuit_breaker.refused, "asked": circuit_breaker.asked });
        tell(conn, &event).await?;
        Ok(CircuitBreakerState::Set(circuit_breaker))
    }
}

struct All;

impl Operation for All {
    type Answer = Vec<CircuitBreaker>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<CircuitBreaker>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM brakes ORDER BY connector_id");
        conn.select(sql, &[]).await?.iter().map(circuit_breaker).collect()
    }
}

struct Release {
    connector: ConnectorId,
    by: String,
    now: Timestamp,
}

impl Operation for Release {
    type Answer = Option<CircuitBreaker>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<CircuitBreaker>, StoreError> {
        let released = conn
            .returning(
                concat!(
                    "UPDATE brakes SET confirmed_at = $2, confirmed_by = $3 \
                     WHERE connector_id = $1 AND confirmed_at IS NULL RETURNING ",
                    columns!()
                ),
                &[(&self.connector).into(), self.now.into(), (&self.by).into()],
            )
            .await?;
        let Some(circuit_breaker) = released.first().map(circuit_breaker).transpose()? else {
            return Ok(None);
        };
        let mut event = Event::new(self.now, EventKind::CircuitBreakerClosed, self.by.clone());
        event.connector = Some(self.connector.clone());
        event.details = json!({ "set_at": circuit_breaker.set_at });
        tell(conn, &event).await?;
        Ok(Some(circuit_breaker))
    }
}

/// Whether the refusals of this connector are not to be believed, as its row stands now.
pub(crate) async fn is_circuit_open(
    conn: &mut Conn<'_>,
    connector: &ConnectorId,
) -> Result<bool, StoreError> {
    Ok(brake_of(conn, connector).await?.is_some_and(|circuit_breaker| circuit_breaker.holds()))
}

async fn brake_of(
    conn: &mut Conn<'_>,
    connector: &ConnectorId,
) -> Result<Option<CircuitBreaker>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM brakes WHERE connector_id = $1");
    conn.select_one(sql, &[connector.into()]).await?.as_ref().map(circuit_breaker).transpose()
}

fn circuit_breaker(row: &Row) -> Result<CircuitBreaker, StoreError> {
    let confirmed = match row.maybe_time("confirmed_at")? {
        Some(at) => Some(Confirmed { at, by: row.text("confirmed_by")? }),
        None => None,
    };
    Ok(CircuitBreaker {
        connector: ConnectorId::new(row.text("connector_id")?),
        set_at: row.time("set_at")?,
        refused: row.int("refused")?,
        asked: row.int("asked")?,
        confirmed,
    })
}
