//! The outbox: what clients are to hear of an end (OpenID Connect Back-Channel Logout 1.0), written in
//! the transaction of the end itself. Knows which clients listen, never where; delivers nothing.

use countersign_core::ids::random_id;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{ClientId, ConnectorId, Event, Grant, Session, SessionId, Timestamp};

use crate::desk::LogoutRules;
use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::error::broken;
use crate::events::tell;
use crate::{Store, StoreError};

/// One message to one client, claimed for one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutNotification {
    pub id: String,
    pub client: ClientId,
    pub session: SessionId,
    pub user_id: String,
    pub connector: ConnectorId,
    pub created_at: Timestamp,
    /// This one included. Names the claim: who was too slow cannot undo a later one.
    pub tries: i64,
}

impl Store {
    /// From now on ends written by this store follow these rules.
    pub fn with_logout_rules(self, rules: LogoutRules) -> Self {
        self.engine.desk().follow(rules);
        self
    }

    /// Returns when this store has written a notice since the last call. Of what other processes write
    /// it knows nothing.
    pub async fn logout_notification_queued(&self) {
        self.engine.desk().wake.notified().await;
    }

    /// Who has something to hear.
    pub async fn clients_with_logout_notifications(
        &self,
        now: Timestamp,
    ) -> Result<Vec<ClientId>, StoreError> {
        self.read(DueClients(now)).await
    }

    /// Takes up to `limit` due messages for one client, those due longest first. Nobody else gets them
    /// before `leased_until`.
    pub async fn claim_logout_notifications(
        &self,
        client: &ClientId,
        now: Timestamp,
        leased_until: Timestamp,
        limit: i64,
    ) -> Result<Vec<LogoutNotification>, StoreError> {
        self.write(Claim { client: client.clone(), now, leased_until, limit }).await
    }

    /// Done with: delivered, or given up with an event. False when the claim was no longer held.
    pub async fn finish_logout_notification(
        &self,
        notice: &LogoutNotification,
        event: Option<Event>,
    ) -> Result<bool, StoreError> {
        self.write(Finish { notice: notice.clone(), event }).await
    }

    /// Comes due again at `due_at`. Nothing when the claim is no longer held.
    pub async fn postpone_logout_notification(
        &self,
        notice: &LogoutNotification,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Postpone { notice: notice.clone(), due_at }).await
    }
}

struct DueClients(Timestamp);

impl Operation for DueClients {
    type Answer = Vec<ClientId>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT DISTINCT client_id FROM notices WHERE due_at <= $1";
        let rows = conn.select(sql, &[self.0.into()]).await?;
        clients(&rows)
    }
}

struct Claim {
    client: ClientId,
    now: Timestamp,
    leased_until: Timestamp,
    limit: i64,
}

impl Operation for Claim {
    type Answer = Vec<LogoutNotification>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer, StoreError> {
        // The condition stands twice: PostgreSQL looks again at a row another claim has just moved.
        let rows = conn
            .returning(
                "UPDATE notices SET due_at = $3, tries = tries + 1 WHERE id IN \
                 (SELECT id FROM notices WHERE client_id = $1 AND due_at <= $2 \
                 ORDER BY due_at LIMIT $4) AND due_at <= $2 \
                 RETURNING id, client_id, session_id, user_id, connector_id, created_at, tries",
                &[
                    (&self.client).into(),
                    self.now.into(),
                    self.leased_until.into(),
                    self.limit.into(),
                ],
            )
            .await?;
        rows.iter().map(notice).collect()
    }
}

struct Finish {
    notice: LogoutNotification,
    event: Option<Event>,
}

impl Operation for Finish {
    type Answer = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let gone = conn
            .execute(
                "DELETE FROM notices WHERE id = $1 AND tries = $2",
                &[self.notice.id.as_str().into(), self.notice.tries.into()],
            )
            .await?;
        if let Some(event) = self.event.as_ref().filter(|_| gone == 1) {
            tell(conn, event).await?;
        }
        Ok(gone == 1)
    }
}

struct Postpone {
    notice: LogoutNotification,
    due_at: Timestamp,
}

impl Operation for Postpone {
    type Answer = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        conn.execute(
            "UPDATE notices SET due_at = $3 WHERE id = $1 AND tries = $2",
            &[self.notice.id.as_str().into(), self.notice.tries.into(), self.due_at.into()],
        )
        .await?;
        Ok(())
    }
}

/// This session has given something to this client, which may want to hear of its end.
pub(crate) async fn participate(
    conn: &mut Conn<'_>,
    session: &SessionId,
    client: &ClientId,
) -> Result<(), StoreError> {
    if !conn.told.desk.rules().told.contains(client) {
        return Ok(());
    }
    conn.execute(
        "INSERT INTO participants (session_id, client_id) VALUES ($1, $2) \
         ON CONFLICT (session_id, client_id) DO NOTHING",
        &[session.into(), client.into()],
    )
    .await?;
    Ok(())
}

/// Those to be told when this session ends or its browser signs out. Asked before its grants end.
pub(crate) async fn listeners(
    conn: &mut Conn<'_>,
    session: &SessionId,
) -> Result<Vec<ClientId>, StoreError> {
    let rules = conn.told.desk.rules();
    if rules.told.is_empty() {
        return Ok(Vec::new());
    }
    let rows = conn
        .select(
            "SELECT client_id FROM participants WHERE session_id = $1 UNION \
             SELECT client_id FROM grants WHERE session_id = $1 AND ended_at IS NULL ORDER BY client_id",
            &[session.into()],
        )
        .await?;
    Ok(clients(&rows)?.into_iter().filter(|client| rules.told.contains(client)).collect())
}

/// Writes a message to each of them, and that they need no other one.
pub(crate) async fn notify(
    conn: &mut Conn<'_>,
    session: &Session,
    clients: &[ClientId],
    now: Timestamp,
) -> Result<(), StoreError> {
    for client in clients {
        conn.execute(
            "INSERT INTO notices (id, client_id, session_id, user_id, connector_id, created_at, \
             due_at, tries) VALUES ($1, $2, $3, $4, $5, $6, $6, 0)",
            &[
                random_id().map_err(broken)?.as_str().into(),
                client.into(),
                (&session.id).into(),
                (&session.identity.user_id).into(),
                (&session.connector).into(),
                now.into(),
            ],
        )
        .await?;
        conn.execute(
            "DELETE FROM participants WHERE session_id = $1 AND client_id = $2",
            &[(&session.id).into(), client.into()],
        )
        .await?;
        conn.told.desk.wrote_one();
    }
    Ok(())
}

/// After the end of one grant: when somebody meant it, and it was the client's last of this session.
pub(crate) async fn notify_of_last(
    conn: &mut Conn<'_>,
    session: &Session,
    grant: &Grant,
    ended: &Ended,
) -> Result<(), StoreError> {
    let meant = matches!(ended.why, EndReason::Administrator | EndReason::EndedByUser);
    if !meant || !conn.told.desk.rules().told.contains(&grant.client) {
        return Ok(());
    }
    let left = conn
        .select_one(
            "SELECT id FROM grants WHERE session_id = $1 AND client_id = $2 \
             AND ended_at IS NULL AND (refreshable = 1 OR tokens_until > $3) LIMIT 1",
            &[(&session.id).into(), (&grant.client).into(), ended.at.into()],
        )
        .await?;
    match left {
        Some(_) => Ok(()),
        None => notify(conn, session, std::slice::from_ref(&grant.client), ended.at).await,
    }
}

fn clients(rows: &[Row]) -> Result<Vec<ClientId>, StoreError> {
    rows.iter().map(|row| row.text("client_id").map(ClientId::new)).collect()
}

fn notice(row: &Row) -> Result<LogoutNotification, StoreError> {
    Ok(LogoutNotification {
        id: row.text("id")?,
        client: ClientId::new(row.text("client_id")?),
        session: SessionId::new(row.text("session_id")?),
        user_id: row.text("user_id")?,
        connector: ConnectorId::new(row.text("connector_id")?),
        created_at: row.time("created_at")?,
        tries: row.int("tries")?,
    })
}
