//! Rows as words: how sessions, grants and codes are written and read. Decides nothing.

use countersign_core::session::{EndReason, Ended};
use countersign_core::{ClientId, Code, ConnectorId, Grant, GrantId, Session, SessionId};

use crate::StoreError;
use crate::engine::conn::{Conn, Row, Value};
use crate::error::broken;

/// Columns of `sessions`, for a statement that is put together at compile time.
macro_rules! session_columns {
    () => {
        "id, connector_id, identity, identity_at, basis, wants, upstream, auth_time, created_at, \
         last_seen, browser_seen, cookie_until, ip, user_agent, missing_since, ended_at, \
         ended_by, ended_why"
    };
}

macro_rules! grant_columns {
    () => {
        "id, session_id, client_id, scopes, nonce, auth_time, refreshable, generation, mac_key, \
         created_at, rotated_at, tokens_until, ended_at, ended_by, ended_why"
    };
}

macro_rules! code_columns {
    () => {
        "hash, request_id, session_id, client_id, redirect_uri, scopes, nonce, challenge, \
         auth_time, created_at, expires_at, used_at, grant_id"
    };
}

pub(crate) use {code_columns, grant_columns, session_columns};

pub(crate) fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId::new(row.text("id")?),
        connector: ConnectorId::new(row.text("connector_id")?),
        identity: row.json("identity")?,
        identity_at: row.time("identity_at")?,
        fingerprint: row.text("basis")?,
        login_scopes: row.json("wants")?,
        upstream: row.maybe_text("upstream")?,
        auth_time: row.time("auth_time")?,
        created_at: row.time("created_at")?,
        last_seen: row.time("last_seen")?,
        browser_seen: row.time("browser_seen")?,
        cookie_until: row.time("cookie_until")?,
        ip: row.text("ip")?,
        user_agent: row.text("user_agent")?,
        missing_since: row.maybe_time("missing_since")?,
        ended: ended(row)?,
    })
}

pub(crate) fn grant(row: &Row) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: GrantId::new(row.text("id")?),
        session: SessionId::new(row.text("session_id")?),
        client: ClientId::new(row.text("client_id")?),
        scopes: row.json("scopes")?,
        nonce: row.maybe_text("nonce")?,
        auth_time: row.time("auth_time")?,
        refreshable: row.int("refreshable")? != 0,
        generation: row.int("generation")?,
        mac_key: row.int("mac_key")?,
        created_at: row.time("created_at")?,
        rotated_at: row.time("rotated_at")?,
        tokens_until: row.time("tokens_until")?,
        ended: ended(row)?,
    })
}

pub(crate) fn code(row: &Row) -> Result<Code, StoreError> {
    let challenge = match row.maybe_text("challenge")? {
        Some(text) => {
            Some(serde_json::from_str(&text).map_err(|e| broken(format!("codes.challenge: {e}")))?)
        }
        None => None,
    };
    Ok(Code {
        hash: row.text("hash")?,
        request: row.text("request_id")?,
        session: SessionId::new(row.text("session_id")?),
        client: ClientId::new(row.text("client_id")?),
        redirect_uri: row.text("redirect_uri")?,
        scopes: row.json("scopes")?,
        nonce: row.maybe_text("nonce")?,
        challenge,
        auth_time: row.time("auth_time")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        grant: row.maybe_text("grant_id")?.map(GrantId::new),
    })
}

fn ended(row: &Row) -> Result<Option<Ended>, StoreError> {
    let Some(at) = row.maybe_time("ended_at")? else { return Ok(None) };
    let why = row.text("ended_why")?;
    Ok(Some(Ended {
        at,
        by: row.text("ended_by")?,
        why: EndReason::parse(&why).ok_or_else(|| broken(format!("no such end: {why}")))?,
    }))
}

pub(crate) async fn insert_grant(conn: &mut Conn<'_>, grant: &Grant) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO grants (id, session_id, client_id, scopes, nonce, auth_time, refreshable, \
         generation, mac_key, created_at, rotated_at, tokens_until) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            (&grant.id).into(),
            (&grant.session).into(),
            (&grant.client).into(),
            Value::json(&grant.scopes)?,
            (&grant.nonce).into(),
            grant.auth_time.into(),
            grant.refreshable.into(),
            grant.generation.into(),
            grant.mac_key.into(),
            grant.created_at.into(),
            grant.rotated_at.into(),
            grant.tokens_until.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Writes the code; false when its request was finished before.
pub(crate) async fn insert_code(conn: &mut Conn<'_>, code: &Code) -> Result<bool, StoreError> {
    let challenge = match &code.challenge {
        Some(challenge) => Value::json(challenge)?,
        None => Value::Text(None),
    };
    let written = conn
        .execute(
            "INSERT INTO codes (hash, request_id, session_id, client_id, redirect_uri, scopes, \
             nonce, challenge, auth_time, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT (request_id) DO NOTHING",
            &[
                code.hash.as_str().into(),
                code.request.as_str().into(),
                (&code.session).into(),
                (&code.client).into(),
                code.redirect_uri.as_str().into(),
                Value::json(&code.scopes)?,
                (&code.nonce).into(),
                challenge,
                code.auth_time.into(),
                code.created_at.into(),
                code.expires_at.into(),
            ],
        )
        .await?;
    Ok(written == 1)
}
