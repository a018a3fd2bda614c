//! Sealing and MAC keys in the database, and sealing what is stored.

use std::time::Duration;

use countersign_core::{Secret, Timestamp};
use countersign_jose::{JoseError, RootKeys};
use countersign_store::{SecretRow, Store};

use crate::IssuerError;

pub(super) const REFRESH_MAC: &str = "refresh-token";
/// The name in the database is that of the first version.
pub(super) const LOGIN_STATE: &str = "envelope";
pub(super) const SIGNING_KEY: &str = "signing-key";

pub(super) const SECRET_PERIOD: Duration = Duration::from_hours(30 * 24);
/// A new secret is used only after this time, so that every replica has read it.
const SECRET_SETTLES: Duration = Duration::from_mins(10);

/// Seals secrets and keys that are stored unsealed, or under an older root key, under the first root key.
pub(super) async fn reseal(store: &Store, root: &RootKeys) -> Result<(), IssuerError> {
    if root.is_none() {
        return Ok(());
    }
    let again = |purpose: &str, value: &Secret| -> Result<Secret, IssuerError> {
        let plain = unsealed(root, purpose, value)?;
        Ok(root.seal(purpose, plain.expose().as_bytes())?.into())
    };
    for row in store.signing_keys().await? {
        if !root.is_current(row.private_key.expose()) {
            let new = again(SIGNING_KEY, &row.private_key)?;
            store.replace_signing_key_value(row.number, &row.private_key, &new).await?;
        }
    }
    for purpose in [REFRESH_MAC, LOGIN_STATE] {
        for row in store.secrets(purpose).await? {
            if !root.is_current(row.value.expose()) {
                let new = again(purpose, &row.value)?;
                store.replace_secret_value(purpose, row.number, &row.value, &new).await?;
            }
        }
    }
    Ok(())
}

pub(super) struct Usable {
    number: i64,
    value: Secret,
    pub(super) settled: bool,
}

impl Usable {
    pub(super) fn numbered(&self) -> (i64, Secret) {
        (self.number, self.value.clone())
    }
}

/// The secrets of a purpose, after generating the one that is due.
pub(super) async fn secrets(
    store: &Store,
    root: &RootKeys,
    purpose: &'static str,
    now: Timestamp,
    generate: impl Fn() -> Result<Secret, JoseError>,
) -> Result<Vec<Usable>, IssuerError> {
    let mut rows = store.secrets(purpose).await?;
    let last = rows.last();
    if last.is_none_or(|row| now.since(row.created_at) >= SECRET_PERIOD) {
        let row = SecretRow {
            purpose: purpose.to_owned(),
            number: last.map_or(1, |row| row.number + 1),
            value: root.seal(purpose, generate()?.expose().as_bytes())?.into(),
            created_at: now,
        };
        store.add_secret(row).await?;
        rows = store.secrets(purpose).await?;
    }
    let first = rows.first().map(|row| row.number);
    let usable = |row: &SecretRow| {
        Ok(Usable {
            number: row.number,
            value: unsealed(root, purpose, &row.value)?,
            settled: first == Some(row.number) || now.since(row.created_at) >= SECRET_SETTLES,
        })
    };
    rows.iter().map(usable).collect()
}

pub(super) fn unsealed(
    root: &RootKeys,
    purpose: &str,
    sealed: &Secret,
) -> Result<Secret, IssuerError> {
    let bytes = root.open(purpose, sealed.expose()).map_err(|e| {
        IssuerError::Broken(format!("a {purpose} in the database cannot be opened: {e}"))
    })?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| IssuerError::Broken(format!("a {purpose} in the database is not text")))?;
    Ok(Secret::new(text))
}
