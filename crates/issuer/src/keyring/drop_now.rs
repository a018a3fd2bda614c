//! Deletes a signing key before its time, because it leaked.

use countersign_jose::RootKeys;
use countersign_store::{DropSigningKeyNow, DroppedSigningKey, Store};

use super::{KeySequence, KeyToDrop, Keyring, new_key};
use crate::{IssuerError, Settings};

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
        let (kid, by) = (key.kid.to_owned(), key.actor.to_owned());
        let dropped =
            store.drop_signing_key_now(DropSigningKeyNow { kid, successor, by, now }).await?;
        self.renew(store, root, settings, now).await?;
        Ok(dropped)
    }
}
