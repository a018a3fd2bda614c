//! Consents: the scopes that a user has allowed a client, and their withdrawal.

use countersign_core::event::EventKind;
use countersign_core::session::EndReason;
use countersign_core::{ClientId, ConnectorId, Event, Scopes, SessionId, Timestamp};
use serde_json::json;

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::engine::sql::Value;
use crate::events::record;
use crate::{Store, StoreError};

/// One approval by one user.
#[derive(Clone, Debug)]
pub struct Consent {
    pub user_id: String,
    pub connector: ConnectorId,
    pub client: ClientId,
    pub scopes: Scopes,
    /// The session in which the user approved.
    pub session: SessionId,
    pub now: Timestamp,
}

/// The scopes that a user has allowed one client, over all approvals.
#[derive(Clone, Debug)]
pub struct StoredConsent {
    pub client: ClientId,
    pub scopes: Scopes,
    /// When the user last approved.
    pub granted_at: Timestamp,
}

/// What ended with a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentWithdrawn {
    pub grants_ended: u64,
    /// Expiry of the last token that the client holds for the user.
    pub tokens_until: Option<Timestamp>,
}

impl Store {
    /// All scopes that this user has allowed this client.
    pub async fn consent(
        &self,
        user_id: &str,
        connector: &ConnectorId,
        client: &ClientId,
    ) -> Result<Option<Scopes>, StoreError> {
        self.read(FindConsent(Parties::new(user_id, connector, client))).await
    }

    /// All consents of this user, ordered by client id.
    pub async fn consents_of(
        &self,
        user_id: &str,
        connector: &ConnectorId,
    ) -> Result<Vec<StoredConsent>, StoreError> {
        let (user_id, connector) = (user_id.to_owned(), connector.clone());
        self.read(ConsentsOf { user_id, connector }).await
    }

    /// Adds the scopes to those allowed before.
    pub async fn remember_consent(&self, consent: Consent) -> Result<(), StoreError> {
        self.write(consent).await
    }

    /// Deletes the consent, ends the user's grants for the client in all sessions, and expires unused codes. `None`
    /// when there was neither a consent nor a grant.
    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    pub async fn withdraw_consent(
        &self,
        user_id: &str,
        connector: &ConnectorId,
        client: &ClientId,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<ConsentWithdrawn>, StoreError> {
        let parties = Parties::new(user_id, connector, client);
        self.write(Withdraw { parties, by: by.to_owned(), now }).await
    }
}

/// The user and the client of a consent.
struct Parties {
    user_id: String,
    connector: ConnectorId,
    client: ClientId,
}

impl Parties {
    fn new(user_id: &str, connector: &ConnectorId, client: &ClientId) -> Self {
        Self { user_id: user_id.to_owned(), connector: connector.clone(), client: client.clone() }
    }

    fn event(&self, at: Timestamp, kind: EventKind, actor: &str) -> Event {
        let mut event = Event::new(at, kind, actor);
        event.user_id = Some(self.user_id.clone());
        event.connector = Some(self.connector.clone());
        event.client = Some(self.client.clone());
        event
    }
}

struct ConsentsOf {
    user_id: String,
    connector: ConnectorId,
}

impl Operation for ConsentsOf {
    type Output = Vec<StoredConsent>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<StoredConsent>, StoreError> {
        let sql = "SELECT client_id, scopes, granted_at FROM consents \
                   WHERE user_id = $1 AND connector_id = $2 ORDER BY client_id";
        let rows = conn.select(sql, &[(&self.user_id).into(), (&self.connector).into()]).await?;
        let consent = |row: &Row| {
            Ok(StoredConsent {
                client: ClientId::new(row.text("client_id")?),
                scopes: row.json("scopes")?,
                granted_at: row.time("granted_at")?,
            })
        };
        rows.iter().map(consent).collect()
    }
}

struct FindConsent(Parties);

impl Operation for FindConsent {
    type Output = Option<Scopes>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<Scopes>, StoreError> {
        let Parties { user_id, connector, client } = &self.0;
        let row = conn
            .select_one(
                "SELECT scopes FROM consents \
                 WHERE user_id = $1 AND connector_id = $2 AND client_id = $3",
                &[user_id.into(), connector.into(), client.into()],
            )
            .await?;
        row.map(|row| row.json("scopes")).transpose()
    }
}

impl Operation for Consent {
    type Output = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        // The row is inserted or locked first, so that concurrent approvals are combined.
        let rows = conn
            .returning(
                "INSERT INTO consents (user_id, connector_id, client_id, scopes, session_id, \
                 granted_at) VALUES ($1, $2, $3, '[]', $4, $5) \
                 ON CONFLICT (user_id, connector_id, client_id) \
                 DO UPDATE SET session_id = excluded.session_id, granted_at = excluded.granted_at \
                 RETURNING scopes",
                &[
                    (&self.user_id).into(),
                    (&self.connector).into(),
                    (&self.client).into(),
                    (&self.session).into(),
                    self.now.into(),
                ],
            )
            .await?;
        let before: Scopes = match rows.first() {
            Some(row) => row.json("scopes")?,
            None => Scopes::default(),
        };
        let all: Scopes = before.iter().chain(self.scopes.iter()).map(str::to_owned).collect();
        conn.execute(
            "UPDATE consents SET scopes = $4 \
             WHERE user_id = $1 AND connector_id = $2 AND client_id = $3",
            &[
                (&self.user_id).into(),
                (&self.connector).into(),
                (&self.client).into(),
                Value::json(&all)?,
            ],
        )
        .await?;
        let parties = Parties::new(&self.user_id, &self.connector, &self.client);
        let actor = format!("user:{}", self.user_id);
        let mut event = parties.event(self.now, EventKind::ConsentGiven, &actor);
        event.session = Some(self.session.clone());
        event.details = json!({ "scopes": self.scopes });
        record(conn, &event).await
    }
}

struct Withdraw {
    parties: Parties,
    by: String,
    now: Timestamp,
}

/// The sessions of user `$1` at connector `$2`.
macro_rules! their_sessions {
    () => {
        "session_id IN (SELECT id FROM sessions WHERE user_id = $1 AND connector_id = $2)"
    };
}

impl Operation for Withdraw {
    type Output = Option<ConsentWithdrawn>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Output, StoreError> {
        let Parties { user_id, connector, client } = &self.parties;
        // Locks every live session of the user, so that grants being issued are found.
        conn.execute(
            "UPDATE sessions SET last_seen = last_seen \
             WHERE user_id = $1 AND connector_id = $2 AND ended_at IS NULL",
            &[user_id.into(), connector.into()],
        )
        .await?;
        let deleted = conn
            .execute(
                "DELETE FROM consents \
                 WHERE user_id = $1 AND connector_id = $2 AND client_id = $3",
                &[user_id.into(), connector.into(), client.into()],
            )
            .await?;
        conn.execute(
            concat!(
                "UPDATE codes SET expires_at = $4 WHERE client_id = $3 AND used_at IS NULL \
                 AND expires_at > $4 AND ",
                their_sessions!()
            ),
            &[user_id.into(), connector.into(), client.into(), self.now.into()],
        )
        .await?;
        let grants_ended = conn
            .execute(
                concat!(
                    "UPDATE grants SET ended_at = $4, ended_by = $5, ended_reason = $6, \
                     expires_at = tokens_until \
                     WHERE client_id = $3 AND ended_at IS NULL AND ",
                    their_sessions!()
                ),
                &[
                    user_id.into(),
                    connector.into(),
                    client.into(),
                    self.now.into(),
                    (&self.by).into(),
                    EndReason::ConsentWithdrawn.as_str().into(),
                ],
            )
            .await?;
        if deleted == 0 && grants_ended == 0 {
            return Ok(None);
        }
        let tokens_until = self.tokens_until(conn).await?;
        let mut event = self.parties.event(self.now, EventKind::ConsentWithdrawn, &self.by);
        event.reason = Some(EndReason::ConsentWithdrawn.as_str().to_owned());
        event.details = json!({ "grants_ended": grants_ended, "tokens_until": tokens_until });
        record(conn, &event).await?;
        Ok(Some(ConsentWithdrawn { grants_ended, tokens_until }))
    }
}

impl Withdraw {
    async fn tokens_until(&self, conn: &mut Conn<'_>) -> Result<Option<Timestamp>, StoreError> {
        let Parties { user_id, connector, client } = &self.parties;
        let row = conn
            .select_one(
                concat!(
                    "SELECT MAX(tokens_until) AS tokens_until FROM grants WHERE client_id = $3 \
                     AND ",
                    their_sessions!()
                ),
                &[user_id.into(), connector.into(), client.into()],
            )
            .await?;
        row.map_or(Ok(None), |row| row.maybe_time("tokens_until"))
    }
}
