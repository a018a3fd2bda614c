//! Sessions, grants and codes as rows of their tables.

use countersign_core::session::{EndReason, Ended};
use countersign_core::{ClientId, Code, ConnectorId, Grant, GrantId, Session, SessionId};

use crate::StoreError;
use crate::engine::conn::{Conn, Row};
use crate::engine::sql::Value;
use crate::error::corrupt;

/// Columns of `sessions` and the end of the user's block, for statements assembled at compile time; with a table name
/// and a column prefix for joins.
macro_rules! session_columns {
    () => {
        session_columns!("sessions", "")
    };
    ($t:literal, $p:literal) => {
        concat!(
            $t,
            ".id AS ",
            $p,
            "id, ",
            $t,
            ".connector_id AS ",
            $p,
            "connector_id, ",
            $t,
            ".identity AS ",
            $p,
            "identity, ",
            $t,
            ".identity_at AS ",
            $p,
            "identity_at, ",
            $t,
            ".fingerprint AS ",
            $p,
            "fingerprint, ",
            $t,
            ".login_scopes AS ",
            $p,
            "login_scopes, ",
            $t,
            ".upstream AS ",
            $p,
            "upstream, ",
            $t,
            ".auth_time AS ",
            $p,
            "auth_time, ",
            $t,
            ".created_at AS ",
            $p,
            "created_at, ",
            $t,
            ".last_seen AS ",
            $p,
            "last_seen, ",
            $t,
            ".browser_seen AS ",
            $p,
            "browser_seen, ",
            $t,
            ".cookie_until AS ",
            $p,
            "cookie_until, ",
            $t,
            ".ip AS ",
            $p,
            "ip, ",
            $t,
            ".user_agent AS ",
            $p,
            "user_agent, ",
            $t,
            ".missing_since AS ",
            $p,
            "missing_since, ",
            $t,
            ".ended_at AS ",
            $p,
            "ended_at, ",
            $t,
            ".ended_by AS ",
            $p,
            "ended_by, ",
            $t,
            ".ended_reason AS ",
            $p,
            "ended_reason, ",
            "(SELECT COALESCE(b.expires_at, 9223372036854775807) FROM blocked_users b \
             WHERE b.connector_id = ",
            $t,
            ".connector_id AND b.user_id = ",
            $t,
            ".user_id) AS ",
            $p,
            "blocked_until"
        )
    };
}

/// Columns of `grants`, each with the table's name before it.
macro_rules! grant_columns {
    () => {
        "grants.id, grants.session_id, grants.client_id, grants.scopes, grants.nonce, \
         grants.auth_time, grants.refreshable, grants.generation, grants.mac_key, \
         grants.created_at, grants.rotated_at, grants.tokens_until, grants.ended_at, \
         grants.ended_by, grants.ended_reason"
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
    prefixed_session(row, "")
}

/// The session of a row in which its columns have this prefix.
pub(crate) fn prefixed_session(row: &Row, prefix: &str) -> Result<Session, StoreError> {
    let c = |column: &str| format!("{prefix}{column}");
    Ok(Session {
        id: SessionId::new(row.text(&c("id"))?),
        connector: ConnectorId::new(row.text(&c("connector_id"))?),
        identity: row.json(&c("identity"))?,
        identity_at: row.time(&c("identity_at"))?,
        fingerprint: row.text(&c("fingerprint"))?,
        login_scopes: row.json(&c("login_scopes"))?,
        upstream: row.maybe_text(&c("upstream"))?,
        auth_time: row.time(&c("auth_time"))?,
        created_at: row.time(&c("created_at"))?,
        last_seen: row.time(&c("last_seen"))?,
        browser_seen: row.time(&c("browser_seen"))?,
        cookie_until: row.time(&c("cookie_until"))?,
        ip: row.text(&c("ip"))?,
        user_agent: row.text(&c("user_agent"))?,
        missing_since: row.maybe_time(&c("missing_since"))?,
        ended: ended(row, prefix)?,
        blocked_until: row.maybe_time(&c("blocked_until"))?,
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
        ended: ended(row, "")?,
    })
}

pub(crate) fn code(row: &Row) -> Result<Code, StoreError> {
    let challenge = match row.maybe_text("challenge")? {
        Some(text) => Some(
            serde_json::from_str(&text).map_err(|e| corrupt(format!("codes.challenge: {e}")))?,
        ),
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

fn ended(row: &Row, prefix: &str) -> Result<Option<Ended>, StoreError> {
    let Some(at) = row.maybe_time(&format!("{prefix}ended_at"))? else { return Ok(None) };
    let reason = row.text(&format!("{prefix}ended_reason"))?;
    Ok(Some(Ended {
        at,
        by: row.text(&format!("{prefix}ended_by"))?,
        reason: EndReason::parse(&reason)
            .ok_or_else(|| corrupt(format!("unknown ended_reason: {reason}")))?,
    }))
}

/// Columns for [`grant_values`]; the last two have the same value.
macro_rules! insert_grant_columns {
    () => {
        "(id, session_id, client_id, scopes, nonce, auth_time, refreshable, generation, mac_key, \
         created_at, rotated_at, tokens_until, expires_at)"
    };
}

/// Columns for [`code_values`].
macro_rules! insert_code_columns {
    () => {
        "(hash, request_id, session_id, client_id, redirect_uri, scopes, nonce, challenge, \
         auth_time, created_at, expires_at)"
    };
}

pub(crate) use {insert_code_columns, insert_grant_columns};

pub(crate) fn grant_values(grant: &Grant) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
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
    ])
}

pub(crate) async fn insert_grant(conn: &mut Conn<'_>, grant: &Grant) -> Result<(), StoreError> {
    let sql = concat!(
        "INSERT INTO grants ",
        insert_grant_columns!(),
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)"
    );
    conn.execute(sql, &grant_values(grant)?).await?;
    Ok(())
}

pub(crate) fn code_values(code: &Code) -> Result<Vec<Value>, StoreError> {
    let challenge = match &code.challenge {
        Some(challenge) => Value::json(challenge)?,
        None => Value::Text(None),
    };
    Ok(vec![
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
    ])
}

/// False if the authorization request was already completed.
pub(crate) async fn insert_code(conn: &mut Conn<'_>, code: &Code) -> Result<bool, StoreError> {
    let sql = concat!(
        "INSERT INTO codes ",
        insert_code_columns!(),
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (request_id) DO NOTHING"
    );
    Ok(conn.execute(sql, &code_values(code)?).await? == 1)
}
