//! A proven sign-in becomes a session: the same one for the same person in the same browser.

use countersign_core::event::EventKind;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{ConnectorId, Identity, LoginScopes, Session, SessionId, Timestamp};
use serde_json::json;

use crate::ends::end_session;
use crate::engine::Operation;
use crate::engine::conn::{Conn, Value};
use crate::events::{about, tell};
use crate::memberships::Holder;
use crate::names::{Names, set_names};
use crate::rows::{self, session_columns};
use crate::sessions::sign_out;
use crate::snapshots::tell_changed_groups;
use crate::{Store, StoreError};

/// Somebody proved who they are to a connector, in one browser.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Hash of the cookie the browser brought.
    pub previous_cookie: Option<String>,
    /// Hash of the cookie it gets.
    pub cookie: String,
    pub cookie_until: Timestamp,
    /// The session's name, should a new one be needed.
    pub id: SessionId,
    pub connector: ConnectorId,
    pub identity: Identity,
    /// Fingerprint of what this sign-in is built on.
    pub fingerprint: String,
    /// What this login asked of the upstream. A session that is kept remembers what any of its
    /// logins asked, because grants of the earlier ones still need it.
    pub login_scopes: LoginScopes,
    /// What the connector needs to ask again, sealed. `None` leaves what a kept session has.
    pub upstream: Option<String>,
    pub ip: String,
    pub user_agent: String,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInOutcome {
    pub session: SessionId,
    /// The session was there before, with what it gave.
    pub reauthenticated: bool,
}

impl Store {
    /// The same person on the same basis in the same browser keeps the session and renews its
    /// cookie. On another basis (a new password, another directory) the old session ends with all
    /// it gave, so nobody inherits it; another person's is signed out.
    pub async fn sign_in(&self, sign_in: SignIn) -> Result<SignInOutcome, StoreError> {
        self.write(sign_in).await
    }
}

impl Operation for SignIn {
    type Answer = SignInOutcome;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<SignInOutcome, StoreError> {
        if let Some(previous) = self.previous(conn).await? {
            let same_person = previous.connector == self.connector
                && previous.identity.user_id == self.identity.user_id;
            if same_person && previous.fingerprint == self.fingerprint {
                self.renew(conn, &previous).await?;
                return Ok(SignInOutcome { session: previous.id, reauthenticated: true });
            }
            if same_person {
                let ended = self.ended(EndReason::FingerprintChanged);
                end_session(conn, &previous.id, &ended, Some(&self.ip)).await?;
            } else {
                sign_out(conn, &previous, &self.ended(EndReason::Replaced)).await?;
            }
        }
        self.begin(conn).await?;
        Ok(SignInOutcome { session: self.id.clone(), reauthenticated: false })
    }
}

impl SignIn {
    /// Takes the row of the browser's live session, should there be one.
    async fn previous(&self, conn: &mut Conn<'_>) -> Result<Option<Session>, StoreError> {
        let Some(cookie) = &self.previous_cookie else { return Ok(None) };
        let rows = conn
            .returning(
                concat!(
                    "UPDATE sessions SET last_seen = $2 \
                     WHERE cookie_hash = $1 AND ended_at IS NULL RETURNING ",
                    session_columns!()
                ),
                &[cookie.into(), self.now.into()],
            )
            .await?;
        rows.first().map(rows::session).transpose()
    }

    async fn renew(&self, conn: &mut Conn<'_>, previous: &Session) -> Result<(), StoreError> {
        conn.execute(
            "UPDATE sessions SET identity = $2, identity_at = $3, wants = $4, \
             upstream = COALESCE($5, upstream), upstream_lease = NULL, auth_time = $3, \
             last_seen = $3, browser_seen = $3, cookie_hash = $6, cookie_until = $7, ip = $8, \
             user_agent = $9, missing_since = NULL WHERE id = $1",
            &[
                (&previous.id).into(),
                Value::json(&self.identity)?,
                self.now.into(),
                Value::json(&previous.login_scopes.union(self.login_scopes))?,
                (&self.upstream).into(),
                (&self.cookie).into(),
                self.cookie_until.into(),
                (&self.ip).into(),
                (&self.user_agent).into(),
            ],
        )
        .await?;
        set_names(conn, previous, &Names::of(&self.identity), false).await?;
        let mut event = about(previous, self.now, EventKind::Reauthenticated, &self.actor());
        event.ip = Some(self.ip.clone());
        tell(conn, &event).await?;
        tell_changed_groups(conn, previous, &self.identity, self.now).await
    }

    async fn begin(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        let names = Names::of(&self.identity);
        conn.execute(
            "INSERT INTO sessions (id, connector_id, user_id, identity, identity_at, basis, \
             wants, upstream, auth_time, created_at, last_seen, browser_seen, cookie_hash, \
             cookie_until, ip, user_agent, user_key, login, email, search) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $5, $5, $5, $5, $9, $10, $11, $12, \
             $13, $14, $15, $16)",
            &[
                (&self.id).into(),
                (&self.connector).into(),
                (&self.identity.user_id).into(),
                Value::json(&self.identity)?,
                self.now.into(),
                (&self.fingerprint).into(),
                Value::json(&self.login_scopes)?,
                (&self.upstream).into(),
                (&self.cookie).into(),
                self.cookie_until.into(),
                (&self.ip).into(),
                (&self.user_agent).into(),
                (&names.user_key).into(),
                (&names.login).into(),
                (&names.email).into(),
                (&names.search).into(),
            ],
        )
        .await?;
        let Self { id: session, connector, identity, .. } = self;
        Holder { session, connector, identity }.begin(conn, self.now).await?;
        let mut event = countersign_core::Event::new(self.now, EventKind::SignedIn, self.actor());
        event.session = Some(self.id.clone());
        event.connector = Some(self.connector.clone());
        event.user_id = Some(self.identity.user_id.clone());
        event.ip = Some(self.ip.clone());
        event.details = json!({ "groups": self.identity.groups });
        tell(conn, &event).await
    }

    fn actor(&self) -> String {
        format!("user:{}", self.identity.user_id)
    }

    fn ended(&self, why: EndReason) -> Ended {
        Ended { at: self.now, by: self.actor(), why }
    }
}
