//! Sealing and MAC keys in the database, and sealing them and the private parts of our own signing keys.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::{Secret, Timestamp};
use countersign_jose::{Algorithm, JoseError, KeyPair, RootKeys, Signer};
use countersign_store::{SecretRow, SigningKeyRow, Store};

use super::Signing;
use super::sequence::PlannedKey;
use super::token_signer::{TokenSigner, run_blocking};
use crate::{IssuerError, Settings};

pub(super) const REFRESH_MAC: &str = "refresh-token";
/// The name in the database is that of the first version.
pub(super) const LOGIN_STATE: &str = "envelope";
const SIGNING_KEY: &str = "signing-key";

const SECRET_PERIOD: Duration = Duration::from_hours(30 * 24);
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

/// Deletes the secrets whose successor is older than [`SECRET_PERIOD`], but no MAC key that a grant still uses.
pub(super) async fn delete_superseded(store: &Store, now: Timestamp) -> Result<(), IssuerError> {
    for purpose in [REFRESH_MAC, LOGIN_STATE] {
        let rows = store.secrets(purpose).await?;
        for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
            let superseded = now.since(next.created_at) > SECRET_PERIOD;
            let in_use = purpose == REFRESH_MAC && store.mac_key_in_use(row.number).await?;
            if superseded && !in_use {
                store.drop_secret(purpose, row.number).await?;
            }
        }
    }
    Ok(())
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

/// A new key of our own, its private part sealed.
pub(super) async fn new_key(
    root: &RootKeys,
    settings: &Settings,
    planned: PlannedKey,
    now: Timestamp,
) -> Result<SigningKeyRow, IssuerError> {
    let PlannedKey { number, signs_from, sequence } = planned;
    let algorithm = sequence.algorithm;
    let pair = run_blocking(move || KeyPair::generate(algorithm)).await??;
    Ok(SigningKeyRow {
        number,
        kid: pair.kid,
        algorithm: algorithm.as_str().to_owned(),
        public_jwk: pair.public_jwk,
        private_key: root.seal(SIGNING_KEY, pair.private_key.expose().as_bytes())?.into(),
        created_at: now,
        signs_from,
        longest_lifetime: settings.longest_token_lifetime(),
        superseded_at: None,
        access_tokens_only: sequence.access_tokens_only,
    })
}

/// A stored key of our own that can sign.
pub(super) fn opened(root: &RootKeys, row: &SigningKeyRow) -> Result<Signing, IssuerError> {
    let private_key = unsealed(root, SIGNING_KEY, &row.private_key)?;
    let algorithm = Algorithm::parse(&row.algorithm).ok_or_else(|| {
        IssuerError::Broken(format!("signing key {} has an unknown algorithm", row.number))
    })?;
    let signer = Signer::new(&row.kid, algorithm, &private_key)?;
    Ok(Signing {
        signs_from: row.signs_from,
        signer: TokenSigner::Local(Arc::new(signer)),
        access_tokens_only: row.access_tokens_only,
    })
}

/// Seals the private part of an imported signing key.
pub fn seal_signing_key(root: &RootKeys, key: &Secret) -> Result<Secret, IssuerError> {
    Ok(root.seal(SIGNING_KEY, key.expose().as_bytes())?.into())
}
