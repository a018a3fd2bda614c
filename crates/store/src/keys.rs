//! Signing keys, and the sealing and MAC keys. Private parts come sealed and leave sealed.

use std::time::Duration;

use countersign_core::{Secret, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::{Store, StoreError};

/// A key pair that signs, will sign, or has signed.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Unique: of two replicas that make the next key at once, one succeeds.
    pub number: i64,
    pub kid: String,
    pub algorithm: String,
    pub public_jwk: String,
    /// Sealed under the root key where there is one.
    pub private_key: Secret,
    pub created_at: Timestamp,
    pub signs_from: Timestamp,
    /// The longest token lifetime that was ever configured while it was known.
    pub longest_lifetime: Duration,
}

/// A symmetric key for one purpose; the highest number is the newest.
#[derive(Clone, Debug)]
pub struct SecretRow {
    pub purpose: String,
    pub number: i64,
    /// Sealed under the root key where there is one.
    pub value: Secret,
    pub created_at: Timestamp,
}

impl Store {
    /// All of them, by number.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, StoreError> {
        self.read(SigningKeys).await
    }

    /// False when the number or the kid is taken: somebody else was first, read again.
    pub async fn add_signing_key(&self, row: SigningKeyRow) -> Result<bool, StoreError> {
        self.write(AddSigningKey(row)).await
    }

    /// Every known key is kept at least as long as tokens of this lifetime need it.
    pub async fn raise_token_lifetime(&self, longest: Duration) -> Result<(), StoreError> {
        self.write(RaiseTokenLifetime(millis(longest))).await
    }

    /// Seals a key anew: true when `old` was still its private part, and `new` is now.
    pub async fn replace_signing_key_value(
        &self,
        number: i64,
        old: &Secret,
        new: &Secret,
    ) -> Result<bool, StoreError> {
        let resealed = Resealed { old: old.clone(), new: new.clone() };
        self.write(ReplaceSigningKeyValue(number, resealed)).await
    }

    /// True when it was there.
    pub async fn drop_signing_key(&self, number: i64) -> Result<bool, StoreError> {
        self.write(DropSigningKey(number)).await
    }

    /// All of this purpose, by number.
    pub async fn secrets(&self, purpose: &str) -> Result<Vec<SecretRow>, StoreError> {
        self.read(Secrets(purpose.to_owned())).await
    }

    /// False when the number is taken for this purpose: somebody else was first, read again.
    pub async fn add_secret(&self, row: SecretRow) -> Result<bool, StoreError> {
        self.write(AddSecret(row)).await
    }

    /// Seals a secret anew: true when `old` was still its value, and `new` is now.
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

    /// True when it was there.
    pub async fn drop_secret(&self, purpose: &str, number: i64) -> Result<bool, StoreError> {
        self.write(DropSecret(purpose.to_owned(), number)).await
    }

    /// Does a live grant need this MAC key, or an older one? An older one counts, because a
    /// repeated answer may have been made under a younger key than the grant remembers.
    pub async fn mac_key_in_use(&self, number: i64) -> Result<bool, StoreError> {
        self.read(MacKeyInUse(number)).await
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

struct SigningKeys;

impl Operation for SigningKeys {
    type Answer = Vec<SigningKeyRow>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<SigningKeyRow>, StoreError> {
        let sql = "SELECT number, kid, algorithm, public_jwk, private_key, created_at, \
                   signs_from, longest_lifetime FROM signing_keys ORDER BY number";
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
    })
}

struct AddSigningKey(SigningKeyRow);

impl Operation for AddSigningKey {
    type Answer = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let key = &self.0;
        let written = conn
            .execute(
                "INSERT INTO signing_keys (number, kid, algorithm, public_jwk, private_key, \
                 created_at, signs_from, longest_lifetime) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                &[
                    key.number.into(),
                    (&key.kid).into(),
                    (&key.algorithm).into(),
                    (&key.public_jwk).into(),
                    key.private_key.expose().into(),
                    key.created_at.into(),
                    key.signs_from.into(),
                    millis(key.longest_lifetime).into(),
                ],
            )
            .await?;
        Ok(written == 1)
    }
}

struct RaiseTokenLifetime(i64);

impl Operation for RaiseTokenLifetime {
    type Answer = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        conn.execute(
            "UPDATE signing_keys SET longest_lifetime = $1 WHERE longest_lifetime < $1",
            &[self.0.into()],
        )
        .await?;
        Ok(())
    }
}

/// The same key under another root key. Whoever was faster, or rotated meanwhile, is not undone.
struct Resealed {
    old: Secret,
    new: Secret,
}

struct ReplaceSigningKeyValue(i64, Resealed);

impl Operation for ReplaceSigningKeyValue {
    type Answer = bool;
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
    type Answer = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = "DELETE FROM signing_keys WHERE number = $1";
        Ok(conn.execute(sql, &[self.0.into()]).await? == 1)
    }
}

struct Secrets(String);

impl Operation for Secrets {
    type Answer = Vec<SecretRow>;
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
    type Answer = bool;
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
    type Answer = bool;
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
    type Answer = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = "DELETE FROM secrets WHERE purpose = $1 AND number = $2";
        Ok(conn.execute(sql, &[(&self.0).into(), self.1.into()]).await? == 1)
    }
}

struct MacKeyInUse(i64);

impl Operation for MacKeyInUse {
    type Answer = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM grants \
                   WHERE refreshable = 1 AND ended_at IS NULL AND mac_key <= $1 LIMIT 1";
        Ok(conn.select_one(sql, &[self.0.into()]).await?.is_some())
    }
}
