//! The trace of the last login of a session: what the connector requested and received. For
//! administrators only; no decision depends on it. Written by `sign_in`.

use countersign_core::{SessionId, Timestamp, Trace};

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::engine::sql::Value;
use crate::engine::statements::Statement;
use crate::{Store, StoreError};

impl Store {
    /// `None` when nothing was recorded, or the session does not exist.
    pub async fn trace(&self, session: &SessionId) -> Result<Option<Trace>, StoreError> {
        self.read(FindTrace(session.clone())).await
    }
}

struct FindTrace(SessionId);

impl Operation for FindTrace {
    type Output = Option<Trace>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<Trace>, StoreError> {
        let sql = "SELECT trace FROM traces WHERE session_id = $1";
        let row = conn.select_one(sql, &[(&self.0).into()]).await?;
        row.map(|row| row.json("trace")).transpose()
    }
}

/// Replaces the trace of the session's login before.
pub(crate) fn trace_statement(
    session: &SessionId,
    trace: &Trace,
    now: Timestamp,
) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "INSERT INTO traces (session_id, at, trace) VALUES ($1, $2, $3) \
         ON CONFLICT (session_id) DO UPDATE SET at = excluded.at, trace = excluded.trace",
        vec![session.into(), now.into(), Value::json(trace)?],
    ))
}
