//! Ends many sessions, or all grants of one session, in bounded batches; each session as in `ends`.

use countersign_core::session::Ended;
use countersign_core::{ClientId, GrantId, SessionFilter, SessionId, Timestamp};

use crate::ends::{end_grant, end_session};
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::matching::Matching;
use crate::sessions::lock_live_session;
use crate::{Store, StoreError};

/// Maximum number of sessions of one transaction, since other writes wait for it.
const MAX_BATCH: i64 = 200;

/// What one call of [`Store::end_sessions`] ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedBatch {
    pub sessions: i64,
    /// Live grants that ended with them.
    pub grants: i64,
    /// Expiry of the last token of these sessions, which may be in the past; includes grants that had already ended.
    pub tokens_until: Option<Timestamp>,
    /// Whether more sessions may match: call again.
    pub more: bool,
}

/// Grants that were ended while their session remains live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantsEnded {
    pub grants: i64,
    /// Expiry of the last token of the grants that were ended.
    pub tokens_until: Option<Timestamp>,
}

impl Store {
    /// Ends live sessions that match the filter, whatever its `state`: 1 to 200 of them in one transaction, each with
    /// its event. `ip` is the address of the request.
    ///
    /// A caller that repeats this while there are `more` must set `created_before`, or sessions that begin
    /// meanwhile end too.
    pub async fn end_sessions(
        &self,
        filter: &SessionFilter,
        ended: &Ended,
        ip: Option<&str>,
        limit: i64,
    ) -> Result<EndedBatch, StoreError> {
        let Some(matching) = Matching::of(filter) else { return Ok(EndedBatch::default()) };
        self.write(EndSessions {
            matching: matching.live(),
            ended: ended.clone(),
            ip: ip.map(str::to_owned),
            limit: limit.clamp(1, MAX_BATCH),
        })
        .await
    }

    /// Ends all grants of a live session, or those of one client; `None` when the session is not live.
    pub async fn end_grants(
        &self,
        session: &SessionId,
        client: Option<&ClientId>,
        ended: &Ended,
    ) -> Result<Option<GrantsEnded>, StoreError> {
        let (session, client) = (session.clone(), client.cloned());
        self.write(EndGrants { session, client, ended: ended.clone() }).await
    }
}

struct EndSessions {
    matching: Matching,
    ended: Ended,
    ip: Option<String>,
    limit: i64,
}

impl Operation for EndSessions {
    type Output = EndedBatch;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<EndedBatch, StoreError> {
        let index = self.matching.choose_index(conn).await?;
        let rows = conn.select_built(&self.matching.live_ids(index, self.limit)).await?;
        let mut batch = EndedBatch {
            more: i64::try_from(rows.len()).is_ok_and(|found| found == self.limit),
            ..EndedBatch::default()
        };
        let ids = rows.iter().map(|row| row.text("id").map(SessionId::new));
        let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
        // Sorted, so that two transactions that end the same sessions do not deadlock.
        ids.sort_unstable();
        for id in &ids {
            // Another transaction may have ended it since it was found.
            let end = end_session(conn, id, &self.ended, self.ip.as_deref()).await?;
            let Some(end) = end else { continue };
            batch.sessions += 1;
            batch.grants += i64::try_from(end.grants_ended).unwrap_or(i64::MAX);
            batch.tokens_until = batch.tokens_until.max(end.tokens_until);
        }
        Ok(batch)
    }
}

struct EndGrants {
    session: SessionId,
    client: Option<ClientId>,
    ended: Ended,
}

impl Operation for EndGrants {
    type Output = Option<GrantsEnded>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<GrantsEnded>, StoreError> {
        // Waits for grants that are being issued, so that they are found.
        if !lock_live_session(conn, &self.session, self.ended.at).await? {
            return Ok(None);
        }
        let rows = conn
            .select(
                "SELECT id FROM grants WHERE session_id = $1 AND ended_at IS NULL \
                 AND ($2 IS NULL OR client_id = $2) ORDER BY id",
                &[(&self.session).into(), self.client.as_ref().map(ClientId::as_str).into()],
            )
            .await?;
        let mut all = GrantsEnded::default();
        for row in &rows {
            let id = GrantId::new(row.text("id")?);
            if let Some(end) = end_grant(conn, &id, &self.ended).await? {
                all.grants += 1;
                all.tokens_until = all.tokens_until.max(Some(end.tokens_until));
            }
        }
        Ok(Some(all))
    }
}
