//! The next signing key before its time, because an administrator wants one.

use countersign_core::event::EventKind;
use countersign_core::{Event, Timestamp};
use countersign_jose::RootKeys;
use countersign_store::Store;

use super::{Keyring, PUBLISHED_BEFORE, new_key};
use crate::admin::Rotation;
use crate::{IssuerError, Settings};

impl Keyring {
    /// Makes the next key, unless one is published already that has yet to sign. Of two administrators
    /// at once one makes it, and the other is told of it.
    pub(crate) async fn publish_next(
        &self,
        store: &Store,
        root: &RootKeys,
        settings: &Settings,
        now: Timestamp,
        actor: &str,
    ) -> Result<Rotation, IssuerError> {
        let rows = store.signing_keys().await?;
        let last = rows.last();
        if let Some(next) = last.filter(|row| row.signs_from > now) {
            let signs_from = next.signs_from.to_string();
            return Ok(Rotation { made: false, number: next.number, signs_from });
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
        // Somebody else may have been faster: theirs is the one that counts.
        let rows = store.signing_keys().await?;
        let next = rows.iter().find(|row| row.number == number);
        let signs_from = next.map_or(signs_from, |row| row.signs_from);
        Ok(Rotation { made, number, signs_from: signs_from.to_string() })
    }
}
