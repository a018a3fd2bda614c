//! Reads sessions, and signs browsers out.

use countersign_core::event::EventKind;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{ClientId, Session, SessionId, Timestamp};
use serde_json::json;

use crate::ends::{close_session, ended_tokens_until};
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::engine::sql::Statement;
use crate::events::{record, session_event};
use crate::logout_notifications::{participants_of, queue_notifications};
use crate::rows::{self, session_columns, usable_session};
use crate::{Store, StoreError};

/// What a sign-out ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOut {
    pub session: SessionId,
    pub grants_ended: u64,
    /// Expiry of the last token of the session's ended grants.
    pub tokens_until: Option<Timestamp>,
    /// No live grant remained, so the session ended as well.
    pub session_ended: bool,
    /// Clients to which a logout token is sent.
    pub notified: Vec<ClientId>,
}

impl Store {
    /// The live session of a cookie, by the cookie's hash. The caller checks `cookie_until`.
    pub async fn session_by_cookie(
        &self,
        cookie_hash: &str,
    ) -> Result<Option<Session>, StoreError> {
        self.read(ByCookie(cookie_hash.to_owned())).await
    }

    /// The session, live or ended.
    pub async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        self.read(ById(id.clone())).await
    }

    /// Deletes the cookie, expires unused codes, and ends grants without a refresh token. If no live grant remains, the
    /// session ends too. `None` when no live session has this cookie.
    pub async fn sign_out(
        &self,
        cookie_hash: &str,
        by: &str,
        reason: EndReason,
        now: Timestamp,
    ) -> Result<Option<SignedOut>, StoreError> {
        let ended = Ended { at: now, by: by.to_owned(), reason };
        self.write(SignOut { which: SignedIn::Cookie(cookie_hash.to_owned()), ended }).await
    }

    /// Like [`Store::sign_out`], by session id. `None`: the session is not live or its browser has signed out.
    pub async fn sign_out_session(
        &self,
        session: &SessionId,
        by: &str,
        reason: EndReason,
        now: Timestamp,
    ) -> Result<Option<SignedOut>, StoreError> {
        let ended = Ended { at: now, by: by.to_owned(), reason };
        self.write(SignOut { which: SignedIn::Session(session.clone()), ended }).await
    }

    /// Whether the session has a live grant that a sign-out would not end.
    pub async fn outlives_browser(&self, session: &SessionId) -> Result<bool, StoreError> {
        self.read(OutlivesBrowser(session.clone())).await
    }
}

struct OutlivesBrowser(SessionId);

impl Operation for OutlivesBrowser {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = "SELECT DISTINCT client_id FROM grants \
                   WHERE session_id = $1 AND ended_at IS NULL AND refreshable = 1";
        let rows = conn.select(sql, &[(&self.0).into()]).await?;
        let rules = conn.shared.rules();
        for row in &rows {
            if !rules.end_with_browser.contains(&ClientId::new(row.text("client_id")?)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

struct ByCookie(String);

impl Operation for ByCookie {
    type Output = Option<Session>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<Session>, StoreError> {
        let sql = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE cookie_hash = $1 AND ended_at IS NULL"
        );
        let row = conn.select_one(sql, &[self.0.as_str().into()]).await?;
        row.as_ref().map(rows::session).transpose()
    }
}

struct ById(SessionId);

impl Operation for ById {
    type Output = Option<Session>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<Session>, StoreError> {
        let sql = concat!("SELECT ", session_columns!(), " FROM sessions WHERE id = $1");
        let row = conn.select_one(sql, &[(&self.0).into()]).await?;
        row.as_ref().map(rows::session).transpose()
    }
}

struct SignOut {
    which: SignedIn,
    ended: Ended,
}

/// The browser to sign out.
enum SignedIn {
    /// By the hash of its cookie.
    Cookie(String),
    Session(SessionId),
}

impl Operation for SignOut {
    type Output = Option<SignedOut>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<SignedOut>, StoreError> {
        let (sql, which) = match &self.which {
            SignedIn::Cookie(hash) => (
                concat!(
                    "UPDATE sessions SET last_seen = $2 \
                     WHERE cookie_hash = $1 AND ended_at IS NULL RETURNING ",
                    session_columns!()
                ),
                hash.as_str().into(),
            ),
            SignedIn::Session(id) => (
                concat!(
                    "UPDATE sessions SET last_seen = $2 WHERE id = $1 AND ended_at IS NULL \
                     AND cookie_hash IS NOT NULL RETURNING ",
                    session_columns!()
                ),
                id.into(),
            ),
        };
        let rows = conn.returning(sql, &[which, self.ended.at.into()]).await?;
        let Some(session) = rows.first().map(rows::session).transpose()? else { return Ok(None) };
        sign_out(conn, &session, &self.ended).await.map(Some)
    }
}

/// The caller has locked the session's row.
pub(crate) async fn sign_out(
    conn: &mut Conn<'_>,
    session: &Session,
    ended: &Ended,
) -> Result<SignedOut, StoreError> {
    clear_cookie(conn, session, ended.at).await?;
    let notified = participants_of(conn, &session.id).await?;
    let mut grants_ended = end_with_browser(conn, session, ended).await?;
    grants_ended += conn
        .execute(
            "UPDATE grants SET ended_at = $2, ended_by = $3, ended_reason = $4, \
             expires_at = tokens_until \
             WHERE session_id = $1 AND ended_at IS NULL AND refreshable = 0 \
             AND NOT (scopes LIKE '%\"offline_access\"%' AND EXISTS (SELECT 1 FROM grants AS offline \
             WHERE offline.session_id = grants.session_id AND offline.client_id = grants.client_id \
             AND offline.refreshable = 1 AND offline.ended_at IS NULL))",
            &[
                (&session.id).into(),
                ended.at.into(),
                (&ended.by).into(),
                ended.reason.as_str().into(),
            ],
        )
        .await?;
    let tokens_until = ended_tokens_until(conn, &session.id).await?;
    let live = conn
        .select_one(
            "SELECT id FROM grants WHERE session_id = $1 AND ended_at IS NULL LIMIT 1",
            &[(&session.id).into()],
        )
        .await?;
    let session_ended = live.is_none();
    if session_ended {
        close_session(conn, &session.id, ended).await?;
    }

    let mut event = session_event(session, ended.at, EventKind::SignedOut, &ended.by);
    event.reason = Some(ended.reason.as_str().to_owned());
    event.details = json!({
        "grants_ended": grants_ended, "tokens_until": tokens_until, "session_ended": session_ended,
    });
    record(conn, &event).await?;
    queue_notifications(conn, session, &notified, ended.at).await?;
    let session = session.id.clone();
    Ok(SignedOut { session, grants_ended, tokens_until, session_ended, notified })
}

/// Ends grants with a refresh token of clients that are configured to end with the browser session.
async fn end_with_browser(
    conn: &mut Conn<'_>,
    session: &Session,
    ended: &Ended,
) -> Result<u64, StoreError> {
    let mut grants_ended = 0;
    for client in &conn.shared.rules().end_with_browser {
        grants_ended += conn
            .execute(
                "UPDATE grants SET ended_at = $3, ended_by = $4, ended_reason = $5, \
                 expires_at = tokens_until \
                 WHERE session_id = $1 AND client_id = $2 AND ended_at IS NULL AND refreshable = 1",
                &[
                    (&session.id).into(),
                    client.into(),
                    ended.at.into(),
                    (&ended.by).into(),
                    ended.reason.as_str().into(),
                ],
            )
            .await?;
    }
    Ok(grants_ended)
}

/// Deletes the cookie and expires unused codes: otherwise a user who has just signed out could still be signed in at a
/// client.
async fn clear_cookie(
    conn: &mut Conn<'_>,
    session: &Session,
    now: Timestamp,
) -> Result<(), StoreError> {
    conn.execute(
        "UPDATE sessions SET cookie_hash = NULL, \
         cookie_until = CASE WHEN cookie_until < $2 THEN cookie_until ELSE $2 END, \
         expires_at = $2 WHERE id = $1",
        &[(&session.id).into(), now.into()],
    )
    .await?;
    conn.execute(
        "UPDATE codes SET expires_at = $2 \
         WHERE session_id = $1 AND used_at IS NULL AND expires_at > $2",
        &[(&session.id).into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Locks the row of a live session; false if it is not live. What is being issued is waited for, so that it is found.
pub(crate) async fn lock_live_session(
    conn: &mut Conn<'_>,
    session: &SessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE sessions SET last_seen = $2 WHERE id = $1 AND ended_at IS NULL";
    Ok(conn.execute(sql, &[session.into(), now.into()]).await? == 1)
}

/// Locks the row of a live session whose user is not blocked; otherwise false. Every operation that issues something
/// begins with it, so that a concurrent end either waits and finds what was issued, or came first and nothing is issued.
/// A request that began before the user was blocked, and waited for an upstream meanwhile, is refused.
pub(crate) async fn lock_usable_session(
    conn: &mut Conn<'_>,
    session: &SessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(conn.execute(LOCK_USABLE_SESSION, &[session.into(), now.into()]).await? == 1)
}

const LOCK_USABLE_SESSION: &str =
    concat!("UPDATE sessions SET last_seen = $2 WHERE id = $1 AND ", usable_session!("$2"));

/// The statement of [`lock_usable_session`], for an operation whose other statements have the same condition.
pub(crate) fn lock_statement(session: &SessionId, now: Timestamp) -> Statement {
    Statement::new(LOCK_USABLE_SESSION, vec![session.into(), now.into()])
}
