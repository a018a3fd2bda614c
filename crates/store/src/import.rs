//! Writes the data imported from Dex, in one transaction, and looks up imported data.
//!
//! Rows are inserted only if missing, so an import can be repeated: existing rows, even newer ones, remain unchanged.

use countersign_core::{ConnectorId, Event, Grant, GrantId, Session, Timestamp};

use crate::engine::conn::Conn;
use crate::engine::sql::Value;
use crate::engine::{Change, Operation};
use crate::events::record;
use crate::memberships::Holder;
use crate::names::SearchNames;
use crate::rows::insert_grant;
use crate::stored_objects::{insert_object, raise_version};
use crate::{SigningKeyRow, Store, StoreError, StoredObject};

/// The data of one import.
#[derive(Clone, Debug)]
pub struct Import {
    pub objects: Vec<StoredObject>,
    /// Dex's current key, which continues to sign until the next rotation. Its number is assigned here.
    pub signing_key: Option<SigningKeyRow>,
    pub keys: Vec<ImportedKey>,
    pub sessions: Vec<ImportedSession>,
    pub consents: Vec<ImportedConsent>,
    pub event: Event,
}

/// A key that verifies tokens signed by Dex.
#[derive(Clone, Debug)]
pub struct ImportedKey {
    pub kid: String,
    pub public_jwk: String,
    pub imported_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A user at a connector, with the refresh tokens of their clients.
#[derive(Clone, Debug)]
pub struct ImportedSession {
    pub session: Session,
    pub grants: Vec<ImportedGrant>,
}

/// The grant for one refresh token of Dex.
#[derive(Clone, Debug)]
pub struct ImportedGrant {
    pub grant: Grant,
    /// The id in Dex's refresh token.
    pub token_id: String,
    /// SHA-256 of the token's secret part, base64url.
    pub token_hash: String,
}

/// A consent that Dex stored.
#[derive(Clone, Debug)]
pub struct ImportedConsent {
    pub user_id: String,
    pub connector: ConnectorId,
    pub client: countersign_core::ClientId,
    pub scopes: countersign_core::Scopes,
}

/// Number of new rows by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    pub objects: u64,
    pub signing_keys: u64,
    pub keys: u64,
    pub sessions: u64,
    pub grants: u64,
    pub consents: u64,
}

/// A refresh token of Dex, looked up by its id.
#[derive(Clone, Debug)]
pub struct ImportedToken {
    pub token_hash: String,
    pub grant: GrantId,
}

impl Store {
    /// Writes the import in one transaction. Existing rows stay as they are.
    pub async fn import(&self, import: Import) -> Result<ImportSummary, StoreError> {
        self.write(import).await
    }

    /// The refresh token of Dex with this id, if it was imported.
    pub async fn imported_token(&self, id: &str) -> Result<Option<ImportedToken>, StoreError> {
        self.read(FindToken(id.to_owned())).await
    }

    /// Imported keys, ordered by key id.
    pub async fn imported_keys(&self) -> Result<Vec<ImportedKey>, StoreError> {
        self.read(ReadKeys).await
    }

    pub async fn drop_imported_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(DropKeys(before)).await
    }

    /// Whether an imported session of this user has ended, or this client's grant in it.
    pub async fn imported_session_ended(
        &self,
        user_id: &str,
        connector: &ConnectorId,
        client: &str,
    ) -> Result<bool, StoreError> {
        let client = client.to_owned();
        self.read(SessionEnded(user_id.to_owned(), connector.clone(), client)).await
    }

    /// Imported grants whose token was rotated since, by client: after a return to Dex these clients hold a token
    /// unknown to Dex.
    pub async fn rotated_imports(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.read(RotatedImports).await
    }
}

impl Operation for Import {
    type Output = ImportSummary;
    const CHANGES: Option<Change> = Some(Change::StoredObjects);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<ImportSummary, StoreError> {
        let mut summary = ImportSummary::default();
        let now = self.event.at;
        for object in &self.objects {
            summary.objects += u64::from(insert_object(conn, object, now).await?);
        }
        if let Some(key) = &self.signing_key {
            summary.signing_keys += u64::from(insert_signing_key(conn, key).await?);
        }
        for key in &self.keys {
            summary.keys += u64::from(insert_key(conn, key).await?);
        }
        for session in &self.sessions {
            let grants = insert_session(conn, session, now).await?;
            summary.sessions += u64::from(grants > 0);
            summary.grants += grants;
        }
        for consent in &self.consents {
            summary.consents += u64::from(insert_consent(conn, consent, now).await?);
        }
        if summary != ImportSummary::default() {
            raise_version(conn).await?;
            record(conn, &self.event).await?;
        }
        Ok(summary)
    }
}

/// Inserted with the greatest number, so that it signs now. Replicas that create a key at the same instant retry.
async fn insert_signing_key(conn: &mut Conn<'_>, key: &SigningKeyRow) -> Result<bool, StoreError> {
    let written = conn
        .execute(
            "INSERT INTO signing_keys (number, kid, algorithm, public_jwk, private_key, \
             created_at, signs_from, longest_lifetime, superseded_at) \
             SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8 FROM signing_keys \
             WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE kid = $1) \
             ON CONFLICT DO NOTHING",
            &[
                (&key.kid).into(),
                (&key.algorithm).into(),
                (&key.public_jwk).into(),
                key.private_key.expose().into(),
                key.created_at.into(),
                key.signs_from.into(),
                i64::try_from(key.longest_lifetime.as_millis()).unwrap_or(i64::MAX).into(),
                key.superseded_at.into(),
            ],
        )
        .await?;
    Ok(written == 1)
}

async fn insert_key(conn: &mut Conn<'_>, key: &ImportedKey) -> Result<bool, StoreError> {
    let written = conn
        .execute(
            "INSERT INTO imported_keys (kid, public_jwk, imported_at, expires_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            &[
                (&key.kid).into(),
                (&key.public_jwk).into(),
                key.imported_at.into(),
                key.expires_at.into(),
            ],
        )
        .await?;
    Ok(written == 1)
}

/// Number of new grants. Without any the session is not written.
async fn insert_session(
    conn: &mut Conn<'_>,
    import: &ImportedSession,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut grants = Vec::new();
    for grant in &import.grants {
        let sql = "SELECT grant_id FROM imported_refresh_tokens WHERE id = $1";
        if conn.select_one(sql, &[(&grant.token_id).into()]).await?.is_none() {
            grants.push(grant);
        }
    }
    if grants.is_empty() {
        return Ok(0);
    }
    insert_session_row(conn, &import.session, now).await?;
    for ImportedGrant { grant, token_id, token_hash } in &grants {
        insert_grant(conn, grant).await?;
        let sql =
            "INSERT INTO imported_refresh_tokens (id, token_hash, grant_id) VALUES ($1, $2, $3)";
        conn.execute(sql, &[token_id.into(), token_hash.into(), (&grant.id).into()]).await?;
    }
    Ok(u64::try_from(grants.len()).unwrap_or(u64::MAX))
}

async fn insert_session_row(
    conn: &mut Conn<'_>,
    session: &Session,
    now: Timestamp,
) -> Result<(), StoreError> {
    let names = SearchNames::of(&session.identity);
    conn.execute(
        "INSERT INTO sessions (id, connector_id, user_id, identity, identity_at, fingerprint, \
         login_scopes, upstream, auth_time, created_at, last_seen, browser_seen, cookie_hash, \
         cookie_until, ip, user_agent, user_key, login, email, search, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, NULL, $12, $13, $14, \
         $15, $16, $17, $18, $12)",
        &[
            (&session.id).into(),
            (&session.connector).into(),
            (&session.identity.user_id).into(),
            Value::json(&session.identity)?,
            session.identity_at.into(),
            (&session.fingerprint).into(),
            Value::json(&session.login_scopes)?,
            (&session.upstream).into(),
            session.auth_time.into(),
            session.created_at.into(),
            session.last_seen.into(),
            now.into(),
            (&session.ip).into(),
            (&session.user_agent).into(),
            (&names.user_key).into(),
            (&names.login).into(),
            (&names.email).into(),
            (&names.search).into(),
        ],
    )
    .await?;
    Holder::of(session).begin(conn, now).await
}

async fn insert_consent(
    conn: &mut Conn<'_>,
    consent: &ImportedConsent,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let written = conn
        .execute(
            "INSERT INTO consents (user_id, connector_id, client_id, scopes, session_id, granted_at) \
             VALUES ($1, $2, $3, $4, '', $5) ON CONFLICT DO NOTHING",
            &[
                (&consent.user_id).into(),
                (&consent.connector).into(),
                (&consent.client).into(),
                Value::json(&consent.scopes)?,
                now.into(),
            ],
        )
        .await?;
    Ok(written == 1)
}

struct FindToken(String);

impl Operation for FindToken {
    type Output = Option<ImportedToken>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Output, StoreError> {
        let sql = "SELECT token_hash, grant_id FROM imported_refresh_tokens WHERE id = $1";
        let Some(row) = conn.select_one(sql, &[(&self.0).into()]).await? else { return Ok(None) };
        let grant = GrantId::new(row.text("grant_id")?);
        Ok(Some(ImportedToken { token_hash: row.text("token_hash")?, grant }))
    }
}

struct ReadKeys;

impl Operation for ReadKeys {
    type Output = Vec<ImportedKey>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<ImportedKey>, StoreError> {
        let sql = "SELECT kid, public_jwk, imported_at, expires_at FROM imported_keys ORDER BY kid";
        let rows = conn.select(sql, &[]).await?;
        let key = |row: &crate::engine::conn::Row| {
            Ok(ImportedKey {
                kid: row.text("kid")?,
                public_jwk: row.text("public_jwk")?,
                imported_at: row.time("imported_at")?,
                expires_at: row.time("expires_at")?,
            })
        };
        rows.iter().map(key).collect()
    }
}

struct DropKeys(Timestamp);

impl Operation for DropKeys {
    type Output = u64;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<u64, StoreError> {
        conn.execute("DELETE FROM imported_keys WHERE expires_at < $1", &[self.0.into()]).await
    }
}

struct SessionEnded(String, ConnectorId, String);

impl Operation for SessionEnded {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = "SELECT t.id FROM sessions s JOIN grants g ON g.session_id = s.id \
                   JOIN imported_refresh_tokens t ON t.grant_id = g.id \
                   WHERE s.user_id = $1 AND s.connector_id = $2 AND (s.ended_at IS NOT NULL \
                   OR (g.ended_at IS NOT NULL AND g.client_id = $3)) LIMIT 1";
        let values = [(&self.0).into(), (&self.1).into(), (&self.2).into()];
        Ok(conn.select_one(sql, &values).await?.is_some())
    }
}

struct RotatedImports;

impl Operation for RotatedImports {
    type Output = Vec<(String, i64)>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Output, StoreError> {
        let sql = "SELECT g.client_id AS client_id, COUNT(*) AS rotated FROM grants g \
                   JOIN imported_refresh_tokens t ON t.grant_id = g.id \
                   WHERE g.generation > 0 OR g.ended_at IS NOT NULL \
                   GROUP BY g.client_id ORDER BY g.client_id";
        let rows = conn.select(sql, &[]).await?;
        rows.iter().map(|row| Ok((row.text("client_id")?, row.int("rotated")?))).collect()
    }
}
