//! BEGIN and COMMIT on PostgreSQL, and the outcome of a transaction whose COMMIT was not answered.
//!
//! The transaction id is requested in the same message as BEGIN, so that it costs no round trip. When the connection is
//! lost after COMMIT was sent, `pg_xact_status` on another connection returns the outcome. A promoted standby continues
//! with the ids it had received and may assign the same ones again, so an id is valid only on the timeline on which it
//! was assigned.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Row, raw_sql};

use super::primary::Primary;
use crate::StoreError;
use crate::error::{chain, corrupt};

/// Total time for looking up an outcome.
pub(super) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two lookups of a transaction that is still in progress: the server has not noticed that its client
/// disconnected, or waits for a synchronous standby.
const PAUSE: Duration = Duration::from_millis(50);

/// These functions do not report the transactions of YugabyteDB and CockroachDB. A server without one of the functions
/// returns an error.
const HAS_IDS: &str = "SELECT version() LIKE 'PostgreSQL %' AND version() NOT LIKE '%-YB-%' \
    AND pg_xact_status(pg_current_xact_id()) = 'in progress' \
    AND pg_walfile_name(pg_current_wal_insert_lsn()) <> ''";
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const BEGIN_WITH_ID: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
    SELECT CAST(pg_current_xact_id() AS TEXT), left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)";
const STATUS: &str = "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS xid8)) \
    WHERE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) = $2";

/// A transaction of one server.
#[derive(Debug)]
pub(super) struct TransactionId {
    id: String,
    timeline: String,
}

/// The outcome of a transaction.
pub(super) enum TransactionOutcome {
    Committed,
    RolledBack,
    /// Why it is not known.
    Unknown(String),
}

pub(super) async fn has_transaction_ids(connection: &mut PgConnection) -> bool {
    matches!(
        sqlx::query_scalar::<_, Option<bool>>(HAS_IDS).fetch_one(connection).await,
        Ok(Some(true))
    )
}

/// `None` where transactions have no id, or the server is read-only and will refuse the operation.
pub(super) async fn begin(
    connection: &mut PgConnection,
    with_id: bool,
) -> Result<Option<TransactionId>, StoreError> {
    if !with_id {
        raw_sql(BEGIN).execute(connection).await?;
        return Ok(None);
    }
    let row = raw_sql(BEGIN_WITH_ID).fetch_all(connection).await?.pop();
    let row = row.ok_or_else(|| corrupt("BEGIN returned no transaction id"))?;
    Ok(Some(TransactionId { id: row.try_get(0)?, timeline: row.try_get(1)? }))
}

pub(super) async fn commit(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql("COMMIT").execute(connection).await.map(|_| ())
}

pub(super) async fn roll_back(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql("ROLLBACK").execute(connection).await.map(|_| ())
}

/// Looks it up until the transaction has ended, or until the deadline.
pub(super) async fn outcome_of(
    primary: &Primary,
    id: &TransactionId,
    deadline: Instant,
) -> TransactionOutcome {
    loop {
        let cause = match status(primary, id, deadline).await {
            Ok(Some(status)) if status == "committed" => return TransactionOutcome::Committed,
            Ok(Some(status)) if status == "aborted" => return TransactionOutcome::RolledBack,
            Ok(Some(status)) => format!("the transaction is {status}"),
            Ok(None) => {
                return TransactionOutcome::Unknown("another server has taken over".to_owned());
            }
            Err(cause) => cause,
        };
        if Instant::now() + PAUSE >= deadline {
            return TransactionOutcome::Unknown(cause);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// `None`: the id is of another timeline, or too old.
async fn status(
    primary: &Primary,
    id: &TransactionId,
    deadline: Instant,
) -> Result<Option<String>, String> {
    let mut pooled = primary.connection_until(deadline).await.map_err(|error| error.to_string())?;
    let query = sqlx::query_scalar::<_, Option<String>>(STATUS).bind(&id.id).bind(&id.timeline);
    let left = deadline.saturating_duration_since(Instant::now());
    let reading = query.fetch_optional(&mut pooled.connection);
    match tokio::time::timeout(left, reading).await {
        Ok(Ok(status)) => {
            pooled.release();
            Ok(status.flatten())
        }
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err("no answer".to_owned()),
    }
}
