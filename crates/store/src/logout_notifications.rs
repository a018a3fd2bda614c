//! Queued logout tokens (OpenID Connect Back-Channel Logout 1.0), written in the transaction that ends a session or
//! grant, claimed with a lease, and deleted when delivered or abandoned. `issuer` delivers them.

use std::sync::Arc;

use countersign_core::ids::random_id;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{ClientId, ConnectorId, Event, Grant, Session, SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::error::corrupt;
use crate::events::record;
use crate::shared::LogoutRules;
use crate::{Store, StoreError};

/// One logout token to one client, claimed for one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutNotification {
    pub id: String,
    pub client: ClientId,
    pub session: SessionId,
    pub user_id: String,
    pub connector: ConnectorId,
    pub created_at: Timestamp,
    /// Number of attempts, including this one. It identifies the claim, so that a worker whose lease has expired cannot
    /// finish or postpone a later claim.
    pub attempts: i64,
}

impl Store {
    /// Sets the rules for all sessions and grants ended from now on.
    pub fn with_logout_rules(self, rules: LogoutRules) -> Self {
        self.shared.set_rules(rules);
        self
    }

    /// The rules that were set last.
    pub fn logout_rules(&self) -> Arc<LogoutRules> {
        self.shared.rules()
    }

    /// Waits until this store has queued a notification since the last call; notifications of other processes are found
    /// by polling.
    pub async fn logout_notification_queued(&self) {
        self.shared.notification_queued().await;
    }

    /// Clients with notifications that are due.
    pub async fn clients_with_logout_notifications(
        &self,
        now: Timestamp,
    ) -> Result<Vec<ClientId>, StoreError> {
        self.read(DueClients(now)).await
    }

    /// Leases up to `limit` due notifications of one client until `leased_until`, those due longest first.
    pub async fn claim_logout_notifications(
        &self,
        client: &ClientId,
        now: Timestamp,
        leased_until: Timestamp,
        limit: i64,
    ) -> Result<Vec<LogoutNotification>, StoreError> {
        self.write(Claim { client: client.clone(), now, leased_until, limit }).await
    }

    /// Deletes a delivered notification, or an abandoned one with an event. False if the lease was lost.
    pub async fn finish_logout_notification(
        &self,
        notification: &LogoutNotification,
        event: Option<Event>,
    ) -> Result<bool, StoreError> {
        self.write(Finish { notification: notification.clone(), event }).await
    }

    /// Schedules the next attempt. Does nothing if the lease was lost.
    pub async fn postpone_logout_notification(
        &self,
        notification: &LogoutNotification,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Postpone { notification: notification.clone(), due_at }).await
    }
}

struct DueClients(Timestamp);

impl Operation for DueClients {
    type Output = Vec<ClientId>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Output, StoreError> {
        let sql = "SELECT DISTINCT client_id FROM logout_notifications WHERE due_at <= $1";
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
    type Output = Vec<LogoutNotification>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Output, StoreError> {
        // The condition is repeated, because PostgreSQL re-evaluates only the outer WHERE after waiting for a
        // row that another claim has changed.
        let rows = conn
            .returning(
                "UPDATE logout_notifications SET due_at = $3, attempts = attempts + 1 WHERE id IN \
                 (SELECT id FROM logout_notifications WHERE client_id = $1 AND due_at <= $2 \
                 ORDER BY due_at LIMIT $4) AND due_at <= $2 \
                 RETURNING id, client_id, session_id, user_id, connector_id, created_at, attempts",
                &[
                    (&self.client).into(),
                    self.now.into(),
                    self.leased_until.into(),
                    self.limit.into(),
                ],
            )
            .await?;
        rows.iter().map(notification).collect()
    }
}

struct Finish {
    notification: LogoutNotification,
    event: Option<Event>,
}

impl Operation for Finish {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let gone = conn
            .execute(
                "DELETE FROM logout_notifications WHERE id = $1 AND attempts = $2",
                &[self.notification.id.as_str().into(), self.notification.attempts.into()],
            )
            .await?;
        if let Some(event) = self.event.as_ref().filter(|_| gone == 1) {
            record(conn, event).await?;
        }
        Ok(gone == 1)
    }
}

struct Postpone {
    notification: LogoutNotification,
    due_at: Timestamp,
}

impl Operation for Postpone {
    type Output = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        conn.execute(
            "UPDATE logout_notifications SET due_at = $3 WHERE id = $1 AND attempts = $2",
            &[
                self.notification.id.as_str().into(),
                self.notification.attempts.into(),
                self.due_at.into(),
            ],
        )
        .await?;
        Ok(())
    }
}

/// Records that this client received tokens of this session, if it has a back-channel logout URI.
pub(crate) async fn add_participant(
    conn: &mut Conn<'_>,
    session: &SessionId,
    client: &ClientId,
) -> Result<(), StoreError> {
    if !conn.shared.rules().notified.contains(client) {
        return Ok(());
    }
    conn.execute(
        "INSERT INTO logout_participants (session_id, client_id) VALUES ($1, $2) \
         ON CONFLICT (session_id, client_id) DO NOTHING",
        &[session.into(), client.into()],
    )
    .await?;
    Ok(())
}

/// Clients to notify when this session ends or its browser signs out. Must be called before the grants end.
pub(crate) async fn participants_of(
    conn: &mut Conn<'_>,
    session: &SessionId,
) -> Result<Vec<ClientId>, StoreError> {
    let rules = conn.shared.rules();
    if rules.notified.is_empty() {
        return Ok(Vec::new());
    }
    let rows = conn
        .select(
            "SELECT client_id FROM logout_participants WHERE session_id = $1 UNION \
             SELECT client_id FROM grants WHERE session_id = $1 AND ended_at IS NULL ORDER BY client_id",
            &[session.into()],
        )
        .await?;
    Ok(clients(&rows)?.into_iter().filter(|client| rules.notified.contains(client)).collect())
}

/// Queues a notification for each client and removes it from the session's participants.
pub(crate) async fn queue_notifications(
    conn: &mut Conn<'_>,
    session: &Session,
    clients: &[ClientId],
    now: Timestamp,
) -> Result<(), StoreError> {
    for client in clients {
        conn.execute(
            "INSERT INTO logout_notifications (id, client_id, session_id, user_id, connector_id, created_at, \
             due_at, attempts) VALUES ($1, $2, $3, $4, $5, $6, $6, 0)",
            &[
                random_id().map_err(corrupt)?.as_str().into(),
                client.into(),
                (&session.id).into(),
                (&session.identity.user_id).into(),
                (&session.connector).into(),
                now.into(),
            ],
        )
        .await?;
        conn.execute(
            "DELETE FROM logout_participants WHERE session_id = $1 AND client_id = $2",
            &[(&session.id).into(), client.into()],
        )
        .await?;
        conn.shared.count_notification();
    }
    Ok(())
}

/// Called after a user or administrator ended one grant: notifies the client if that was its last grant of the session.
pub(crate) async fn notify_if_last(
    conn: &mut Conn<'_>,
    session: &Session,
    grant: &Grant,
    ended: &Ended,
) -> Result<(), StoreError> {
    let is_deliberate = matches!(ended.reason, EndReason::Administrator | EndReason::EndedByUser);
    if !is_deliberate || !conn.shared.rules().notified.contains(&grant.client) {
        return Ok(());
    }
    let remaining = conn
        .select_one(
            "SELECT id FROM grants WHERE session_id = $1 AND client_id = $2 \
             AND ended_at IS NULL AND (refreshable = 1 OR tokens_until > $3) LIMIT 1",
            &[(&session.id).into(), (&grant.client).into(), ended.at.into()],
        )
        .await?;
    match remaining {
        Some(_) => Ok(()),
        None => {
            queue_notifications(conn, session, std::slice::from_ref(&grant.client), ended.at).await
        }
    }
}

fn clients(rows: &[Row]) -> Result<Vec<ClientId>, StoreError> {
    rows.iter().map(|row| row.text("client_id").map(ClientId::new)).collect()
}

fn notification(row: &Row) -> Result<LogoutNotification, StoreError> {
    Ok(LogoutNotification {
        id: row.text("id")?,
        client: ClientId::new(row.text("client_id")?),
        session: SessionId::new(row.text("session_id")?),
        user_id: row.text("user_id")?,
        connector: ConnectorId::new(row.text("connector_id")?),
        created_at: row.time("created_at")?,
        attempts: row.int("attempts")?,
    })
}
