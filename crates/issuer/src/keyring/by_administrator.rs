//! Keys by an administrator: publishing the next signing key early, and dropping one that leaked.

use countersign_core::event::EventKind;
use countersign_core::{Event, Timestamp};
use countersign_jose::RootKeys;
use countersign_store::{DropSigningKeyNow, DroppedSigningKey, Store};
use serde::{Deserialize, Serialize};

use super::{KeyToDrop, Keyring, PUBLISHED_BEFORE, new_key};
use crate::{IssuerError, Settings};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotationView {
    /// False when a next key was published already, which is then described here.
    pub made: bool,
    pub number: i64,
    pub signs_from: String,
}

impl Keyring {
    /// Makes the next key, unless one is published already that has yet to sign. Of two administrators
    /// at once one makes it, and the other reads it.
    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    pub(crate) async fn publish_next(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
        now: Timestamp,
        actor: &str,
    ) -> Result<RotationView, IssuerError> {
        let rows = store.signing_keys().await?;
        let last = rows.last();
        if let Some(next) = last.filter(|row| row.signs_from > now) {
            let signs_from = next.signs_from.to_string();
            return Ok(RotationView { made: false, number: next.number, signs_from });
        }
        let number = last.map_or(1, |row| row.number + 1);
        let signs_from = now + PUBLISHED_BEFORE;
        let row = new_key(root, settings, number, signs_from, now).await?;
        let made = store.add_signing_key(row).await?;
        if made {
            let mut event = Event::new(now, EventKind::KeyRotated, actor);
            event.details = serde_json::json!({ "number": number, "signs_from": signs_from });
            store.add_event(event).await?;
            tracing::warn!(event = "key_rotated", number, actor, signs_from = %signs_from, "a new signing key is published");
        }
        self.renew(store, root, settings, now).await?;
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
        let successor = new_key(root, settings, 0, now, now).await?;
        let (kid, by) = (key.kid.to_owned(), key.actor.to_owned());
        let dropped =
            store.drop_signing_key_now(DropSigningKeyNow { kid, successor, by, now }).await?;
        self.renew(store, root, settings, now).await?;
        Ok(dropped)
    }
}
