//! The succession of signing keys: when the next one must be generated, until when one signs, and how long an old one
//! is kept for verifying. Both are recorded with the keys, and expired keys are deleted.

use countersign_core::Timestamp;
use countersign_jose::Algorithm;
use countersign_store::{SigningKeyRow, Store};

use super::{KEPT_AFTER, PUBLISHED_BEFORE};
use crate::{IssuerError, Settings};

/// A series of keys, each of which succeeds the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeySequence {
    pub(super) algorithm: Algorithm,
    pub(super) access_tokens_only: bool,
}

/// A key to be generated.
#[derive(Clone, Copy)]
pub(super) struct PlannedKey {
    pub(super) number: i64,
    pub(super) signs_from: Timestamp,
    pub(super) sequence: KeySequence,
}

impl KeySequence {
    /// The sequences that the configuration requires; that of ID tokens comes first.
    pub(super) fn all(settings: &Settings) -> Vec<Self> {
        let all = Self::of_id_tokens(settings);
        let access = settings.access_token_algorithm();
        let access = access.map(|algorithm| Self { algorithm, access_tokens_only: true });
        [Some(all), access].into_iter().flatten().collect()
    }

    /// Number and `signs_from` of the key that must be generated now, if any. All sequences share one series of
    /// numbers.
    pub(super) fn due(
        self,
        rows: &[SigningKeyRow],
        settings: &Settings,
        now: Timestamp,
    ) -> Option<(i64, Timestamp)> {
        let number = rows.last().map_or(1, |row| row.number + 1);
        let Some(last) = self.last(rows) else {
            let signs_from = if rows.is_empty() { now } else { now + PUBLISHED_BEFORE };
            return Some((number, signs_from));
        };
        let ends = last.signs_from + settings.key_period;
        let other_algorithm = last.algorithm != self.algorithm.as_str() && last.signs_from <= now;
        (other_algorithm || now + PUBLISHED_BEFORE >= ends)
            .then(|| (number, (now + PUBLISHED_BEFORE).max(last.signs_from)))
    }

    pub(super) const fn of_id_tokens(settings: &Settings) -> Self {
        Self { algorithm: settings.algorithm, access_tokens_only: false }
    }

    /// The newest key of this sequence.
    pub(super) fn last(self, rows: &[SigningKeyRow]) -> Option<&SigningKeyRow> {
        rows.iter().rfind(|row| row.access_tokens_only == self.access_tokens_only)
    }

    pub(super) const fn key(self, number: i64, signs_from: Timestamp) -> PlannedKey {
        PlannedKey { number, signs_from, sequence: self }
    }
}

/// The numbers of the keys whose last token has expired. What decides is stored with the keys: the settings may have
/// been others when the tokens were signed.
pub(super) fn expired_keys(
    rows: &[SigningKeyRow],
    settings: &Settings,
    now: Timestamp,
) -> Vec<i64> {
    let expired = |row: &&SigningKeyRow| {
        let is_needed = successor(rows, row).is_none() && !is_unneeded(row, settings);
        let last_signature = signs_until(rows, row).filter(|_| !is_needed);
        last_signature.is_some_and(|last| now > last + row.longest_lifetime + KEPT_AFTER)
    };
    rows.iter().filter(expired).map(|row| row.number).collect()
}

/// From when the key signs no more: its successor does, or it was recorded because the settings in use need none.
pub(crate) fn signs_until(rows: &[SigningKeyRow], row: &SigningKeyRow) -> Option<Timestamp> {
    successor(rows, row).map_or(row.superseded_at, |next| Some(next.signs_from))
}

/// The settings have no use for the sequence of this key: another service signs, or `signer.accessTokenAlgorithm` was
/// removed.
pub(crate) fn is_unneeded(row: &SigningKeyRow, settings: &Settings) -> bool {
    let without_access_tokens = settings.access_token_algorithm().is_none();
    (row.access_tokens_only && without_access_tokens) || settings.external_signer.is_some()
}

/// Until when the keys of our own sign ID tokens after another service was configured, so that its key has been
/// published for an hour before it signs. `None` if there is no such key.
pub(super) fn own_keys_sign_until(rows: &[SigningKeyRow], now: Timestamp) -> Option<Timestamp> {
    let last = rows.iter().rfind(|row| !row.access_tokens_only)?;
    Some(last.superseded_at.unwrap_or(now + PUBLISHED_BEFORE))
}

/// The next key of the same sequence.
pub(crate) fn successor<'a>(
    rows: &'a [SigningKeyRow],
    row: &SigningKeyRow,
) -> Option<&'a SigningKeyRow> {
    let same_use = |other: &&SigningKeyRow| other.access_tokens_only == row.access_tokens_only;
    rows.iter().filter(same_use).find(|other| other.number > row.number)
}

/// Records from when the keys that these settings have no use for sign no more. Called only with the settings in use,
/// every 30 seconds: during a rolling update a replica whose settings need the key deletes in [`keep_needed`] what
/// another has recorded here, so that the instant that stays is later than the last signature.
pub(super) async fn record_superseded(
    store: &Store,
    settings: &Settings,
    now: Timestamp,
) -> Result<(), IssuerError> {
    let rows = store.signing_keys().await?;
    for row in rows.iter().filter(|row| is_unneeded(row, settings)) {
        // Keys of our own sign ID tokens until the key of the other service has been published for an hour.
        let ends = if row.access_tokens_only { now } else { now + PUBLISHED_BEFORE };
        if row.superseded_at.is_none() {
            store.set_key_superseded(row.number, Some(ends)).await?;
        }
    }
    Ok(())
}

/// Has every key kept that these settings need, and for as long as they need it: another replica may have recorded that
/// one signs no more, or have added one with shorter lifetimes. Called only with the settings in use.
pub(super) async fn keep_needed(store: &Store, settings: &Settings) -> Result<(), IssuerError> {
    let rows = store.signing_keys().await?;
    for row in rows.iter().filter(|row| !is_unneeded(row, settings)) {
        if row.superseded_at.is_some() {
            store.set_key_superseded(row.number, None).await?;
        }
    }
    let longest = settings.longest_token_lifetime();
    if rows.iter().any(|row| row.longest_lifetime < longest) {
        store.raise_token_lifetime(longest).await?;
    }
    Ok(())
}

/// Deletes keys whose longest-lived token has expired. Called only with the settings in use.
pub(super) async fn delete_expired(
    store: &Store,
    settings: &Settings,
    now: Timestamp,
) -> Result<(), IssuerError> {
    store.drop_imported_keys(now - KEPT_AFTER).await?;
    for number in expired_keys(&store.signing_keys().await?, settings, now) {
        store.drop_signing_key(number).await?;
    }
    Ok(())
}
