//! Sessions, grants and codes as rows of their tables.

use countersign_core::session::{EndReason, Ended};
use countersign_core::{ClientId, Code, ConnectorId, Grant, GrantId, Session, SessionId};

use crate::StoreError;
use crate::engine::conn::{Columns, Conn, Row};
use crate::engine::sql::Value;
use crate::error::corrupt;

/// Columns of `sessions` and the end of the user's block, for statements assembled at compile time; with a table name
/// and a column prefix for joins. [`session`] reads them in this order, from the column `id` on.
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

/// Columns of `grants`, each with the table's name before it. [`grant`] reads them in this order.
macro_rules! grant_columns {
    () => {
        "grants.id, grants.session_id, grants.client_id, grants.scopes, grants.nonce, \
         grants.auth_time, grants.refreshable, grants.generation, grants.mac_key, \
         grants.created_at, grants.rotated_at, grants.tokens_until, grants.ended_at, \
         grants.ended_by, grants.ended_reason"
    };
}

/// Columns of `codes`, each with the table's name before it, for [`code`].
macro_rules! code_columns {
    () => {
        "codes.hash, codes.request_id, codes.session_id, codes.client_id, codes.redirect_uri, \
         codes.scopes, codes.nonce, codes.challenge, codes.auth_time, codes.created_at, \
         codes.expires_at, codes.used_at, codes.grant_id"
    };
}

/// The condition of statements that issue something: the session has not ended, and its user is not blocked now.
macro_rules! usable_session {
    ($now:literal) => {
        concat!(
            "sessions.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM blocked_users b \
             WHERE b.connector_id = sessions.connector_id AND b.user_id = sessions.user_id \
             AND (b.expires_at IS NULL OR b.expires_at > ",
            $now,
            "))"
        )
    };
}

pub(crate) use {code_columns, grant_columns, session_columns, usable_session};

pub(crate) fn session(row: &Row) -> Result<Session, StoreError> {
    session_at(&mut row.columns("id")?)
}

/// The grant and the session of a row of [`grant_columns`] followed by [`session_columns`].
pub(crate) fn grant_and_session(row: &Row) -> Result<(Grant, Session), StoreError> {
    let mut columns = row.columns("id")?;
    Ok((grant_at(&mut columns)?, session_at(&mut columns)?))
}

pub(crate) fn grant(row: &Row) -> Result<Grant, StoreError> {
    grant_at(&mut row.columns("id")?)
}

/// The session of a row of `session_columns!("sessions", "session_of_")`; `None` if the row has none.
pub(crate) fn joined_session(row: &Row) -> Result<Option<Session>, StoreError> {
    match row.maybe_text("session_of_id")? {
        None => Ok(None),
        Some(_) => session_at(&mut row.columns("session_of_id")?).map(Some),
    }
}

/// Reads [`session_columns`] in their order.
fn session_at(columns: &mut Columns<'_>) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId::new(columns.text("id")?),
        connector: ConnectorId::new(columns.text("connector_id")?),
        identity: columns.json("identity")?,
        identity_at: columns.time("identity_at")?,
        fingerprint: columns.text("fingerprint")?,
        login_scopes: columns.json("login_scopes")?,
        upstream: columns.maybe_text("upstream")?,
        auth_time: columns.time("auth_time")?,
        created_at: columns.time("created_at")?,
        last_seen: columns.time("last_seen")?,
        browser_seen: columns.time("browser_seen")?,
        cookie_until: columns.time("cookie_until")?,
        ip: columns.text("ip")?,
        user_agent: columns.text("user_agent")?,
        missing_since: columns.maybe_time("missing_since")?,
        ended: ended(columns)?,
        blocked_until: columns.maybe_time("blocked_until")?,
    })
}

/// Reads [`grant_columns`] in their order.
fn grant_at(columns: &mut Columns<'_>) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: GrantId::new(columns.text("id")?),
        session: SessionId::new(columns.text("session_id")?),
        client: ClientId::new(columns.text("client_id")?),
        scopes: columns.json("scopes")?,
        nonce: columns.maybe_text("nonce")?,
        auth_time: columns.time("auth_time")?,
        refreshable: columns.int("refreshable")? != 0,
        generation: columns.int("generation")?,
        mac_key: columns.int("mac_key")?,
        created_at: columns.time("created_at")?,
        rotated_at: columns.time("rotated_at")?,
        tokens_until: columns.time("tokens_until")?,
        ended: ended(columns)?,
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

/// Reads `ended_at`, `ended_by` and `ended_reason`.
fn ended(columns: &mut Columns<'_>) -> Result<Option<Ended>, StoreError> {
    let at = columns.maybe_time("ended_at")?;
    let by = columns.maybe_text("ended_by")?;
    let reason = columns.maybe_text("ended_reason")?;
    let Some(at) = at else { return Ok(None) };
    let by = by.ok_or_else(|| corrupt("ended_by is null"))?;
    let reason = reason.ok_or_else(|| corrupt("ended_reason is null"))?;
    let parsed = EndReason::parse(&reason);
    let unknown = || corrupt(format!("unknown ended_reason: {reason}"));
    Ok(Some(Ended { at, by, reason: parsed.ok_or_else(unknown)? }))
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
