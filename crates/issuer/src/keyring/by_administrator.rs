//! Key operations of an administrator: publishing the next signing keys early, and dropping a compromised one.

use countersign_core::event::EventKind;
use countersign_core::{Event, Timestamp};
use countersign_jose::RootKeys;
use countersign_store::{DropSigningKeyNow, DroppedSigningKey, Store};
use serde::{Deserialize, Serialize};

use super::{KeySequence, KeyToDrop, Keyring, PUBLISHED_BEFORE, new_key};
use crate::{IssuerError, Settings};

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
    actor: &'a str,
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
        actor: &str,
    ) -> Result<RotationView, IssuerError> {
        let mut views = Vec::new();
        for sequence in KeySequence::all(settings) {
            let rotation = EarlyRotation { sequence, actor, now };
            views.push(rotation.publish(store, root, settings).await?);
        }
        self.renew(store, root, settings, now).await?;
        // The sequence of ID tokens is the first in the list.
        views.into_iter().next().ok_or_else(|| IssuerError::Broken("no key signs".to_owned()))
    }
}

impl EarlyRotation<'_> {
    async fn publish(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
    ) -> Result<RotationView, IssuerError> {
        let Self { sequence, actor, now } = *self;
        let rows = store.signing_keys().await?;
        if let Some(next) = sequence.last(&rows).filter(|row| row.signs_from > now) {
            let signs_from = next.signs_from.to_string();
            return Ok(RotationView { made: false, number: next.number, signs_from });
        }
        let number = rows.last().map_or(1, |row| row.number + 1);
        let signs_from = now + PUBLISHED_BEFORE;
        let row = new_key(root, settings, sequence.key(number, signs_from), now).await?;
        let made = store.add_signing_key(row).await?;
        if made {
            let mut event = Event::new(now, EventKind::KeyRotated, actor);
            event.details = serde_json::json!({ "number": number, "signs_from": signs_from });
            store.add_event(event).await?;
            tracing::warn!(event = "key_rotated", number, actor, signs_from = %signs_from, "a new signing key is published");
        }
        // A concurrent call may have stored the key first: the stored one is returned.
        let rows = store.signing_keys().await?;
        let next = rows.iter().find(|row| row.number == number);
        let signs_from = next.map_or(signs_from, |row| row.signs_from);
        Ok(RotationView { made, number, signs_from: signs_from.to_string() })
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
        // The number is assigned when the key is stored.
        let successor = KeySequence::of_id_tokens(settings).key(0, now);
        let successor = new_key(root, settings, successor, now).await?;
        let (kid, by) = (key.kid.to_owned(), key.actor.to_owned());
        let dropped =
            store.drop_signing_key_now(DropSigningKeyNow { kid, successor, by, now }).await?;
        self.renew(store, root, settings, now).await?;
        Ok(dropped)
    }
}
