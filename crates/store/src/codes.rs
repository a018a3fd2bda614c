//! Authorization codes: issued once per request and redeemed once (RFC 6749 section 4.1.2); and requests that the user
//! denied.

use countersign_core::{ClientId, Code, Grant, GrantId, Session, SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::engine::sql::Statements;
use crate::error::corrupt;
use crate::issue_grant::complete_grant;
use crate::rows::{
    self, code_columns, code_values, grant_values, insert_code, insert_code_columns, insert_grant,
    insert_grant_columns, session_columns, usable_session,
};
use crate::sessions::{lock_live_session, lock_statement, lock_usable_session};
use crate::unconfirmed::Unconfirmed;
use crate::{Store, StoreError};

/// The outcome of [`Store::issue_code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueCodeOutcome {
    Issued,
    /// The session has ended, its browser signed out, or the user is blocked.
    SessionEnded,
    /// This authorization request was already completed, by a code or by a denial.
    AlreadyFinished,
}

/// A stored code, used or not, and its session, live or ended.
#[derive(Clone, Debug)]
pub struct StoredCode {
    pub code: Code,
    pub used_at: Option<Timestamp>,
    pub session: Option<Session>,
}

/// The outcome of [`Store::redeem_code`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedeemCodeOutcome {
    Granted {
        /// Grants that were ended because the session had too many for this client.
        dropped: Vec<GrantId>,
    },
    /// Already used by the same client. The caller ends the grant (RFC 6749 section 4.1.2).
    AlreadyUsed { grant: Option<GrantId> },
    /// The session has ended or its user is blocked. Nothing was written; the code is still unused.
    SessionEnded,
    /// Unknown, expired, or issued to another client.
    NotRedeemable,
}

impl Store {
    /// Issues a code for a live session whose browser has not signed out.
    pub async fn issue_code(
        &self,
        code: Code,
        now: Timestamp,
    ) -> Result<IssueCodeOutcome, StoreError> {
        self.write(IssueCode { code, now }).await
    }

    /// Records that the user denied the request: no code can be issued for it any more, and an unused one is revoked.
    /// Does nothing if the session is not live, or if the request was completed or belongs to another session.
    pub async fn finish_refused(
        &self,
        request: &str,
        session: &SessionId,
        client: &ClientId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (session, client) = (session.clone(), client.clone());
        self.write(FinishRefused { request: request.to_owned(), session, client, now }).await
    }

    /// The code with its session, for the checks before it is redeemed (client, redirect URI, PKCE, expiry).
    pub async fn code(&self, hash: &str) -> Result<Option<StoredCode>, StoreError> {
        self.revert_unconfirmed(hash).await?;
        self.read(CodeByHash(hash.to_owned())).await
    }

    /// Marks the code as used and inserts its grant, whose session and client must be those of the code. If a session
    /// has more than `offline_limit` live refreshable grants for the client, those unused longest are ended.
    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    pub async fn redeem_code(
        &self,
        hash: &str,
        client: &ClientId,
        grant: Grant,
        now: Timestamp,
        offline_limit: i64,
    ) -> Result<RedeemCodeOutcome, StoreError> {
        let (hash, client) = (hash.to_owned(), client.clone());
        let unconfirmed = Unconfirmed::Code { hash: hash.clone(), grant: grant.id.clone() };
        let redeem = RedeemCode { hash, client, grant, now, offline_limit };
        self.write_use(redeem, unconfirmed).await
    }
}

struct IssueCode {
    code: Code,
    now: Timestamp,
}

/// The condition on the session's row when a code is issued: as in [`lock_usable_session`], and the browser must not
/// have signed out.
macro_rules! touch_browser_session {
    ($id:literal, $now:literal) => {
        concat!(
            "UPDATE sessions SET last_seen = ",
            $now,
            ", browser_seen = ",
            $now,
            " WHERE id = ",
            $id,
            " AND ",
            usable_session!($now),
            " AND cookie_hash IS NOT NULL"
        )
    };
}

impl Operation for IssueCode {
    type Output = IssueCodeOutcome;

    async fn run_in_one_statement(
        &self,
        conn: &mut Conn<'_>,
    ) -> Result<Option<IssueCodeOutcome>, StoreError> {
        let sql = concat!(
            "WITH live AS (",
            touch_browser_session!("$3", "$10"),
            " RETURNING id) INSERT INTO codes ",
            insert_code_columns!(),
            " SELECT $1, $2, live.id, $4, $5, $6, $7, $8, $9, $10, $11 FROM live \
             ON CONFLICT (request_id) DO NOTHING"
        );
        let written = conn.execute(sql, &code_values(&self.code)?).await?;
        Ok((written == 1).then_some(IssueCodeOutcome::Issued))
    }

    /// The single statement uses one instant for both rows, so both must be equal.
    fn has_one_statement(&self) -> bool {
        self.code.created_at == self.now
    }

    async fn run(&self, conn: &mut Conn<'_>) -> Result<IssueCodeOutcome, StoreError> {
        let touch = vec![(&self.code.session).into(), self.now.into()];
        if conn.is_postgres() {
            if conn.execute(touch_browser_session!("$1", "$2"), &touch).await? == 0 {
                return Ok(IssueCodeOutcome::SessionEnded);
            }
            return Ok(match insert_code(conn, &self.code).await? {
                true => IssueCodeOutcome::Issued,
                // The statement whose answer was lost.
                false if conn.may_have_run && self.is_issued(conn).await? => {
                    IssueCodeOutcome::Issued
                }
                false => IssueCodeOutcome::AlreadyFinished,
            });
        }
        let mut statements = Statements::default();
        let sql = concat!(
            "INSERT INTO codes ",
            insert_code_columns!(),
            " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 WHERE EXISTS (SELECT 1 \
             FROM sessions WHERE id = $3 AND cookie_hash IS NOT NULL AND ",
            usable_session!("$10"),
            ") ON CONFLICT (request_id) DO NOTHING"
        );
        statements.add(sql, code_values(&self.code)?);
        statements.add(touch_browser_session!("$1", "$2"), touch);
        Ok(match conn.execute_all(statements).await? {
            0 => IssueCodeOutcome::SessionEnded,
            1 => IssueCodeOutcome::AlreadyFinished,
            _ => IssueCodeOutcome::Issued,
        })
    }
}

impl IssueCode {
    async fn is_issued(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        Ok(stored_code(conn, &self.code.hash).await?.is_some())
    }
}

struct FinishRefused {
    request: String,
    session: SessionId,
    client: ClientId,
    now: Timestamp,
}

impl Operation for FinishRefused {
    type Output = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        // Waits for a code that is being issued, and prevents the collector from deleting the session.
        if !lock_live_session(conn, &self.session, self.now).await? {
            return Ok(());
        }
        // Hashes of codes contain no colon, so this row can never be redeemed.
        let hash = format!("refused:{}", self.request);
        conn.execute(
            "INSERT INTO codes (hash, request_id, session_id, client_id, redirect_uri, scopes, \
             auth_time, created_at, expires_at, used_at) \
             VALUES ($1, $2, $3, $4, '', '[]', $5, $5, $5, $5) \
             ON CONFLICT (request_id) DO UPDATE SET hash = excluded.hash, \
             created_at = excluded.created_at, expires_at = excluded.expires_at, \
             used_at = excluded.used_at \
             WHERE codes.used_at IS NULL AND codes.session_id = excluded.session_id \
             AND codes.client_id = excluded.client_id",
            &[
                hash.as_str().into(),
                self.request.as_str().into(),
                (&self.session).into(),
                (&self.client).into(),
                self.now.into(),
            ],
        )
        .await?;
        Ok(())
    }
}

struct CodeByHash(String);

impl Operation for CodeByHash {
    type Output = Option<StoredCode>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<StoredCode>, StoreError> {
        stored_code(conn, &self.0).await
    }
}

async fn stored_code(conn: &mut Conn<'_>, hash: &str) -> Result<Option<StoredCode>, StoreError> {
    let sql = concat!(
        "SELECT ",
        code_columns!(),
        ", ",
        session_columns!("sessions", "session_of_"),
        " FROM codes LEFT JOIN sessions ON sessions.id = codes.session_id WHERE codes.hash = $1"
    );
    let Some(row) = conn.select_one(sql, &[hash.into()]).await? else { return Ok(None) };
    let session = rows::joined_session(&row)?;
    Ok(Some(StoredCode { code: rows::code(&row)?, used_at: row.maybe_time("used_at")?, session }))
}

struct RedeemCode {
    hash: String,
    client: ClientId,
    grant: Grant,
    now: Timestamp,
    offline_limit: i64,
}

impl Operation for RedeemCode {
    type Output = RedeemCodeOutcome;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<RedeemCodeOutcome, StoreError> {
        if self.grant.client != self.client {
            return Err(corrupt("a grant must have the client of its code"));
        }
        // Stored texts contain no NUL, so such a code is unknown.
        if self.hash.contains('\0') || self.client.as_str().contains('\0') {
            return Ok(RedeemCodeOutcome::NotRedeemable);
        }
        match self.use_code(conn).await? {
            UseCodeOutcome::Used => {}
            UseCodeOutcome::SessionEnded => {
                return self.refusal(conn, RedeemCodeOutcome::SessionEnded).await;
            }
            UseCodeOutcome::NotRedeemable => {
                return self.refusal(conn, RedeemCodeOutcome::NotRedeemable).await;
            }
        }
        let dropped = complete_grant(conn, &self.grant, self.now, self.offline_limit).await?;
        Ok(RedeemCodeOutcome::Granted { dropped })
    }
}

enum UseCodeOutcome {
    /// The code is used and the grant inserted.
    Used,
    SessionEnded,
    NotRedeemable,
}

/// The update that uses the code; `$5` is the live session.
macro_rules! use_code {
    () => {
        "UPDATE codes SET used_at = $3, grant_id = $4 WHERE hash = $1 AND client_id = $2 \
         AND session_id = $5 AND used_at IS NULL AND expires_at > $3"
    };
}

impl RedeemCode {
    /// Locks the session, uses the code and inserts the grant; on SQLite in one message.
    async fn use_code(&self, conn: &mut Conn<'_>) -> Result<UseCodeOutcome, StoreError> {
        let session = &self.grant.session;
        let values = vec![
            self.hash.as_str().into(),
            (&self.client).into(),
            self.now.into(),
            (&self.grant.id).into(),
            session.into(),
        ];
        if conn.is_postgres() {
            if !lock_usable_session(conn, session, self.now).await? {
                return Ok(UseCodeOutcome::SessionEnded);
            }
            if conn.execute(use_code!(), &values).await? == 0 {
                return Ok(UseCodeOutcome::NotRedeemable);
            }
            insert_grant(conn, &self.grant).await?;
            return Ok(UseCodeOutcome::Used);
        }
        let mut statements = Statements::default();
        statements.add(
            concat!(
                use_code!(),
                " AND EXISTS (SELECT 1 FROM sessions WHERE id = $5 AND ",
                usable_session!("$3"),
                ")"
            ),
            values,
        );
        let of_used_code = concat!(
            "INSERT INTO grants ",
            insert_grant_columns!(),
            " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12 \
             WHERE EXISTS (SELECT 1 FROM codes WHERE grant_id = $1)"
        );
        statements.add(of_used_code, grant_values(&self.grant)?);
        statements.extend([lock_statement(session, self.now)]);
        Ok(match conn.execute_all(statements).await? {
            0 => UseCodeOutcome::SessionEnded,
            1 => UseCodeOutcome::NotRedeemable,
            _ => UseCodeOutcome::Used,
        })
    }

    /// Why the code was not redeemed: already used by this client, otherwise `otherwise`. An attempt by another client
    /// has no effect and does not reveal the code's state.
    async fn refusal(
        &self,
        conn: &mut Conn<'_>,
        otherwise: RedeemCodeOutcome,
    ) -> Result<RedeemCodeOutcome, StoreError> {
        let Some(stored) = stored_code(conn, &self.hash).await? else {
            return Ok(RedeemCodeOutcome::NotRedeemable);
        };
        if stored.code.client != self.client {
            return Ok(RedeemCodeOutcome::NotRedeemable);
        }
        if stored.used_at.is_some() {
            return Ok(RedeemCodeOutcome::AlreadyUsed { grant: stored.code.grant });
        }
        if stored.code.session != self.grant.session {
            return Err(corrupt("a grant must have the session of its code"));
        }
        match stored.code.expires_at <= self.now {
            true => Ok(RedeemCodeOutcome::NotRedeemable),
            false => Ok(otherwise),
        }
    }
}
