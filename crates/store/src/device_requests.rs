//! Device authorization requests (RFC 8628): added without authentication within limits, decided once by a user,
//! redeemed once by their client.

use countersign_core::event::EventKind;
use countersign_core::{
    ClientId, ConnectorId, DeviceRequest, DeviceRequestLimits, DeviceRequestStatus, Event, Grant,
    GrantId, SessionId, Timestamp,
};
use serde_json::json;

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::engine::sql::Value;
use crate::error::corrupt;
use crate::events::record;
use crate::issue_grant::issue_grant;
use crate::sessions::lock_usable_session;
use crate::unconfirmed::Unconfirmed;
use crate::{Store, StoreError};

/// The outcome of [`Store::add_device_request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddDeviceRequestOutcome {
    Added,
    /// Another request has this user code: generate another one.
    UserCodeInUse,
    TooManyFromAddress,
    TooMany,
}

/// A user's decision. Approving requires a live session.
#[derive(Clone, Debug)]
pub struct DecideDeviceRequest {
    pub user_code_hash: String,
    pub session: SessionId,
    pub user_id: String,
    pub connector: ConnectorId,
    /// Address of the user's browser.
    pub ip: String,
    pub auth_time: Timestamp,
    pub approve: bool,
    pub now: Timestamp,
}

/// The outcome of [`Store::decide_device_request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecideDeviceRequestOutcome {
    /// Also if the same session made the same decision before.
    Decided,
    SessionEnded,
    /// Unknown, expired, or already decided differently or by another session.
    NotPending,
}

/// The outcome of [`Store::redeem_device_code`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedeemDeviceCodeOutcome {
    Granted {
        /// Grants that were ended because the session had too many for this client.
        dropped: Vec<GrantId>,
    },
    /// Already redeemed. The caller ends the grant.
    AlreadyUsed {
        grant: Option<GrantId>,
    },
    /// Nothing was written.
    SessionEnded,
    NotRedeemable,
}

impl Store {
    /// Adds a pending request, unless a limit is reached or its user code is in use.
    pub async fn add_device_request(
        &self,
        request: DeviceRequest,
        limits: DeviceRequestLimits,
    ) -> Result<AddDeviceRequestOutcome, StoreError> {
        self.write(Add { request, limits }).await
    }

    /// The request with this user code, including an expired one.
    pub async fn device_request_by_user_code(
        &self,
        user_code_hash: &str,
    ) -> Result<Option<DeviceRequest>, StoreError> {
        self.read(Find { sql: BY_USER_CODE, hash: user_code_hash.to_owned() }).await
    }

    /// The request with this device code, including an expired one.
    pub async fn device_request_by_device_code(
        &self,
        device_code_hash: &str,
    ) -> Result<Option<DeviceRequest>, StoreError> {
        self.revert_unconfirmed(device_code_hash).await?;
        self.read(Find { sql: BY_DEVICE_CODE, hash: device_code_hash.to_owned() }).await
    }

    /// Records a user's decision, once.
    pub async fn decide_device_request(
        &self,
        decision: DecideDeviceRequest,
    ) -> Result<DecideDeviceRequestOutcome, StoreError> {
        self.write(decision).await
    }

    /// Marks an approved request as used and inserts its grant, whose session and client must be those of the request.
    /// If a session has more than `offline_limit` live refreshable grants for the client, those unused longest are
    /// ended.
    pub async fn redeem_device_code(
        &self,
        device_code_hash: &str,
        grant: Grant,
        now: Timestamp,
        offline_limit: i64,
    ) -> Result<RedeemDeviceCodeOutcome, StoreError> {
        let device_code_hash = device_code_hash.to_owned();
        let unconfirmed =
            Unconfirmed::DeviceCode { hash: device_code_hash.clone(), grant: grant.id.clone() };
        let redeem = Redeem { device_code_hash, grant, now, offline_limit };
        self.write_use(redeem, unconfirmed).await
    }
}

const COUNT_FROM_ADDRESS: &str = "SELECT COUNT(*) AS found FROM (SELECT 1 AS one \
    FROM device_requests WHERE counted_address = $1 AND expires_at > $2 LIMIT $3) AS counted";
const COUNT: &str = "SELECT COUNT(*) AS found FROM (SELECT 1 AS one FROM device_requests \
    WHERE expires_at > $1 LIMIT $2) AS counted";

struct Add {
    request: DeviceRequest,
    limits: DeviceRequestLimits,
}

impl Operation for Add {
    type Output = AddDeviceRequestOutcome;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<AddDeviceRequestOutcome, StoreError> {
        let request = &self.request;
        let (total, per_address) =
            (i64::from(self.limits.total), i64::from(self.limits.per_address));
        // Each count reads at most as many index entries as its limit. Requests that other replicas add concurrently
        // are not seen, so the limits may be exceeded by those.
        let now = request.created_at;
        let from_address = [(&request.counted_address).into(), now.into(), per_address.into()];
        if found(conn.select_one(COUNT_FROM_ADDRESS, &from_address).await?)? >= per_address {
            return Ok(AddDeviceRequestOutcome::TooManyFromAddress);
        }
        if found(conn.select_one(COUNT, &[now.into(), total.into()]).await?)? >= total {
            return Ok(AddDeviceRequestOutcome::TooMany);
        }
        let challenge = match &request.challenge {
            Some(challenge) => Value::json(challenge)?,
            None => Value::Text(None),
        };
        let added = conn
            .execute(
                "INSERT INTO device_requests (device_code_hash, user_code_hash, client_id, scopes, \
                 challenge, address, counted_address, user_agent, created_at, expires_at, status) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending') \
                 ON CONFLICT (user_code_hash) DO NOTHING",
                &[
                    (&request.device_code_hash).into(),
                    (&request.user_code_hash).into(),
                    (&request.client).into(),
                    Value::json(&request.scopes)?,
                    challenge,
                    (&request.address).into(),
                    (&request.counted_address).into(),
                    (&request.user_agent).into(),
                    request.created_at.into(),
                    request.expires_at.into(),
                ],
            )
            .await?;
        Ok(match added {
            0 => AddDeviceRequestOutcome::UserCodeInUse,
            _ => AddDeviceRequestOutcome::Added,
        })
    }
}

fn found(row: Option<Row>) -> Result<i64, StoreError> {
    row.map_or(Ok(0), |row| row.int("found"))
}

macro_rules! select_request {
    ($column:literal) => {
        concat!(
            "SELECT device_code_hash, user_code_hash, client_id, scopes, challenge, address, \
             counted_address, user_agent, created_at, expires_at, status, session_id, auth_time, \
             grant_id FROM device_requests WHERE ",
            $column,
            " = $1"
        )
    };
}

const BY_USER_CODE: &str = select_request!("user_code_hash");
const BY_DEVICE_CODE: &str = select_request!("device_code_hash");

struct Find {
    sql: &'static str,
    hash: String,
}

impl Operation for Find {
    type Output = Option<DeviceRequest>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<DeviceRequest>, StoreError> {
        let row = conn.select_one(self.sql, &[(&self.hash).into()]).await?;
        row.as_ref().map(device_request).transpose()
    }
}

fn device_request(row: &Row) -> Result<DeviceRequest, StoreError> {
    let challenge = row.maybe_text("challenge")?.map(|text| serde_json::from_str(&text));
    let challenge =
        challenge.transpose().map_err(|e| corrupt(format!("device_requests.challenge: {e}")))?;
    Ok(DeviceRequest {
        device_code_hash: row.text("device_code_hash")?,
        user_code_hash: row.text("user_code_hash")?,
        client: ClientId::new(row.text("client_id")?),
        scopes: row.json("scopes")?,
        challenge,
        address: row.text("address")?,
        counted_address: row.text("counted_address")?,
        user_agent: row.text("user_agent")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        status: match row.text("status")?.as_str() {
            "pending" => DeviceRequestStatus::Pending,
            "approved" => DeviceRequestStatus::Approved {
                session: SessionId::new(row.text("session_id")?),
                auth_time: row.time("auth_time")?,
            },
            "denied" => DeviceRequestStatus::Denied,
            "used" => {
                DeviceRequestStatus::Used { grant: row.maybe_text("grant_id")?.map(GrantId::new) }
            }
            other => return Err(corrupt(format!("device_requests.status: {other}"))),
        },
    })
}

impl Operation for DecideDeviceRequest {
    type Output = DecideDeviceRequestOutcome;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<DecideDeviceRequestOutcome, StoreError> {
        if !lock_usable_session(conn, &self.session, self.now).await? {
            return Ok(DecideDeviceRequestOutcome::SessionEnded);
        }
        let status = if self.approve { "approved" } else { "denied" };
        let decided = conn
            .returning(
                "UPDATE device_requests SET status = $2, session_id = $3, auth_time = $4 \
                 WHERE user_code_hash = $1 AND expires_at > $5 AND status = 'pending' \
                 RETURNING client_id, address, user_agent, created_at",
                &[
                    (&self.user_code_hash).into(),
                    status.into(),
                    (&self.session).into(),
                    self.auth_time.into(),
                    self.now.into(),
                ],
            )
            .await?;
        if let Some(row) = decided.first() {
            record(conn, &self.event(row)?).await?;
            return Ok(DecideDeviceRequestOutcome::Decided);
        }
        match self.was_decided_so(conn, status).await? {
            true => Ok(DecideDeviceRequestOutcome::Decided),
            false => Ok(DecideDeviceRequestOutcome::NotPending),
        }
    }
}

impl DecideDeviceRequest {
    /// The audit event, with the device's address and program, so that an administrator can find who approved a phished
    /// device.
    fn event(&self, row: &Row) -> Result<Event, StoreError> {
        let kind = if self.approve { EventKind::DeviceApproved } else { EventKind::DeviceDenied };
        let mut event = Event::new(self.now, kind, format!("user:{}", self.user_id));
        event.session = Some(self.session.clone());
        event.client = Some(ClientId::new(row.text("client_id")?));
        event.connector = Some(self.connector.clone());
        event.user_id = Some(self.user_id.clone());
        event.ip = Some(self.ip.clone());
        event.details = json!({
            "device_address": row.text("address")?,
            "device_user_agent": row.text("user_agent")?,
            "requested_at": row.time("created_at")?,
        });
        Ok(event)
    }

    /// Whether this session made the same decision before; the device may already have its tokens.
    async fn was_decided_so(
        &self,
        conn: &mut Conn<'_>,
        status: &'static str,
    ) -> Result<bool, StoreError> {
        let used = if self.approve { "used" } else { status };
        let row = conn
            .select_one(
                "SELECT 1 AS found FROM device_requests \
                 WHERE user_code_hash = $1 AND session_id = $2 AND status IN ($3, $4)",
                &[
                    (&self.user_code_hash).into(),
                    (&self.session).into(),
                    status.into(),
                    used.into(),
                ],
            )
            .await?;
        Ok(row.is_some())
    }
}

struct Redeem {
    device_code_hash: String,
    grant: Grant,
    now: Timestamp,
    offline_limit: i64,
}

impl Operation for Redeem {
    type Output = RedeemDeviceCodeOutcome;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<RedeemDeviceCodeOutcome, StoreError> {
        if !lock_usable_session(conn, &self.grant.session, self.now).await? {
            return self.refusal(conn, RedeemDeviceCodeOutcome::SessionEnded).await;
        }
        let used = conn
            .execute(
                "UPDATE device_requests SET status = 'used', grant_id = $4 \
                 WHERE device_code_hash = $1 AND client_id = $2 AND session_id = $3 \
                 AND status = 'approved' AND expires_at > $5",
                &[
                    (&self.device_code_hash).into(),
                    (&self.grant.client).into(),
                    (&self.grant.session).into(),
                    (&self.grant.id).into(),
                    self.now.into(),
                ],
            )
            .await?;
        if used == 0 {
            return self.refusal(conn, RedeemDeviceCodeOutcome::NotRedeemable).await;
        }
        let dropped = issue_grant(conn, &self.grant, self.now, self.offline_limit).await?;
        Ok(RedeemDeviceCodeOutcome::Granted { dropped })
    }
}

impl Redeem {
    /// Why nothing was redeemed: already used by this client, otherwise `otherwise`.
    async fn refusal(
        &self,
        conn: &mut Conn<'_>,
        otherwise: RedeemDeviceCodeOutcome,
    ) -> Result<RedeemDeviceCodeOutcome, StoreError> {
        let row = conn.select_one(BY_DEVICE_CODE, &[(&self.device_code_hash).into()]).await?;
        let request = row.as_ref().map(device_request).transpose()?;
        let request = request.filter(|request| request.client == self.grant.client);
        Ok(match request.map(|request| request.status) {
            Some(DeviceRequestStatus::Used { grant }) => {
                RedeemDeviceCodeOutcome::AlreadyUsed { grant }
            }
            Some(_) => otherwise,
            None => RedeemDeviceCodeOutcome::NotRedeemable,
        })
    }
}
