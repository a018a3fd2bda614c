//! Circuit breakers of connectors: while one is open, refusals of that upstream end no session (design 5).

use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::{Actor, ConnectorId, Event, Timestamp};
use serde_json::json;

use crate::engine::conn::{Conn, Row};
use crate::engine::{Change, Operation};
use crate::events::record;
use crate::{Store, StoreError};

/// The last time a connector's circuit breaker opened, and who closed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    pub connector: ConnectorId,
    pub opened_at: Timestamp,
    /// Users refused within the minute before it opened.
    pub refused: i64,
    /// Users revalidated within that minute, including the refused ones.
    pub total: i64,
    /// `None`: it is open.
    pub closed: Option<CircuitClosed>,
}

/// When and by whom a circuit breaker was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitClosed {
    pub at: Timestamp,
    /// `user:…`, `client:…`.
    pub by: String,
}

impl CircuitBreaker {
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}

/// Opens the breaker of a connector that refused too many users within a minute.
#[derive(Clone, Debug)]
pub struct OpenCircuitBreaker {
    pub connector: ConnectorId,
    pub refused: i64,
    pub total: i64,
    /// Sessions marked as missing since then are reset.
    pub missing_since: Timestamp,
    /// The breaker does not open within this time after an administrator closed it.
    pub grace_period: Duration,
    pub now: Timestamp,
}

/// The state after [`Store::open_circuit_breaker`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CircuitBreakerState {
    Opened(CircuitBreaker),
    /// Another replica opened it first, or an administrator has just closed it.
    Unchanged(CircuitBreaker),
}

impl Store {
    /// Opens the breaker, unless it is open or was closed within the grace period.
    pub async fn open_circuit_breaker(
        &self,
        circuit_breaker: OpenCircuitBreaker,
    ) -> Result<CircuitBreakerState, StoreError> {
        self.write(circuit_breaker).await
    }

    /// The breakers of all connectors that ever opened one, including closed ones, ordered by connector id.
    pub async fn circuit_breakers(&self) -> Result<Vec<CircuitBreaker>, StoreError> {
        self.read(All).await
    }

    /// Closes a breaker after an administrator, `by`, confirmed the refusals. `None`: the breaker is not open.
    pub async fn close_circuit_breaker(
        &self,
        connector: &ConnectorId,
        by: impl Into<Actor>,
        now: Timestamp,
    ) -> Result<Option<CircuitBreaker>, StoreError> {
        self.write(Close { connector: connector.clone(), by: by.into(), now }).await
    }
}

macro_rules! columns {
    () => {
        "connector_id, opened_at, refused, total, closed_at, closed_by"
    };
}

impl Operation for OpenCircuitBreaker {
    type Output = CircuitBreakerState;
    const CHANGES: Option<Change> = Some(Change::CircuitBreakers);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<CircuitBreakerState, StoreError> {
        let opened = conn
            .returning(
                concat!(
                    "INSERT INTO circuit_breakers (connector_id, opened_at, refused, total) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT (connector_id) DO UPDATE \
                     SET opened_at = $2, refused = $3, total = $4, closed_at = NULL, \
                     closed_by = NULL WHERE circuit_breakers.closed_at < $5 RETURNING ",
                    columns!()
                ),
                &[
                    (&self.connector).into(),
                    self.now.into(),
                    self.refused.into(),
                    self.total.into(),
                    (self.now - self.grace_period).into(),
                ],
            )
            .await?;
        let Some(row) = opened.first() else {
            let existing = circuit_breaker_of(conn, &self.connector).await?;
            let existing =
                existing.ok_or_else(|| crate::error::corrupt("a circuit breaker disappeared"))?;
            return Ok(CircuitBreakerState::Unchanged(existing));
        };
        conn.execute(
            "UPDATE sessions SET missing_since = NULL \
             WHERE connector_id = $1 AND missing_since >= $2 AND ended_at IS NULL",
            &[(&self.connector).into(), self.missing_since.into()],
        )
        .await?;
        let circuit_breaker = circuit_breaker(row)?;
        let mut event = Event::new(self.now, EventKind::CircuitBreakerOpened, "system");
        event.connector = Some(self.connector.clone());
        event.reason = Some("mass_refusal".to_owned());
        event.details =
            json!({ "refused": circuit_breaker.refused, "total": circuit_breaker.total });
        record(conn, &event).await?;
        Ok(CircuitBreakerState::Opened(circuit_breaker))
    }
}

struct All;

impl Operation for All {
    type Output = Vec<CircuitBreaker>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<CircuitBreaker>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM circuit_breakers ORDER BY connector_id");
        conn.select(sql, &[]).await?.iter().map(circuit_breaker).collect()
    }
}

struct Close {
    connector: ConnectorId,
    by: Actor,
    now: Timestamp,
}

impl Operation for Close {
    type Output = Option<CircuitBreaker>;
    const CHANGES: Option<Change> = Some(Change::CircuitBreakers);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<CircuitBreaker>, StoreError> {
        let closed = conn
            .returning(
                concat!(
                    "UPDATE circuit_breakers SET closed_at = $2, closed_by = $3 \
                     WHERE connector_id = $1 AND closed_at IS NULL RETURNING ",
                    columns!()
                ),
                &[(&self.connector).into(), self.now.into(), (&self.by.name).into()],
            )
            .await?;
        let Some(circuit_breaker) = closed.first().map(circuit_breaker).transpose()? else {
            return Ok(None);
        };
        let mut event = Event::by(&self.by, self.now, EventKind::CircuitBreakerClosed);
        event.connector = Some(self.connector.clone());
        event.details = json!({ "opened_at": circuit_breaker.opened_at });
        record(conn, &event).await?;
        Ok(Some(circuit_breaker))
    }
}

/// Whether the circuit breaker of this connector is open.
pub(crate) async fn is_circuit_open(
    conn: &mut Conn<'_>,
    connector: &ConnectorId,
) -> Result<bool, StoreError> {
    Ok(circuit_breaker_of(conn, connector)
        .await?
        .is_some_and(|circuit_breaker| circuit_breaker.is_open()))
}

async fn circuit_breaker_of(
    conn: &mut Conn<'_>,
    connector: &ConnectorId,
) -> Result<Option<CircuitBreaker>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM circuit_breakers WHERE connector_id = $1");
    conn.select_one(sql, &[connector.into()]).await?.as_ref().map(circuit_breaker).transpose()
}

fn circuit_breaker(row: &Row) -> Result<CircuitBreaker, StoreError> {
    let closed = match row.maybe_time("closed_at")? {
        Some(at) => Some(CircuitClosed { at, by: row.text("closed_by")? }),
        None => None,
    };
    Ok(CircuitBreaker {
        connector: ConnectorId::new(row.text("connector_id")?),
        opened_at: row.time("opened_at")?,
        refused: row.int("refused")?,
        total: row.int("total")?,
        closed,
    })
}
