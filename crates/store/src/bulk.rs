//! Ending many: a bounded bite of what a filter finds, each session through the one way it ends.

use countersign_core::session::Ended;
use countersign_core::{ClientId, GrantId, SessionFilter, SessionId, Timestamp};

use crate::ends::{end_grant, end_session};
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::matching::Matching;
use crate::sessions::lock_live_session;
use crate::{Store, StoreError};

/// Sessions of one transaction at most: others wait behind it.
const LARGEST_BATCH: i64 = 200;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedBatch {
    pub sessions: i64,
    /// Grants that were live until now.
    pub grants: i64,
    /// The last token that anybody holds of these sessions dies then, which may be over: grants that had
    /// ended before are counted in.
    pub tokens_until: Option<Timestamp>,
    /// Ask again: there were more.
    pub more: bool,
}

/// What a session gave is over; the session lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantsEnded {
    pub grants: i64,
    /// The last token of those that ended now dies then.
    pub tokens_until: Option<Timestamp>,
}

impl Store {
    /// Ends live sessions that the filter finds, whatever state it asks for: at least 1, at most 200 of
    /// them, in one transaction, each with its event. `ip` is the address of whoever does it.
    ///
    /// A caller who asks again while there are `more` must put an end to `created_before`, or people who
    /// sign in anew meanwhile are ended too.
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
            limit: limit.clamp(1, LARGEST_BATCH),
        })
        .await
    }

    /// Ends all that a live session gave, or gave to one client; `None` when the session is not live.
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
    type Answer = EndedBatch;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<EndedBatch, StoreError> {
        let sql = self.matching.texts(conn).await?.live;
        let rows = conn.select(sql, &self.matching.values(None, self.limit)).await?;
        let mut batch = EndedBatch {
            more: i64::try_from(rows.len()).is_ok_and(|found| found == self.limit),
            ..EndedBatch::default()
        };
        let ids = rows.iter().map(|row| row.text("id").map(SessionId::new));
        let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
        // Two that end the same sessions take them in the same order, and neither waits for ever.
        ids.sort_unstable();
        for id in &ids {
            // Somebody else may have ended it since it was found.
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
    type Answer = Option<GrantsEnded>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<GrantsEnded>, StoreError> {
        // So that what is given at the same time is found.
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
