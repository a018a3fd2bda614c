//! Stores the session of a completed login, reusing the one of the same user in the same browser.

use countersign_core::event::EventKind;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{ConnectorId, Identity, LoginScopes, Session, SessionId, Timestamp, Trace};
use serde_json::json;

use crate::blocked_users::{BlockedUser, find_block};
use crate::ends::end_session;
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::engine::sql::{Statement, Statements, Value};
use crate::events::{event_statement, session_event};
use crate::memberships::Holder;
use crate::names::SearchNames;
use crate::rows::session_columns;
use crate::search::set_search_columns;
use crate::sessions::sign_out;
use crate::snapshots::record_changed_groups;
use crate::{Store, StoreError, rows};

/// A user authenticated at a connector, in one browser.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Hash of the session cookie in the request.
    pub previous_cookie: Option<String>,
    /// Hash of the session cookie in the response.
    pub cookie: String,
    pub cookie_until: Timestamp,
    /// The id of the session, if a new one is created.
    pub id: SessionId,
    pub connector: ConnectorId,
    pub identity: Identity,
    /// Fingerprint of the connector or password at this login.
    pub fingerprint: String,
    /// What this login requested from the upstream. An existing session keeps the union of all its logins, because
    /// grants of earlier ones still need it.
    pub login_scopes: LoginScopes,
    /// Upstream data for revalidation, sealed. `None` keeps that of an existing session.
    pub upstream: Option<String>,
    pub ip: String,
    pub user_agent: String,
    /// Requests and responses of the connector, for administrators; replaces the trace of an earlier login.
    pub trace: Option<Trace>,
    /// The SAML assertion that authenticated the user; it must not complete another login.
    pub assertion: Option<UsedAssertion>,
    pub now: Timestamp,
}

/// The outcome of [`Store::sign_in`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    SignedIn {
        session: SessionId,
        /// The session existed before and keeps its grants.
        reauthenticated: bool,
    },
    /// An administrator has blocked this user; nothing was written.
    Blocked(BlockedUser),
    /// The assertion has already completed a login; nothing was written.
    AssertionReused,
}

impl Store {
    /// If the browser's session is of the same user with the same fingerprint, it is kept and its cookie is renewed.
    /// With another fingerprint (a new password, another directory) the old session and its grants end, so that no one
    /// inherits them. If it is of another user, that user is signed out.
    pub async fn sign_in(&self, sign_in: SignIn) -> Result<SignInOutcome, StoreError> {
        self.write(sign_in).await
    }
}

impl Operation for SignIn {
    type Output = SignInOutcome;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<SignInOutcome, StoreError> {
        let block = find_block(conn, &self.connector, &self.identity.user_id, self.now).await?;
        if let Some(block) = block {
            return Ok(SignInOutcome::Blocked(block));
        }
        if let Some(assertion) = &self.assertion
            && !use_once(conn, assertion).await?
        {
            return Ok(SignInOutcome::AssertionReused);
        }
        if let Some(previous) = self.previous(conn).await? {
            let same_person = previous.connector == self.connector
                && previous.identity.user_id == self.identity.user_id;
            if same_person && previous.fingerprint == self.fingerprint {
                self.renew(conn, &previous).await?;
                let session = previous.id;
                return Ok(SignInOutcome::SignedIn { session, reauthenticated: true });
            }
            if same_person {
                let ended = self.ended(EndReason::FingerprintChanged);
                end_session(conn, &previous.id, &ended, Some(&self.ip)).await?;
            } else {
                sign_out(conn, &previous, &self.ended(EndReason::Replaced)).await?;
            }
        }
        self.begin(conn).await?;
        Ok(SignInOutcome::SignedIn { session: self.id.clone(), reauthenticated: false })
    }
}

impl SignIn {
    /// Locks and returns the browser's live session, if any.
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
            "UPDATE sessions SET identity = $2, identity_at = $3, login_scopes = $4, \
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
        let names = SearchNames::of(&self.identity);
        if names != SearchNames::of(&previous.identity) {
            set_search_columns(conn, &previous.id, &names, false).await?;
        }
        let mut statements = Statements::default();
        statements.extend(self.trace_statement(&previous.id)?);
        let mut event =
            session_event(previous, self.now, EventKind::Reauthenticated, &self.actor());
        event.ip = Some(self.ip.clone());
        statements.extend([event_statement(conn, &event)?]);
        conn.execute_all(statements).await?;
        record_changed_groups(conn, previous, &self.identity, self.now).await
    }

    async fn begin(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        let names = SearchNames::of(&self.identity);
        let mut statements = Statements::default();
        statements.add(
            "INSERT INTO sessions (id, connector_id, user_id, identity, identity_at, fingerprint, \
             login_scopes, upstream, auth_time, created_at, last_seen, browser_seen, cookie_hash, \
             cookie_until, ip, user_agent, user_key, login, email, search, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $5, $5, $5, $5, $9, $10, $11, $12, \
             $13, $14, $15, $16, $10)",
            vec![
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
        );
        statements.extend(self.trace_statement(&self.id)?);
        let Self { id: session, connector, identity, .. } = self;
        statements.extend(Holder { session, connector, identity }.begin_statements(self.now)?);
        let mut event = countersign_core::Event::new(self.now, EventKind::SignedIn, self.actor());
        event.session = Some(self.id.clone());
        event.connector = Some(self.connector.clone());
        event.user_id = Some(self.identity.user_id.clone());
        event.ip = Some(self.ip.clone());
        event.details = json!({ "groups": self.identity.groups });
        statements.extend([event_statement(conn, &event)?]);
        conn.execute_all(statements).await?;
        Ok(())
    }

    fn trace_statement(&self, session: &SessionId) -> Result<Option<Statement>, StoreError> {
        let trace = self.trace.as_ref();
        trace.map(|trace| trace_statement(session, trace, self.now)).transpose()
    }

    fn actor(&self) -> String {
        format!("user:{}", self.identity.user_id)
    }

    fn ended(&self, reason: EndReason) -> Ended {
        Ended { at: self.now, by: self.actor(), reason }
    }
}

/// An assertion, as recorded when it completes a login.
#[derive(Clone, Debug)]
pub struct UsedAssertion {
    /// Hash of the connector and the assertion's ID.
    pub hash: String,
    /// When the login of the assertion has expired, so that it cannot be presented again.
    pub expires_at: Timestamp,
}

/// False if it was already used. Of two transactions with the same assertion the second waits for the first.
pub(crate) async fn use_once(
    conn: &mut Conn<'_>,
    assertion: &UsedAssertion,
) -> Result<bool, StoreError> {
    let sql =
        "INSERT INTO used_assertions (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let values = [(&assertion.hash).into(), assertion.expires_at.into()];
    Ok(conn.execute(sql, &values).await? == 1)
}

impl Store {
    /// `None` if no trace was recorded, or the session does not exist.
    pub async fn trace(&self, session: &SessionId) -> Result<Option<Trace>, StoreError> {
        self.read(FindTrace(session.clone())).await
    }
}

struct FindTrace(SessionId);

impl Operation for FindTrace {
    type Output = Option<Trace>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<Trace>, StoreError> {
        let sql = "SELECT trace FROM traces WHERE session_id = $1";
        let row = conn.select_one(sql, &[(&self.0).into()]).await?;
        row.map(|row| row.json("trace")).transpose()
    }
}

/// Replaces the trace of the session's previous login.
pub(crate) fn trace_statement(
    session: &SessionId,
    trace: &Trace,
    now: Timestamp,
) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "INSERT INTO traces (session_id, at, trace) VALUES ($1, $2, $3) \
         ON CONFLICT (session_id) DO UPDATE SET at = excluded.at, trace = excluded.trace",
        vec![session.into(), now.into(), Value::json(trace)?],
    ))
}
