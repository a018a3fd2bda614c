//! Brakes: connectors whose refusals are not believed until a person has confirmed them (design 5).

use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::{ConnectorId, Event, Timestamp};
use serde_json::json;

use crate::engine::Verb;
use crate::engine::conn::{Conn, Row};
use crate::events::tell;
use crate::{Store, StoreError};

/// What a connector was braked for, and whether somebody has confirmed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brake {
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

impl Brake {
    pub fn holds(&self) -> bool {
        self.confirmed.is_none()
    }
}

/// A connector refused too many people at once.
#[derive(Clone, Debug)]
pub struct SetBrake {
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
pub enum BrakeSet {
    Set(Brake),
    /// Another replica was first, or a person has just confirmed.
    Already(Brake),
}

impl Store {
    pub async fn set_brake(&self, brake: SetBrake) -> Result<BrakeSet, StoreError> {
        self.write(brake).await
    }

    /// Every connector that was ever braked, in the order of ids; confirmed ones too.
    pub async fn brakes(&self) -> Result<Vec<Brake>, StoreError> {
        self.read(All).await
    }

    /// A person has looked: what the upstream says counts again. `None` when no brake holds. `by` is
    /// `user:…` or `client:…`.
    pub async fn release_brake(
        &self,
        connector: &ConnectorId,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<Brake>, StoreError> {
        self.write(Release { connector: connector.clone(), by: by.to_owned(), now }).await
    }
}

macro_rules! columns {
    () => {
        "connector_id, set_at, refused, asked, confirmed_at, confirmed_by"
    };
}

impl Verb for SetBrake {
    type Answer = BrakeSet;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<BrakeSet, StoreError> {
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
            return Ok(BrakeSet::Already(there));
        };
        conn.execute(
            "UPDATE sessions SET missing_since = NULL \
             WHERE connector_id = $1 AND missing_since >= $2 AND ended_at IS NULL",
            &[(&self.connector).into(), self.marks_since.into()],
        )
        .await?;
        let brake = brake(row)?;
        let mut event = Event::new(self.now, EventKind::BrakeSet, "system");
        event.connector = Some(self.connector.clone());
        event.reason = Some("mass_refusal".to_owned());
        event.details = json!({ "refused": brake.refused, "asked": brake.asked });
        tell(conn, &event).await?;
        Ok(BrakeSet::Set(brake))
    }
}

struct All;

impl Verb for All {
    type Answer = Vec<Brake>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<Brake>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM brakes ORDER BY connector_id");
        conn.select(sql, &[]).await?.iter().map(brake).collect()
    }
}

struct Release {
    connector: ConnectorId,
    by: String,
    now: Timestamp,
}

impl Verb for Release {
    type Answer = Option<Brake>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<Brake>, StoreError> {
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
        let Some(brake) = released.first().map(brake).transpose()? else { return Ok(None) };
        let mut event = Event::new(self.now, EventKind::BrakeReleased, self.by.clone());
        event.connector = Some(self.connector.clone());
        event.details = json!({ "set_at": brake.set_at });
        tell(conn, &event).await?;
        Ok(Some(brake))
    }
}

/// Whether the refusals of this connector are not to be believed, as its row stands now.
pub(crate) async fn is_braked(
    conn: &mut Conn<'_>,
    connector: &ConnectorId,
) -> Result<bool, StoreError> {
    Ok(brake_of(conn, connector).await?.is_some_and(|brake| brake.holds()))
}

async fn brake_of(
    conn: &mut Conn<'_>,
    connector: &ConnectorId,
) -> Result<Option<Brake>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM brakes WHERE connector_id = $1");
    conn.select_one(sql, &[connector.into()]).await?.as_ref().map(brake).transpose()
}

fn brake(row: &Row) -> Result<Brake, StoreError> {
    let confirmed = match row.maybe_time("confirmed_at")? {
        Some(at) => Some(Confirmed { at, by: row.text("confirmed_by")? }),
        None => None,
    };
    Ok(Brake {
        connector: ConnectorId::new(row.text("connector_id")?),
        set_at: row.time("set_at")?,
        refused: row.int("refused")?,
        asked: row.int("asked")?,
        confirmed,
    })
}
