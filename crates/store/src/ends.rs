//! Ends sessions and grants. All operations that end something call these functions.
//!
//! The row to end is locked first, so that a concurrent operation that issues tokens waits and is then refused. The
//! expiry of the last token is read after that, in the same transaction.

use countersign_core::event::EventKind;
use countersign_core::session::Ended;
use countersign_core::{ClientId, GrantId, Session, SessionId, Timestamp};
use serde_json::json;

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::events::{record, session_event};
use crate::logout_notifications::{notify_if_last, participants_of, queue_notifications};
use crate::memberships::Holder;
use crate::rows::{self, session_columns};
use crate::{Store, StoreError};

/// What ended with a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Grants that were live until now.
    pub grants_ended: u64,
    /// Expiry of the last token of this session, which may be in the past; `None` when it has no stored grant.
    pub tokens_until: Option<Timestamp>,
    /// Clients to which a logout token is sent.
    pub notified: Vec<ClientId>,
}

/// What ended with a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantEnd {
    /// Expiry of its last token, which may be in the past.
    pub tokens_until: Timestamp,
}

impl Store {
    /// Ends a session and all its grants; `None` when it is not live. `ip` is the address of the request, for the
    /// event.
    pub async fn end_session(
        &self,
        session: &SessionId,
        ended: Ended,
        ip: Option<&str>,
    ) -> Result<Option<SessionEnd>, StoreError> {
        let ip = ip.map(str::to_owned);
        self.write(EndSession { session: session.clone(), ended, ip }).await
    }

    /// Ends one grant; `None` when it is not live.
    pub async fn end_grant(
        &self,
        grant: &GrantId,
        ended: Ended,
    ) -> Result<Option<GrantEnd>, StoreError> {
        self.write(EndGrant { grant: grant.clone(), ended }).await
    }
}

struct EndSession {
    session: SessionId,
    ended: Ended,
    ip: Option<String>,
}

impl Operation for EndSession {
    type Output = Option<SessionEnd>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<SessionEnd>, StoreError> {
        end_session(conn, &self.session, &self.ended, self.ip.as_deref()).await
    }
}

struct EndGrant {
    grant: GrantId,
    ended: Ended,
}

impl Operation for EndGrant {
    type Output = Option<GrantEnd>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<GrantEnd>, StoreError> {
        end_grant(conn, &self.grant, &self.ended).await
    }
}

/// Ends a session and its grants within an operation; `None` when the session is not live.
pub(crate) async fn end_session(
    conn: &mut Conn<'_>,
    id: &SessionId,
    ended: &Ended,
    ip: Option<&str>,
) -> Result<Option<SessionEnd>, StoreError> {
    let Some(session) = close_session(conn, id, ended).await? else { return Ok(None) };
    let notified = participants_of(conn, id).await?;
    let grants_ended = conn
        .execute(
            "UPDATE grants SET ended_at = $2, ended_by = $3, ended_reason = $4, \
                 expires_at = tokens_until \
             WHERE session_id = $1 AND ended_at IS NULL",
            &[id.into(), ended.at.into(), (&ended.by).into(), ended.reason.as_str().into()],
        )
        .await?;
    let tokens_until = ended_tokens_until(conn, id).await?;

    let mut event = session_event(&session, ended.at, EventKind::SessionEnded, &ended.by);
    event.reason = Some(ended.reason.as_str().to_owned());
    event.ip = ip.map(str::to_owned);
    event.details = json!({ "grants_ended": grants_ended, "tokens_until": tokens_until });
    record(conn, &event).await?;
    queue_notifications(conn, &session, &notified, ended.at).await?;
    Ok(Some(SessionEnd { grants_ended, tokens_until, notified }))
}

/// Ends only the session's row, without grants and event, and deletes its upstream data.
pub(crate) async fn close_session(
    conn: &mut Conn<'_>,
    id: &SessionId,
    ended: &Ended,
) -> Result<Option<Session>, StoreError> {
    let rows = conn
        .returning(
            concat!(
                "UPDATE sessions SET ended_at = $2, ended_by = $3, ended_reason = $4, \
                 cookie_hash = NULL, upstream = NULL, upstream_lease = NULL, expires_at = $2 \
                 WHERE id = $1 AND ended_at IS NULL RETURNING ",
                session_columns!()
            ),
            &[id.into(), ended.at.into(), (&ended.by).into(), ended.reason.as_str().into()],
        )
        .await?;
    let Some(session) = rows.first().map(rows::session).transpose()? else { return Ok(None) };
    Holder::of(&session).end(conn, ended.at).await?;
    Ok(Some(session))
}

/// Expiry of the last token of the session's ended grants.
pub(crate) async fn ended_tokens_until(
    conn: &mut Conn<'_>,
    session: &SessionId,
) -> Result<Option<Timestamp>, StoreError> {
    let row = conn
        .select_one(
            "SELECT MAX(tokens_until) AS tokens_until FROM grants \
             WHERE session_id = $1 AND ended_at IS NOT NULL",
            &[session.into()],
        )
        .await?;
    row.map_or(Ok(None), |row| row.maybe_time("tokens_until"))
}

/// Ends one grant within an operation; `None` when it is not live.
pub(crate) async fn end_grant(
    conn: &mut Conn<'_>,
    id: &GrantId,
    ended: &Ended,
) -> Result<Option<GrantEnd>, StoreError> {
    let rows = conn
        .returning(
            concat!(
                "UPDATE grants SET ended_at = $2, ended_by = $3, ended_reason = $4, \
                 expires_at = tokens_until \
                 WHERE id = $1 AND ended_at IS NULL RETURNING ",
                rows::grant_columns!()
            ),
            &[id.into(), ended.at.into(), (&ended.by).into(), ended.reason.as_str().into()],
        )
        .await?;
    let Some(grant) = rows.first().map(rows::grant).transpose()? else { return Ok(None) };

    let sql = concat!("SELECT ", session_columns!(), " FROM sessions WHERE id = $1");
    let row = conn.select_one(sql, &[(&grant.session).into()]).await?;
    let row = row.ok_or_else(|| crate::error::corrupt("a grant has no session"))?;
    let session = rows::session(&row)?;
    notify_if_last(conn, &session, &grant, ended).await?;
    let mut event = session_event(&session, ended.at, EventKind::GrantEnded, &ended.by);
    event.grant = Some(grant.id);
    event.client = Some(grant.client);
    event.reason = Some(ended.reason.as_str().to_owned());
    event.details = json!({ "tokens_until": grant.tokens_until });
    record(conn, &event).await?;
    Ok(Some(GrantEnd { tokens_until: grant.tokens_until }))
}
