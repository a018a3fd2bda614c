//! Authorization codes: one at a time for a request, redeemed once (RFC 6749 section 4.1.2), and
//! requests that were refused instead.

use countersign_core::{ClientId, Code, Grant, GrantId, SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::error::broken;
use crate::issue_grant::issue_grant;
use crate::rows::{self, code_columns, insert_code};
use crate::sessions::lock_live_session;
use crate::{Store, StoreError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueCodeOutcome {
    Issued,
    /// The session is over, or its browser signed out: log in anew.
    SessionEnded,
    /// This authorization request was answered before, by a code or by a no: it finishes once.
    AlreadyFinished,
}

/// A code as it is remembered, used or not.
#[derive(Clone, Debug)]
pub struct StoredCode {
    pub code: Code,
    pub used_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedeemCodeOutcome {
    Granted {
        /// Grants that were ended because the session had too many for this client.
        given_way: Vec<GrantId>,
    },
    /// Used before, by the same client. The caller ends the grant (RFC 9700 section 4.5).
    AlreadyUsed { grant: Option<GrantId> },
    /// Nothing was written; the code is still unused.
    SessionEnded,
    /// Unknown, expired, or another client's.
    Gone,
}

impl Store {
    /// Gives a code to a live session that has its browser. One that nobody has used yet gives way:
    /// who clicks twice follows the second answer, and the first one's code is dead.
    pub async fn issue_code(
        &self,
        code: Code,
        now: Timestamp,
    ) -> Result<IssueCodeOutcome, StoreError> {
        self.write(GiveCode { code, now }).await
    }

    /// The person said no: this request gets no code any more, and one not yet used is dead. Does
    /// nothing when the session is not live, or when the request has been answered or is another's.
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

    /// For the checks before it is redeemed (client, redirect URI, PKCE, expiry).
    pub async fn code(&self, hash: &str) -> Result<Option<StoredCode>, StoreError> {
        self.read(CodeByHash(hash.to_owned())).await
    }

    /// Uses the code up and writes its grant, whose session and client must be the code's. Of more
    /// than `offline_limit` live refreshable grants of one session and client the longest idle end.
    pub async fn redeem_code(
        &self,
        hash: &str,
        client: &ClientId,
        grant: Grant,
        now: Timestamp,
        offline_limit: i64,
    ) -> Result<RedeemCodeOutcome, StoreError> {
        let (hash, client) = (hash.to_owned(), client.clone());
        self.write(RedeemCode { hash, client, grant, now, offline_limit }).await
    }
}

struct GiveCode {
    code: Code,
    now: Timestamp,
}

impl Operation for GiveCode {
    type Answer = IssueCodeOutcome;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<IssueCodeOutcome, StoreError> {
        // As `lock_live_session`, and the browser must not have signed out a moment ago.
        let taken = conn
            .execute(
                "UPDATE sessions SET last_seen = $2, browser_seen = $2 \
                 WHERE id = $1 AND ended_at IS NULL AND cookie_hash IS NOT NULL",
                &[(&self.code.session).into(), self.now.into()],
            )
            .await?;
        if taken == 0 {
            return Ok(IssueCodeOutcome::SessionEnded);
        }
        Ok(match insert_code(conn, &self.code).await? {
            true => IssueCodeOutcome::Issued,
            false => IssueCodeOutcome::AlreadyFinished,
        })
    }
}

struct FinishRefused {
    request: String,
    session: SessionId,
    client: ClientId,
    now: Timestamp,
}

impl Operation for FinishRefused {
    type Answer = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        // So that a code given at the same time is seen, and no collector takes the session away.
        if !lock_live_session(conn, &self.session, self.now).await? {
            return Ok(());
        }
        // No code has a hash with a colon, so nobody can ever present this one.
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
    type Answer = Option<StoredCode>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<StoredCode>, StoreError> {
        stored_code(conn, &self.0).await
    }
}

async fn stored_code(conn: &mut Conn<'_>, hash: &str) -> Result<Option<StoredCode>, StoreError> {
    let sql = concat!("SELECT ", code_columns!(), " FROM codes WHERE hash = $1");
    let Some(row) = conn.select_one(sql, &[hash.into()]).await? else { return Ok(None) };
    Ok(Some(StoredCode { code: rows::code(&row)?, used_at: row.maybe_time("used_at")? }))
}

struct RedeemCode {
    hash: String,
    client: ClientId,
    grant: Grant,
    now: Timestamp,
    offline_limit: i64,
}

impl Operation for RedeemCode {
    type Answer = RedeemCodeOutcome;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<RedeemCodeOutcome, StoreError> {
        let session = match self.redeemable(conn).await? {
            Ok(session) => session,
            Err(refused) => return Ok(refused),
        };
        if self.grant.session != session || self.grant.client != self.client {
            return Err(broken("a grant must be of the session and the client of its code"));
        }
        if !lock_live_session(conn, &session, self.now).await? {
            return Ok(RedeemCodeOutcome::SessionEnded);
        }
        let used = conn
            .execute(
                "UPDATE codes SET used_at = $3, grant_id = $4 \
                 WHERE hash = $1 AND client_id = $2 AND used_at IS NULL AND expires_at > $3",
                &[
                    self.hash.as_str().into(),
                    (&self.client).into(),
                    self.now.into(),
                    (&self.grant.id).into(),
                ],
            )
            .await?;
        if used == 0 {
            // Somebody else was first while this one waited for the session.
            return Ok(self.redeemable(conn).await?.err().unwrap_or(RedeemCodeOutcome::Gone));
        }
        let given_way = issue_grant(conn, &self.grant, self.now, self.offline_limit).await?;
        Ok(RedeemCodeOutcome::Granted { given_way })
    }
}

impl RedeemCode {
    /// The session of a code that this client may still redeem, else the refusal.
    async fn redeemable(
        &self,
        conn: &mut Conn<'_>,
    ) -> Result<Result<SessionId, RedeemCodeOutcome>, StoreError> {
        let Some(stored) = stored_code(conn, &self.hash).await? else {
            return Ok(Err(RedeemCodeOutcome::Gone));
        };
        // Another client's attempt changes nothing, whatever state the code is in.
        if stored.code.client != self.client {
            return Ok(Err(RedeemCodeOutcome::Gone));
        }
        if stored.used_at.is_some() {
            return Ok(Err(RedeemCodeOutcome::AlreadyUsed { grant: stored.code.grant }));
        }
        if stored.code.expires_at <= self.now {
            return Ok(Err(RedeemCodeOutcome::Gone));
        }
        Ok(Ok(stored.code.session))
    }
}
