//! Signing keys for an administrator: lists them, publishes the next one early, and drops a compromised one.

use countersign_core::Timestamp;
use countersign_store::SigningKeyRow;
use serde::{Deserialize, Serialize};

use super::Administrator;
use super::view::{KeyView, RotationView, rfc3339};
use crate::keyring::{ExternalVersion, KEPT_AFTER, KeyToDrop, is_unneeded, signs_until, successor};
use crate::{Issuer, IssuerError};

/// Which relying parties keep accepting a dropped key; reported with every drop.
pub const KEY_DROP_BEYOND: &str = "Other replicas drop the key within 30 s. Whoever has fetched it keeps it: a \
    Kubernetes API server until it is restarted or its authentication configuration is reloaded, other clients \
    until they fetch /keys again (max-age, 5 min).";

/// What dropping a key now would cause.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyDropPreviewView {
    pub key: KeyView,
    /// Latest expiry of the tokens signed with it, all of which become invalid; absent when it has signed none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_until: Option<String>,
    /// The key that signs afterwards, or the name of the service that keeps it while that does not answer. Absent: a
    /// new key, which no client has fetched yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_kid: Option<String>,
    /// See [`KEY_DROP_BEYOND`].
    pub beyond: String,
}

/// The result of dropping a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyDropView {
    pub number: i64,
    pub kid: String,
    /// The key that signs from now on, or the name of the service that keeps it while that does not answer.
    pub signing_kid: String,
    /// True when a new key was generated, because no successor was published.
    pub made: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_until: Option<String>,
    pub beyond: String,
}

impl Issuer {
    /// Signing keys as stored in the database, by number, newest first; before them those of a service that keeps the
    /// signing key.
    pub async fn signing_keys(&self) -> Result<Vec<KeyView>, IssuerError> {
        let rows = self.store.signing_keys().await?;
        let now = self.now();
        let own = rows.iter().map(|row| self.own_key(&rows, row, now));
        Ok(self.keys_of_signer(now).into_iter().chain(own.rev()).collect())
    }

    /// The versions of the key that another service keeps, newest first; empty if the keys are our own.
    fn keys_of_signer(&self, now: Timestamp) -> Vec<KeyView> {
        let (keys, Some(signer)) = (self.keyring.keys(), &self.settings.external_signer) else {
            return Vec::new();
        };
        let signing = keys.signing_kid(now);
        let versions = keys.external_versions().unwrap_or_default().iter().rev();
        let state = |version: &ExternalVersion| {
            if Some(version.key.kid()) == signing.as_deref() {
                "signing"
            } else if version.may_sign && keys.version_signs_from(version) > now {
                "next"
            } else {
                "retired"
            }
        };
        let view = |version: &ExternalVersion| KeyView {
            number: version.number,
            kid: version.key.kid().to_owned(),
            algorithm: version.key.algorithm().as_str().to_owned(),
            access_tokens_only: false,
            signer: Some(signer.name().to_owned()),
            state: state(version).to_owned(),
            created: version.created_at.to_string(),
            signs_from: keys.version_signs_from(version).to_string(),
            drops_at: None,
        };
        versions.map(view).collect()
    }

    /// A stored key. One that the configuration has no use for any more, because another service signs, verifies until
    /// its last token has expired.
    fn own_key(&self, rows: &[SigningKeyRow], row: &SigningKeyRow, now: Timestamp) -> KeyView {
        let shown = view(row, successor(rows, row), now);
        if !is_unneeded(row, &self.settings) {
            return shown;
        }
        let signing = self.keyring.keys().signing_kid(now);
        let state = if signing.as_deref() == Some(row.kid.as_str()) {
            "signing"
        } else if row.signs_from > now {
            "next"
        } else {
            "retired"
        };
        let until = signs_until(rows, row).filter(|_| state == "retired");
        let drops_at = rfc3339(until.map(|until| until + row.longest_lifetime + KEPT_AFTER));
        KeyView { state: state.to_owned(), drops_at, ..shown }
    }

    /// `Err` if another service keeps the signing key; `way` is what to do there.
    fn require_own_keys(&self, way: impl Fn(&str) -> String) -> Result<(), IssuerError> {
        let Some(signer) = &self.settings.external_signer else { return Ok(()) };
        let (name, way) = (signer.name(), way(signer.rotation()));
        Err(IssuerError::KeyOfSigner(format!("The signing key is kept by {name}. {way}")))
    }

    /// Publishes the next key now. It signs an hour later, after clients have had time to fetch it; the present key is
    /// dropped after the last token signed with it has expired.
    pub async fn rotate_keys(&self, who: &Administrator) -> Result<RotationView, IssuerError> {
        self.require_own_keys(|rotation| {
            format!(
                "Rotate it there: {rotation}. The new version is published here within 30 s and signs an hour after it \
                 was made."
            )
        })?;
        self.keyring
            .publish_next(&self.store, &self.root, &self.settings, self.now(), &who.as_actor())
            .await
    }

    /// The stored key with this number or `kid`. While another service keeps the signing key, a number is that of a
    /// version there, so that a stored key is named by its `kid` alone.
    ///
    /// # Errors
    /// It is, or may be, a version of the other service, which is dropped there.
    fn stored_key<'a>(
        &self,
        rows: &'a [SigningKeyRow],
        key: &str,
    ) -> Result<Option<&'a SigningKeyRow>, IssuerError> {
        let number: Option<i64> = key.parse().ok();
        let keys = self.keyring.keys();
        let mut versions = keys.external_versions().unwrap_or_default().iter();
        if number.is_some() || versions.any(|version| version.key.kid() == key) {
            self.require_own_keys(|rotation| {
                format!(
                    "Rotate it there ({rotation}), wait until the new version is published here (30 s), then raise \
                     min_encryption_version and min_decryption_version of the key to the new version: older ones then \
                     sign no more, and are no longer published. A key that was made here is dropped by its kid."
                )
            })?;
        }
        Ok(rows.iter().find(|row| match number {
            Some(number) => row.number == number,
            None => row.kid == key,
        }))
    }

    /// What [`Issuer::drop_key`] would cause now; `None` when there is no such key. `key` is a number or a `kid`.
    pub async fn preview_drop_key(
        &self,
        key: &str,
    ) -> Result<Option<KeyDropPreviewView>, IssuerError> {
        let (rows, now) = (self.store.signing_keys().await?, self.now());
        let Some(row) = self.stored_key(&rows, key)? else { return Ok(None) };
        let number = row.number;
        // The same choice as in `Store::drop_signing_key_now`.
        let of_use = |access_tokens_only: bool| {
            rows.iter().filter(move |other| other.access_tokens_only == access_tokens_only)
        };
        let same_use = || of_use(row.access_tokens_only);
        let signing = same_use().rfind(|other| other.signs_from <= now);
        let instead = match row.access_tokens_only {
            true => of_use(false).rfind(|other| other.signs_from <= now),
            false => None,
        };
        let after = match signing {
            Some(signing) if signing.number != number => Some(signing),
            _ => same_use()
                .find(|other| other.signs_from > now && other.number != number)
                .or(instead),
        };
        let external = self.keyring.signs_after_drop(&self.settings, &row.kid, now);
        Ok(Some(KeyDropPreviewView {
            key: self.own_key(&rows, row, now),
            tokens_until: rfc3339(tokens_until(row, signs_until(&rows, row), now)),
            signing_kid: external.or_else(|| after.map(|row| row.kid.clone())),
            beyond: KEY_DROP_BEYOND.to_owned(),
        }))
    }

    /// Deletes a compromised signing key: tokens signed with it are no longer accepted here. `None` when there is no
    /// such key. `key` is a number or a `kid`; while another service keeps the signing key, the `kid` of a key that was
    /// made here.
    pub async fn drop_key(
        &self,
        who: &Administrator,
        key: &str,
    ) -> Result<Option<KeyDropView>, IssuerError> {
        let Some(preview) = self.preview_drop_key(key).await? else { return Ok(None) };
        let (number, kid) = (preview.key.number, preview.key.kid);
        let key = KeyToDrop { kid: &kid, by: who.as_actor(), now: self.now() };
        let dropped = self.keyring.drop_now(&self.store, &self.root, &self.settings, key).await?;
        let Some(dropped) = dropped else { return Ok(None) };
        tracing::warn!(
            event = "key_dropped",
            number,
            kid,
            actor = who.actor(),
            address = who.address(),
            signing_kid = dropped.signing_kid,
            "a signing key was dropped by an administrator"
        );
        Ok(Some(KeyDropView {
            number,
            kid,
            signing_kid: dropped.signing_kid,
            made: dropped.successor_added,
            tokens_until: preview.tokens_until,
            beyond: preview.beyond,
        }))
    }
}

/// Latest expiry of a token that the key, which signs until then, may have signed; if it is in the future.
fn tokens_until(
    row: &SigningKeyRow,
    signs_until: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    if row.signs_from > now {
        return None;
    }
    let last_signature = signs_until.map_or(now, |until| until.min(now));
    Some(last_signature + row.longest_lifetime).filter(|until| *until > now)
}

fn view(row: &SigningKeyRow, next: Option<&SigningKeyRow>, now: Timestamp) -> KeyView {
    let superseded = next.filter(|next| next.signs_from <= now);
    let state = match superseded {
        Some(_) => "retired",
        None if row.signs_from > now => "next",
        None => "signing",
    };
    let drops_at = superseded.map(|next| next.signs_from + row.longest_lifetime + KEPT_AFTER);
    KeyView {
        number: row.number,
        kid: row.kid.clone(),
        algorithm: row.algorithm.clone(),
        access_tokens_only: row.access_tokens_only,
        signer: None,
        state: state.to_owned(),
        created: row.created_at.to_string(),
        signs_from: row.signs_from.to_string(),
        drops_at: rfc3339(drops_at),
    }
}
