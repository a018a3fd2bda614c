//! Inserts a grant, for a code, a device code, a password or a subject token; with a new session where there is no
//! browser.

use countersign_core::session::{EndReason, Ended};
use countersign_core::{Grant, GrantId, Timestamp};

use crate::ends::end_grant;
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::error::corrupt;
use crate::logout_notifications::add_participant;
use crate::rows::insert_grant;
use crate::sessions::lock_usable_session;
use crate::{SignIn, SignInOutcome, Store, StoreError};

impl Store {
    /// Issues a grant without a code. `None`: its session is not live or its user is blocked, and nothing was written.
    /// Otherwise the grants that were ended because the session had too many for this client.
    pub async fn issue_grant(
        &self,
        grant: Grant,
        now: Timestamp,
        offline_limit: i64,
    ) -> Result<Option<Vec<GrantId>>, StoreError> {
        self.write(IssueGrant { grant, now, offline_limit }).await
    }

    /// Stores the new session of a user who signs in without a browser, together with its grant. Nothing was written
    /// unless the outcome is [`SignInOutcome::SignedIn`].
    pub async fn sign_in_with_grant(
        &self,
        sign_in: SignIn,
        grant: Grant,
    ) -> Result<SignInOutcome, StoreError> {
        self.write(SignInWithGrant { sign_in, grant }).await
    }
}

struct SignInWithGrant {
    sign_in: SignIn,
    grant: Grant,
}

impl Operation for SignInWithGrant {
    type Output = SignInOutcome;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<SignInOutcome, StoreError> {
        let outcome = self.sign_in.run(conn).await?;
        if let SignInOutcome::SignedIn { session, .. } = &outcome {
            if *session != self.grant.session {
                return Err(corrupt("a grant must have the session of its sign-in"));
            }
            insert_grant(conn, &self.grant).await?;
            add_participant(conn, session, &self.grant.client).await?;
        }
        Ok(outcome)
    }
}

struct IssueGrant {
    grant: Grant,
    now: Timestamp,
    offline_limit: i64,
}

impl Operation for IssueGrant {
    type Output = Option<Vec<GrantId>>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<Vec<GrantId>>, StoreError> {
        if !lock_usable_session(conn, &self.grant.session, self.now).await? {
            return Ok(None);
        }
        issue_grant(conn, &self.grant, self.now, self.offline_limit).await.map(Some)
    }
}

/// The caller has locked the live session. Ends the offline grants of session and client beyond the limit, those unused
/// longest first, and returns them.
pub(crate) async fn issue_grant(
    conn: &mut Conn<'_>,
    grant: &Grant,
    now: Timestamp,
    offline_limit: i64,
) -> Result<Vec<GrantId>, StoreError> {
    insert_grant(conn, grant).await?;
    complete_grant(conn, grant, now, offline_limit).await
}

/// The remainder of [`issue_grant`], after the row was inserted.
pub(crate) async fn complete_grant(
    conn: &mut Conn<'_>,
    grant: &Grant,
    now: Timestamp,
    offline_limit: i64,
) -> Result<Vec<GrantId>, StoreError> {
    add_participant(conn, &grant.session, &grant.client).await?;
    if !grant.refreshable {
        return Ok(Vec::new());
    }
    let rows = conn
        .select(
            "SELECT id FROM grants WHERE session_id = $1 AND client_id = $2 \
             AND refreshable = 1 AND ended_at IS NULL AND id <> $3 \
             ORDER BY rotated_at DESC, id DESC LIMIT 1000 OFFSET $4",
            &[
                (&grant.session).into(),
                (&grant.client).into(),
                (&grant.id).into(),
                (offline_limit.max(1) - 1).into(),
            ],
        )
        .await?;
    let ended = Ended { at: now, by: "system".into(), reason: EndReason::TooManyGrants };
    let mut dropped = Vec::new();
    for row in &rows {
        let id = GrantId::new(row.text("id")?);
        if end_grant(conn, &id, &ended, None).await?.is_some() {
            dropped.push(id);
        }
    }
    Ok(dropped)
}
