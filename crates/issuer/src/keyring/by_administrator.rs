//! Key operations of an administrator: publishing the next signing keys early, and dropping a compromised one.

use countersign_core::event::EventKind;
use countersign_core::{Actor, Event, Timestamp};
use countersign_jose::RootKeys;
use countersign_store::{DropSigningKeyNow, DroppedSigningKey, Store, Successor};
use serde::{Deserialize, Serialize};

use super::{KeySequence, KeyToDrop, Keyring, Keys, PUBLISHED_BEFORE, new_key};
use crate::{IssuerError, Settings};

/// Attempts to store the next key while others store keys of their own.
const MAX_ATTEMPTS: u32 = 5;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotationView {
    /// False when a next key was already published; `number` and `signs_from` then describe that one.
    pub made: bool,
    pub number: i64,
    pub signs_from: String,
}

/// The sequence to rotate early, who requested it, and when.
struct EarlyRotation<'a> {
    sequence: KeySequence,
    actor: &'a Actor,
    now: Timestamp,
}

impl Keyring {
    /// Generates the next key, unless one that does not sign yet is already published; likewise for access tokens, if
    /// they have keys of their own. Of two concurrent calls one generates the key and the other reads it.
    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    pub(crate) async fn publish_next(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
        now: Timestamp,
        actor: &Actor,
    ) -> Result<RotationView, IssuerError> {
        let mut views = Vec::new();
        for sequence in KeySequence::all(settings) {
            let rotation = EarlyRotation { sequence, actor, now };
            views.push(rotation.publish(store, root, settings).await?);
        }
        self.read_stored(store, root, settings, now).await?;
        // The sequence of ID tokens is the first in the list.
        views.into_iter().next().ok_or_else(|| IssuerError::Broken("no key signs".to_owned()))
    }
}

impl EarlyRotation<'_> {
    /// All sequences share one series of numbers: a concurrent call that stores a key first may store one of another
    /// sequence, and then this one gets the next number.
    async fn publish(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
    ) -> Result<RotationView, IssuerError> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(view) = self.attempt(store, root, settings).await? {
                return Ok(view);
            }
        }
        Err(IssuerError::Unavailable {
            what: "the next signing key".to_owned(),
            cause: "others store keys at the same time".to_owned(),
        })
    }

    /// `None`: the number is in use by now.
    async fn attempt(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
    ) -> Result<Option<RotationView>, IssuerError> {
        let Self { sequence, actor, now } = *self;
        let rows = store.signing_keys().await?;
        if let Some(next) = sequence.last(&rows).filter(|row| row.signs_from > now) {
            let signs_from = next.signs_from.to_string();
            return Ok(Some(RotationView { made: false, number: next.number, signs_from }));
        }
        let number = rows.last().map_or(1, |row| row.number + 1);
        let signs_from = now + PUBLISHED_BEFORE;
        let row = new_key(root, settings, sequence.key(number, signs_from), now).await?;
        if !store.add_signing_key(row).await? {
            return Ok(None);
        }
        let mut event = Event::by(actor, now, EventKind::KeyRotated);
        event.details = serde_json::json!({ "number": number, "signs_from": signs_from });
        store.add_event(event).await?;
        tracing::warn!(event = "key_rotated", number, actor = actor.name, address = actor.ip, signs_from = %signs_from, "a new signing key is published");
        Ok(Some(RotationView { made: true, number, signs_from: signs_from.to_string() }))
    }
}

impl Keyring {
    /// Deletes a key, which verifies no token from then on: at this replica at once, at the others when they read the
    /// keys again, within 30 seconds. Its successor signs; if none is published, a new key is generated. `None` when
    /// there is no such key.
    pub(crate) async fn drop_now(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
        key: KeyToDrop<'_>,
    ) -> Result<Option<DroppedSigningKey>, IssuerError> {
        let now = key.now;
        let successor = match self.signs_after_drop(settings, key.kid, now) {
            Some(kid) => Successor::OfSigner(kid),
            None => {
                // The number is assigned when the key is stored.
                let planned = KeySequence::of_id_tokens(settings).key(0, now);
                Successor::New(new_key(root, settings, planned, now).await?)
            }
        };
        let (kid, by) = (key.kid.to_owned(), key.by);
        let dropped =
            store.drop_signing_key_now(DropSigningKeyNow { kid, successor, by, now }).await?;
        self.read_stored(store, root, settings, now).await?;
        Ok(dropped)
    }

    /// If another service keeps the signing key: the `kid` of the key that signs when the one with this `kid` is
    /// dropped, or the name of the service while its versions are unknown.
    pub(crate) fn signs_after_drop(
        &self,
        settings: &Settings,
        dropped: &str,
        now: Timestamp,
    ) -> Option<String> {
        let signer = settings.external_signer.as_ref()?;
        let kid = self.keys().signing_kid_without(dropped, now);
        Some(kid.unwrap_or_else(|| signer.name().to_owned()))
    }
}

impl Keys {
    /// The `kid` of the key that signs ID tokens now, or would if the one with this `kid` did not exist.
    fn signing_kid_without(&self, dropped: &str, now: Timestamp) -> Option<String> {
        let others = || self.for_id_tokens().filter(move |key| key.signer.kid() != dropped);
        let due = others().rev().find(|key| key.signs_from <= now);
        due.or_else(|| others().next()).map(|key| key.signer.kid().to_owned())
    }
}
