//! Keys by an administrator: publishing the next signing keys early, and dropping one that leaked.

use countersign_core::event::EventKind;
use countersign_core::{Actor, Event, Timestamp};
use countersign_jose::RootKeys;
use countersign_store::{DropSigningKeyNow, DroppedSigningKey, Store};
use serde::{Deserialize, Serialize};

use super::{KeySequence, KeyToDrop, Keyring, PUBLISHED_BEFORE, new_key};
use crate::{IssuerError, Settings};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotationView {
    /// False when a next key was published already, which is then described here.
    pub made: bool,
    pub number: i64,
    pub signs_from: String,
}

/// Who publishes a key of which sequence, and when.
struct EarlyRotation<'a> {
    sequence: KeySequence,
    actor: &'a Actor,
    now: Timestamp,
}

impl Keyring {
    /// Makes the next key, unless one is published already that has yet to sign; likewise the next key for access
    /// tokens, if they have one. Of two administrators at once one makes it, and the other reads it.
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
        self.renew(store, root, settings, now).await?;
        // The key of ID tokens is the first.
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
            let mut event = Event::by(actor, now, EventKind::KeyRotated);
            event.details = serde_json::json!({ "number": number, "signs_from": signs_from });
            store.add_event(event).await?;
            tracing::warn!(event = "key_rotated", number, actor = actor.name, address = actor.ip, signs_from = %signs_from, "a new signing key is published");
        }
        // Another administrator may have been faster: the stored key counts.
        let rows = store.signing_keys().await?;
        let next = rows.iter().find(|row| row.number == number);
        let signs_from = next.map_or(signs_from, |row| row.signs_from);
        Ok(RotationView { made, number, signs_from: signs_from.to_string() })
    }
}

impl Keyring {
    /// The key verifies nothing from now on: at this replica at once, at the others when they read the keys
    /// again, within half a minute. Another key signs from now on, a new one where none was published.
    /// `None` when there is no such key.
    pub(crate) async fn drop_now(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
        key: KeyToDrop<'_>,
    ) -> Result<Option<DroppedSigningKey>, IssuerError> {
        let now = key.now;
        // Its number is assigned when it is stored.
        let successor = KeySequence::of_id_tokens(settings).key(0, now);
        let successor = new_key(root, settings, successor, now).await?;
        let (kid, by) = (key.kid.to_owned(), key.by);
        let dropped =
            store.drop_signing_key_now(DropSigningKeyNow { kid, successor, by, now }).await?;
        self.renew(store, root, settings, now).await?;
        Ok(dropped)
    }
}
