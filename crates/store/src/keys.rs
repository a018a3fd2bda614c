//! Signing keys, and keys for sealing and MACs. Private parts are stored as sealed by the caller.

mod drop_now;

pub use drop_now::{DropSigningKeyNow, DroppedSigningKey, Successor};

use std::time::Duration;

use countersign_core::{Secret, Timestamp};

use crate::engine::conn::{Conn, Row};
use crate::engine::{Change, Operation};
use crate::{Store, StoreError};

/// A signing key pair: future, current or retired.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Unique: of two replicas that create the next key at the same time, one succeeds.
    pub number: i64,
    pub kid: String,
    pub algorithm: String,
    pub public_jwk: String,
    /// Sealed under the root key, if there is one.
    pub private_key: Secret,
    pub created_at: Timestamp,
    pub signs_from: Timestamp,
    /// The longest token lifetime that was configured while the key existed.
    pub longest_lifetime: Duration,
    /// It signs only access tokens and has successors of its own.
    pub access_tokens_only: bool,
    /// From when it signs no more because the configuration in use has no use for it, unless a successor signs earlier.
    pub superseded_at: Option<Timestamp>,
}

/// A symmetric key for one purpose; the highest number is the newest.
#[derive(Clone, Debug)]
pub struct SecretRow {
    pub purpose: String,
    pub number: i64,
    /// Sealed under the root key, if there is one.
    pub value: Secret,
    pub created_at: Timestamp,
}

impl Store {
    /// All signing keys, by number.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, StoreError> {
        self.read(SigningKeys).await
    }

    /// False when another replica has added a key with this number or kid: read again.
    pub async fn add_signing_key(&self, row: SigningKeyRow) -> Result<bool, StoreError> {
        self.write(AddSigningKey(row)).await
    }

    /// Keeps every stored key at least as long as tokens of this lifetime need it.
    pub async fn raise_token_lifetime(&self, longest: Duration) -> Result<(), StoreError> {
        self.write(RaiseTokenLifetime(millis(longest))).await
    }

    /// Records from when this key signs no more, even without a successor. An instant that was recorded before stays;
    /// `None` deletes it, because the key signs again.
    pub async fn set_key_superseded(
        &self,
        number: i64,
        at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.write(SetKeySuperseded(number, at)).await
    }

    /// Replaces the sealed private part; false if it is no longer `old`.
    pub async fn replace_signing_key_value(
        &self,
        number: i64,
        old: &Secret,
        new: &Secret,
    ) -> Result<bool, StoreError> {
        let resealed = Resealed { old: old.clone(), new: new.clone() };
        self.write(ReplaceSigningKeyValue(number, resealed)).await
    }

    /// Deletes a retired key; false when there was none.
    pub async fn drop_signing_key(&self, number: i64) -> Result<bool, StoreError> {
        self.write(DropSigningKey(number)).await
    }

    /// Deletes a signing key now, although tokens signed with it may be valid. The same transaction ensures that a key
    /// signs: the next published key begins to sign now, or `successor` does. `None` when there is no such key.
    pub async fn drop_signing_key_now(
        &self,
        drop: DropSigningKeyNow,
    ) -> Result<Option<DroppedSigningKey>, StoreError> {
        self.write(drop).await
    }

    /// All keys of this purpose, by number.
    pub async fn secrets(&self, purpose: &str) -> Result<Vec<SecretRow>, StoreError> {
        self.read(Secrets(purpose.to_owned())).await
    }

    /// False when another replica has added this number for this purpose: read again.
    pub async fn add_secret(&self, row: SecretRow) -> Result<bool, StoreError> {
        self.write(AddSecret(row)).await
    }

    /// Replaces the sealed value; false if it is no longer `old`.
    pub async fn replace_secret_value(
        &self,
        purpose: &str,
        number: i64,
        old: &Secret,
        new: &Secret,
    ) -> Result<bool, StoreError> {
        let resealed = Resealed { old: old.clone(), new: new.clone() };
        self.write(ReplaceSecretValue(purpose.to_owned(), number, resealed)).await
    }

    /// False when there was none.
    pub async fn drop_secret(&self, purpose: &str, number: i64) -> Result<bool, StoreError> {
        self.write(DropSecret(purpose.to_owned(), number)).await
    }

    /// Whether a live grant needs this MAC key or an older one. Older ones count, because a repeated response
    /// may have been made under a newer key than the one stored with the grant.
    pub async fn mac_key_in_use(&self, number: i64) -> Result<bool, StoreError> {
        self.read(MacKeyInUse(number)).await
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

struct SigningKeys;

impl Operation for SigningKeys {
    type Output = Vec<SigningKeyRow>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<SigningKeyRow>, StoreError> {
        let sql = "SELECT number, kid, algorithm, public_jwk, private_key, created_at, \
                   signs_from, longest_lifetime, access_tokens_only, superseded_at FROM signing_keys \
                   ORDER BY number";
        conn.select(sql, &[]).await?.iter().map(signing_key).collect()
    }
}

fn signing_key(row: &Row) -> Result<SigningKeyRow, StoreError> {
    let longest_lifetime = u64::try_from(row.int("longest_lifetime")?).unwrap_or(0);
    Ok(SigningKeyRow {
        number: row.int("number")?,
        kid: row.text("kid")?,
        algorithm: row.text("algorithm")?,
        public_jwk: row.text("public_jwk")?,
        private_key: row.text("private_key")?.into(),
        created_at: row.time("created_at")?,
        signs_from: row.time("signs_from")?,
        longest_lifetime: Duration::from_millis(longest_lifetime),
        access_tokens_only: row.int("access_tokens_only")? != 0,
        superseded_at: row.maybe_time("superseded_at")?,
    })
}

struct AddSigningKey(SigningKeyRow);

impl Operation for AddSigningKey {
    type Output = bool;
    const CHANGES: Option<Change> = Some(Change::Keys);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        insert_signing_key(conn, &self.0).await
    }
}

async fn insert_signing_key(conn: &mut Conn<'_>, key: &SigningKeyRow) -> Result<bool, StoreError> {
    let written = conn
        .execute(
            "INSERT INTO signing_keys (number, kid, algorithm, public_jwk, private_key, \
                 created_at, signs_from, longest_lifetime, access_tokens_only) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
            &[
                key.number.into(),
                (&key.kid).into(),
                (&key.algorithm).into(),
                (&key.public_jwk).into(),
                key.private_key.expose().into(),
                key.created_at.into(),
                key.signs_from.into(),
                millis(key.longest_lifetime).into(),
                key.access_tokens_only.into(),
            ],
        )
        .await?;
    Ok(written == 1)
}

struct RaiseTokenLifetime(i64);

impl Operation for RaiseTokenLifetime {
    type Output = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        conn.execute(
            "UPDATE signing_keys SET longest_lifetime = $1 WHERE longest_lifetime < $1",
            &[self.0.into()],
        )
        .await?;
        Ok(())
    }
}

/// Announced to no other replica: during a rolling update replicas with different configurations record and delete it
/// in turn, each when it renews its keys.
struct SetKeySuperseded(i64, Option<Timestamp>);

impl Operation for SetKeySuperseded {
    type Output = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        let number = self.0.into();
        match self.1 {
            Some(at) => {
                let sql = "UPDATE signing_keys SET superseded_at = $2 \
                           WHERE number = $1 AND superseded_at IS NULL";
                conn.execute(sql, &[number, at.into()]).await?;
            }
            None => {
                let sql = "UPDATE signing_keys SET superseded_at = NULL WHERE number = $1";
                conn.execute(sql, &[number]).await?;
            }
        }
        Ok(())
    }
}

/// The same key sealed under another root key; replaced only if no other process has done so.
struct Resealed {
    old: Secret,
    new: Secret,
}

struct ReplaceSigningKeyValue(i64, Resealed);

impl Operation for ReplaceSigningKeyValue {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let Self(number, Resealed { old, new }) = self;
        let sql = "UPDATE signing_keys SET private_key = $3 \
                   WHERE number = $1 AND private_key = $2";
        let values = [(*number).into(), old.expose().into(), new.expose().into()];
        Ok(conn.execute(sql, &values).await? == 1)
    }
}

struct DropSigningKey(i64);

impl Operation for DropSigningKey {
    type Output = bool;
    const CHANGES: Option<Change> = Some(Change::Keys);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = "DELETE FROM signing_keys WHERE number = $1";
        Ok(conn.execute(sql, &[self.0.into()]).await? == 1)
    }
}

struct Secrets(String);

impl Operation for Secrets {
    type Output = Vec<SecretRow>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<SecretRow>, StoreError> {
        let sql = "SELECT purpose, number, value, created_at FROM secrets \
                   WHERE purpose = $1 ORDER BY number";
        let rows = conn.select(sql, &[(&self.0).into()]).await?;
        rows.iter().map(secret).collect()
    }
}

fn secret(row: &Row) -> Result<SecretRow, StoreError> {
    Ok(SecretRow {
        purpose: row.text("purpose")?,
        number: row.int("number")?,
        value: row.text("value")?.into(),
        created_at: row.time("created_at")?,
    })
}

struct AddSecret(SecretRow);

impl Operation for AddSecret {
    type Output = bool;
    const CHANGES: Option<Change> = Some(Change::Keys);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let row = &self.0;
        let written = conn
            .execute(
                "INSERT INTO secrets (purpose, number, value, created_at) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                &[
                    (&row.purpose).into(),
                    row.number.into(),
                    row.value.expose().into(),
                    row.created_at.into(),
                ],
            )
            .await?;
        Ok(written == 1)
    }
}

struct ReplaceSecretValue(String, i64, Resealed);

impl Operation for ReplaceSecretValue {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let Self(purpose, number, Resealed { old, new }) = self;
        let sql = "UPDATE secrets SET value = $4 \
                   WHERE purpose = $1 AND number = $2 AND value = $3";
        let values = [purpose.into(), (*number).into(), old.expose().into(), new.expose().into()];
        Ok(conn.execute(sql, &values).await? == 1)
    }
}

struct DropSecret(String, i64);

impl Operation for DropSecret {
    type Output = bool;
    const CHANGES: Option<Change> = Some(Change::Keys);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = "DELETE FROM secrets WHERE purpose = $1 AND number = $2";
        Ok(conn.execute(sql, &[(&self.0).into(), self.1.into()]).await? == 1)
    }
}

struct MacKeyInUse(i64);

impl Operation for MacKeyInUse {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM grants \
                   WHERE refreshable = 1 AND ended_at IS NULL AND mac_key <= $1 LIMIT 1";
        Ok(conn.select_one(sql, &[self.0.into()]).await?.is_some())
    }
}
