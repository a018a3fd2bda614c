//! The keys of this issuer: which one signs, which are published, and when the next one is generated.
//!
//! Replicas agree through the database: keys are numbered, each number is used once, and the signing key at an instant
//! is the one with the greatest number whose `signs_from` has passed. All keys are served from memory; no request reads
//! them from the database.

mod by_administrator;
mod external;
mod secrets;
mod sequence;
mod token_signer;

pub use by_administrator::RotationView;
use external::ExternalKeys;
pub(crate) use external::ExternalVersion;
pub use external::check_external_signer;
pub use secrets::seal_signing_key;
use secrets::{
    LOGIN_STATE, REFRESH_MAC, Usable, delete_superseded, new_key, opened, reseal, secrets,
};
use sequence::{KeySequence, delete_expired, keep_needed, own_keys_sign_until, record_superseded};
pub(crate) use sequence::{is_unneeded, signs_until, successor};
use token_signer::SigningThreads;
pub(crate) use token_signer::{SigningTurn, TokenSigner};

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_core::event::EventKind;
use countersign_core::{Actor, Event, Timestamp};
use countersign_jose::{
    Algorithm, Claims, Expected, MacKeys, RootKeys, SealingKeys, Verifiers, key_set,
};
use countersign_store::{ImportedKey, SigningKeyRow, Store};
use tokio::sync::Mutex;

use crate::discovery::{Discovery, PublishedDocument};
use crate::{IssuerError, Settings};

/// A key is published this long before it signs: API servers do not fetch the key set again before `max-age` expires.
const PUBLISHED_BEFORE: Duration = Duration::from_hours(1);
/// A key is kept this long after the last token it signed has expired.
pub(crate) const KEPT_AFTER: Duration = Duration::from_mins(10);
/// A replica that last read the keys from the database longer ago than this reports itself as not ready.
const STALE_AFTER: Duration = Duration::from_mins(30);

/// The current keys; they are replaced as a whole when they are read again.
pub struct Keyring {
    keys: RwLock<Arc<Keys>>,
    /// Held while the keys are read from the database, so that keys read earlier never replace keys read later. It
    /// contains the number of the newest request to the service that keeps the signing key whose result is in use.
    reading: Mutex<u64>,
    /// The number of requests to that service so far.
    service_requests: AtomicU64,
    pub(crate) signing_threads: SigningThreads,
}

/// The keys as read from the database at `read_at`.
pub struct Keys {
    signing: Vec<Signing>,
    /// The key that another service keeps, if it is that which signs.
    external: Option<Arc<ExternalKeys>>,
    /// Until then keys of our own sign although another service is configured.
    own_keys_sign_until: Option<Timestamp>,
    /// `signer.accessTokenAlgorithm`, if access tokens are signed with another algorithm than ID tokens.
    access_token_algorithm: Option<Algorithm>,
    pub verifiers: Verifiers,
    /// The subset of `verifiers` that was imported from Dex.
    imported: Verifiers,
    imported_at: Option<Timestamp>,
    /// The document of `/keys`.
    pub key_set: PublishedDocument,
    /// The document of `/.well-known/openid-configuration`, which names the algorithms of these keys.
    pub metadata: PublishedDocument,
    /// All refresh token MAC keys; the newest may be too young to be used.
    pub mac: MacKeys,
    /// The subset of `mac` that is old enough to issue refresh tokens.
    pub mac_settled: MacKeys,
    /// Keys that open values sealed to a browser; `sealing_settled` is the subset old enough to seal new ones.
    pub sealing: SealingKeys,
    pub sealing_settled: SealingKeys,
    read_at: Timestamp,
}

/// The key to drop, who drops it and when.
pub(crate) struct KeyToDrop<'a> {
    pub(crate) kid: &'a str,
    pub(crate) by: Actor,
    pub(crate) now: Timestamp,
}

struct Signing {
    signs_from: Timestamp,
    signer: TokenSigner,
    access_tokens_only: bool,
}

impl Keys {
    /// The key that signs now.
    pub(crate) fn signer(&self, now: Timestamp) -> Result<TokenSigner, IssuerError> {
        let due = self.for_id_tokens().rev().find(|key| key.signs_from <= now);
        // If this clock is behind that of the database: use the oldest published key, which all clients have fetched.
        let key = due.or(self.for_id_tokens().next());
        key.map(|key| key.signer.clone()).ok_or_else(|| match &self.external {
            Some(external) => external.error(),
            None => IssuerError::Broken("no signing key is loaded".to_owned()),
        })
    }

    /// The key that signs access tokens now: one of `signer.accessTokenAlgorithm` once it has been published for an
    /// hour, else [`Keys::signer`].
    pub(crate) fn access_token_signer(&self, now: Timestamp) -> Result<TokenSigner, IssuerError> {
        let algorithm = self.access_token_algorithm;
        let is_due = |key: &&Signing| {
            key.access_tokens_only
                && key.signs_from <= now
                && Some(key.signer.algorithm()) == algorithm
        };
        match self.signing.iter().rev().find(is_due) {
            Some(key) => Ok(key.signer.clone()),
            None => self.signer(now),
        }
    }

    fn for_id_tokens(&self) -> impl DoubleEndedIterator<Item = &Signing> {
        for_id_tokens(&self.signing)
    }

    /// The algorithms of the published keys that sign ID tokens, without duplicates.
    pub fn algorithms(&self) -> Vec<&'static str> {
        algorithms(&self.signing)
    }

    /// The claims of a token that Dex signed before its keys were imported. Dex uses one format for ID and access
    /// tokens. Tokens that Countersign signed with an imported key since then are refused.
    pub fn verify_imported(&self, token: &str, expected: &Expected<'_>) -> Option<Claims> {
        let imported_at = self.imported_at?;
        let claims = self.imported.verify(token, expected).ok()?;
        let issued_at = claims.number("iat")?;
        (issued_at < imported_at.secs()).then_some(claims)
    }

    /// The keys have not been read from the database for too long, or no version is known of the key that another
    /// service keeps, so this replica is not ready. Versions that were read long ago still verify, so they do not
    /// count.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let external = self.external.as_ref();
        now.since(self.read_at) > STALE_AFTER
            || external.is_some_and(|keys| keys.versions.is_empty())
    }

    /// Why the service that keeps the signing key did not sign, or did not name its versions, the last time; `None` if
    /// it did, or if the keys are our own.
    pub fn signer_problem(&self) -> Option<String> {
        self.external.as_ref().and_then(|keys| keys.problem())
    }

    /// The `kid` of the key that signs ID tokens now.
    pub(crate) fn signing_kid(&self, now: Timestamp) -> Option<String> {
        self.signer(now).ok().map(|signer| signer.kid().to_owned())
    }

    /// `Err` with the reason why no token could be signed at all, now or, if another service is to sign, by that.
    pub fn check_signer(&self, now: Timestamp) -> Result<(), IssuerError> {
        match &self.external {
            Some(external) if !external.can_sign() => Err(external.error()),
            _ => self.signer(now).map(|_| ()),
        }
    }

    /// The versions of the key that another service keeps; `None` if the keys are our own.
    pub(crate) fn external_versions(&self) -> Option<&[ExternalVersion]> {
        self.external.as_ref().map(|keys| keys.versions.as_slice())
    }

    /// When this version signs, if no newer one does.
    pub(crate) fn version_signs_from(&self, version: &ExternalVersion) -> Timestamp {
        let signs_from = version.signs_from();
        self.own_keys_sign_until.map_or(signs_from, |until| signs_from.max(until))
    }
}

impl Keyring {
    /// Reads the keys, and generates the first ones if the database is empty. Returns an error and changes nothing when
    /// the root key cannot open the stored keys. If the signing key is kept by another service, that service need not
    /// answer now: see [`Keys::check_signer`]. Drops no key, because the settings may still be refused:
    /// [`Keyring::renew`] does, once they are in use.
    pub async fn open(
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Self, IssuerError> {
        let external = ExternalKeys::read(settings, None, now).await;
        if let Some(external) = &external {
            external.log_changes(None);
        }
        let keys = read(store, root, settings, now, external).await?;
        // Only after all stored keys could be opened: a wrong root key changes nothing.
        reseal(store, root).await?;
        store.raise_token_lifetime(settings.longest_token_lifetime()).await?;
        Ok(Self {
            keys: RwLock::new(Arc::new(keys)),
            reading: Mutex::default(),
            service_requests: AtomicU64::default(),
            signing_threads: SigningThreads::default(),
        })
    }

    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Drops the keys whose tokens have expired, then reads the keys again, those of another service included. Called
    /// when the settings come into use and every 30 seconds, by a server only: which keys are still needed is decided by
    /// its settings.
    pub async fn renew(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(), IssuerError> {
        keep_needed(store, settings).await?;
        record_superseded(store, settings, now).await?;
        delete_expired(store, settings, now).await?;
        delete_superseded(store, now).await?;
        // Before the lock is acquired: a service that does not answer must not delay the drop of a leaked key.
        let request = self.service_requests.fetch_add(1, Ordering::Relaxed) + 1;
        let found = ExternalKeys::read(settings, self.keys().external.clone(), now).await;
        let mut newest = self.reading.lock().await;
        let before = self.keys().external.clone();
        // The response to a later request may have come first.
        let external = if *newest > request { before.clone() } else { found };
        self.replace(read(store, root, settings, now, external.clone()).await?);
        *newest = request.max(*newest);
        if let Some(external) = external {
            external.log_changes(before.as_deref());
        }
        Ok(())
    }

    /// Reads the keys in the database again, and generates those that are due. Of concurrent calls each waits for the
    /// one before, so that it returns when what was stored before the call is in use.
    async fn read_stored(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(), IssuerError> {
        let _reading = self.reading.lock().await;
        let external = self.keys().external.clone();
        self.replace(read(store, root, settings, now, external).await?);
        Ok(())
    }

    /// The caller holds the lock of reading.
    fn replace(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

async fn read(
    store: &Store,
    root: &RootKeys,
    settings: &Settings,
    now: Timestamp,
    external: Option<Arc<ExternalKeys>>,
) -> Result<Keys, IssuerError> {
    let rows = match external {
        // Keys from before the change to that service verify until their last token has expired.
        Some(_) => store.signing_keys().await?,
        None => signing_keys(store, root, settings, now).await?,
    };
    let mac = secrets(store, root, REFRESH_MAC, now, MacKeys::generate).await?;
    let sealing = secrets(store, root, LOGIN_STATE, now, SealingKeys::generate).await?;
    let imported = store.imported_keys().await?;
    let is_live = |key: &&ImportedKey| key.expires_at + KEPT_AFTER > now;
    let of_dex: Vec<&ImportedKey> = imported.iter().filter(is_live).collect();
    let public = public_keys(external.as_deref(), &rows, &of_dex);
    let published = PublishedDocument::new(key_set(&public));
    let jwks: Vec<String> = public.into_iter().map(str::to_owned).collect();
    let imported_jwks: Vec<String> = of_dex.iter().map(|key| key.public_jwk.clone()).collect();
    let numbered = |secrets: &[Usable]| secrets.iter().map(Usable::numbered).collect();
    let settled = |secrets: &[Usable]| {
        secrets.iter().filter(|secret| secret.settled).map(Usable::numbered).collect()
    };
    let signing: Vec<Signing> = match &external {
        Some(keys) => signing_with_external(root, &rows, keys, now)?,
        None => rows.iter().map(|row| opened(root, row)).collect::<Result<_, _>>()?,
    };
    let own_keys_sign_until = external.as_ref().and_then(|_| own_keys_sign_until(&rows, now));
    Ok(Keys {
        metadata: Discovery::document(settings, algorithms(&signing))?,
        signing,
        external,
        own_keys_sign_until,
        access_token_algorithm: settings.access_token_algorithm(),
        verifiers: Verifiers::new(&jwks)?,
        imported: Verifiers::new(&imported_jwks)?,
        imported_at: of_dex.iter().map(|key| key.imported_at).min(),
        key_set: published,
        mac_settled: MacKeys::new(settled(&mac))?,
        mac: MacKeys::new(numbered(&mac))?,
        sealing_settled: SealingKeys::new(settled(&sealing))?,
        sealing: SealingKeys::new(numbered(&sealing))?,
        read_at: now,
    })
}

/// The versions that may sign, and before them the keys of our own that sign until these have been published for an
/// hour.
fn signing_with_external(
    root: &RootKeys,
    rows: &[SigningKeyRow],
    keys: &Arc<ExternalKeys>,
    now: Timestamp,
) -> Result<Vec<Signing>, IssuerError> {
    let until = own_keys_sign_until(rows, now).filter(|until| *until > now);
    let own = rows.iter().filter(|row| until.is_some() && !row.access_tokens_only);
    let mut all = own.map(|row| opened(root, row)).collect::<Result<Vec<_>, _>>()?;
    let signing = |version: &ExternalVersion| Signing {
        signs_from: until.map_or(version.signs_from(), |until| version.signs_from().max(until)),
        signer: TokenSigner::External {
            keys: Arc::clone(keys),
            version: version.number,
            key: Arc::clone(&version.key),
        },
        access_tokens_only: false,
    };
    all.extend(keys.versions.iter().filter(|version| version.may_sign).map(signing));
    Ok(all)
}

/// The public keys, newest first; a key of Dex that is also one of the others is named once.
fn public_keys<'a>(
    external: Option<&'a ExternalKeys>,
    rows: &'a [SigningKeyRow],
    of_dex: &[&'a ImportedKey],
) -> Vec<&'a str> {
    let versions = external.map(|keys| keys.versions.as_slice()).unwrap_or_default();
    let versions =
        versions.iter().rev().map(|version| (version.key.kid(), version.key.public_jwk()));
    let rows = rows.iter().rev().map(|row| (row.kid.as_str(), row.public_jwk.as_str()));
    let of_dex = of_dex.iter().map(|key| (key.kid.as_str(), key.public_jwk.as_str()));
    let mut kids = HashSet::new();
    let all = versions.chain(rows).chain(of_dex);
    all.filter(|(kid, _)| kids.insert(*kid)).map(|(_, jwk)| jwk).collect()
}

fn for_id_tokens(signing: &[Signing]) -> impl DoubleEndedIterator<Item = &Signing> {
    signing.iter().filter(|key| !key.access_tokens_only)
}

fn algorithms(signing: &[Signing]) -> Vec<&'static str> {
    let mut names: Vec<_> =
        for_id_tokens(signing).map(|key| key.signer.algorithm().as_str()).collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.dedup();
    names
}

/// The keys in the database, after adding those that are due.
async fn signing_keys(
    store: &Store,
    root: &RootKeys,
    settings: &Settings,
    now: Timestamp,
) -> Result<Vec<SigningKeyRow>, IssuerError> {
    let mut rows = store.signing_keys().await?;
    if let Some(last) = rows.last() {
        opened(root, last)?;
    }
    let is_new = rows.is_empty();
    for sequence in KeySequence::all(settings) {
        let Some((number, signs_from)) = sequence.due(&rows, settings, now) else { continue };
        // The first keys of an empty database sign at once: no client has fetched an older key set.
        let signs_from = if is_new { now } else { signs_from };
        let row = new_key(root, settings, sequence.key(number, signs_from), now).await?;
        if store.add_signing_key(row).await? {
            let mut event = Event::new(now, EventKind::KeyRotated, "system");
            event.details = serde_json::json!({ "number": number, "signs_from": signs_from });
            store.add_event(event).await?;
            tracing::info!(event = "key_rotated", number, signs_from = %signs_from, "a new signing key is published");
        }
        rows = store.signing_keys().await?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
