//! Ends one session, one grant, or all sessions that match a filter.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{Event, GrantId, SessionFilter, SessionId};
use countersign_store::{EndedBatch, GrantEnd, SessionCount, SessionEnd};
use serde_json::json;

use super::Administrator;
use crate::{Issuer, IssuerError};

/// Sessions ended in one transaction; bounded, so that other writes do not wait long.
const BATCH: i64 = 200;
/// Time limit of one call, well below the request timeout. The result reports whether matching sessions remain.
const ONE_CALL: Duration = Duration::from_secs(10);

impl Issuer {
    /// Ends a session and its grants; `None` when there is no such session or it has already ended.
    pub async fn end_session(
        &self,
        who: &Administrator,
        session: &SessionId,
    ) -> Result<Option<SessionEnd>, IssuerError> {
        let end = self.store.end_session(session, self.ended_by(who), who.ip.as_deref()).await?;
        if let Some(end) = &end {
            tracing::warn!(event = "session_ended", session = %session, actor = who.actor(), reason = "administrator", grants = end.grants_ended, tokens_until = end.tokens_until.map(tracing::field::display), "ended by an administrator");
        }
        Ok(end)
    }

    /// Ends a grant; `None` when there is no such grant or it has already ended.
    pub async fn end_grant(
        &self,
        who: &Administrator,
        grant: &GrantId,
    ) -> Result<Option<GrantEnd>, IssuerError> {
        let end = self.store.end_grant(grant, self.ended_by(who)).await?;
        if let Some(end) = &end {
            tracing::warn!(event = "grant_ended", grant = %grant, actor = who.actor(), reason = "administrator", tokens_until = %end.tokens_until, "ended by an administrator");
        }
        Ok(end)
    }

    /// What [`Issuer::end_sessions`] would end now.
    pub async fn preview_end_sessions(
        &self,
        filter: &SessionFilter,
    ) -> Result<SessionCount, IssuerError> {
        Ok(self.store.count_sessions(filter).await?)
    }

    /// Ends all live sessions that match the filter, except those created after the call began. Runs to completion even
    /// if the client disconnects. `more` in the result: the call ended its maximum and matching sessions remain.
    pub async fn end_sessions(
        self: &Arc<Self>,
        who: &Administrator,
        filter: SessionFilter,
    ) -> Result<EndedBatch, IssuerError> {
        let (issuer, who) = (Arc::clone(self), who.clone());
        let work = async move { issuer.end_all(&who, filter).await };
        tokio::spawn(work).await.map_err(|e| IssuerError::Broken(e.to_string()))?
    }

    async fn end_all(
        &self,
        who: &Administrator,
        filter: SessionFilter,
    ) -> Result<EndedBatch, IssuerError> {
        let now = self.now();
        let filter_json = json!(filter);
        let before = filter.created_before.map_or(now, |bound| bound.min(now));
        let filter = SessionFilter { created_before: Some(before), ..filter };
        let ended = self.ended_by(who);
        let mut all = EndedBatch::default();
        loop {
            let batch = self.store.end_sessions(&filter, &ended, who.ip.as_deref(), BATCH).await?;
            all.sessions += batch.sessions;
            all.grants += batch.grants;
            all.tokens_until = all.tokens_until.max(batch.tokens_until);
            all.more = batch.more;
            if !batch.more || self.now().since(now) > ONE_CALL {
                break;
            }
        }
        let mut event = Event::new(self.now(), EventKind::SessionsEnded, who.actor());
        event.ip.clone_from(&who.ip);
        event.reason = Some(EndReason::Administrator.as_str().to_owned());
        event.details = json!({
            "filter": filter_json, "sessions": all.sessions, "grants": all.grants,
            "tokens_until": all.tokens_until, "more": all.more,
        });
        self.store.add_event(event).await?;
        tracing::warn!(event = "sessions_ended", actor = who.actor(), filter = %filter_json, sessions = all.sessions, grants = all.grants, "ended by an administrator");
        Ok(all)
    }

    fn ended_by(&self, who: &Administrator) -> Ended {
        Ended { at: self.now(), by: who.actor().to_owned(), reason: EndReason::Administrator }
    }
}
