//! What the upstream was asked and said at a session's last sign-in. Nobody's right depends on it.

use countersign_core::{SessionId, Timestamp, Trace};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Value};
use crate::{Store, StoreError};

impl Store {
    /// In place of the trace of an earlier sign-in. A session that is gone has none.
    pub async fn keep_trace(
        &self,
        session: &SessionId,
        trace: &Trace,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Keep { session: session.clone(), trace: trace.clone(), now }).await
    }

    /// `None`: there was nothing to tell, or the session is gone.
    pub async fn trace_of(&self, session: &SessionId) -> Result<Option<Trace>, StoreError> {
        self.read(Of(session.clone())).await
    }
}

struct Keep {
    session: SessionId,
    trace: Trace,
    now: Timestamp,
}

impl Operation for Keep {
    type Answer = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        conn.execute(
            "INSERT INTO traces (session_id, at, trace) \
             SELECT id, $2, $3 FROM sessions WHERE id = $1 \
             ON CONFLICT (session_id) DO UPDATE SET at = excluded.at, trace = excluded.trace",
            &[(&self.session).into(), self.now.into(), Value::json(&self.trace)?],
        )
        .await?;
        Ok(())
    }
}

struct Of(SessionId);

impl Operation for Of {
    type Answer = Option<Trace>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<Trace>, StoreError> {
        let sql = "SELECT trace FROM traces WHERE session_id = $1";
        let row = conn.select_one(sql, &[(&self.0).into()]).await?;
        row.map(|row| row.json("trace")).transpose()
    }
}
