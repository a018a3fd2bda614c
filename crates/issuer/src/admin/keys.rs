//! The signing keys as an administrator sees them, and the next one made now.

use countersign_core::Timestamp;
use countersign_store::SigningKeyRow;

use super::Administrator;
use super::view::{KeyView, RotationView};
use crate::keyring::KEPT_AFTER;
use crate::{Issuer, IssuerError};

impl Issuer {
    /// By number, newest first, as the database has them.
    pub async fn signing_keys(&self) -> Result<Vec<KeyView>, IssuerError> {
        let rows = self.store.signing_keys().await?;
        let now = self.now();
        let successors = rows.iter().skip(1).map(Some).chain([None]);
        let views = rows.iter().zip(successors).map(|(row, next)| view(row, next, now));
        let mut views: Vec<KeyView> = views.collect();
        views.reverse();
        Ok(views)
    }

    /// Publishes the next key now. It signs after the hour in which every API server learns of it; the
    /// present one goes when the last token it signed is dead.
    pub async fn rotate_keys(&self, who: &Administrator) -> Result<RotationView, IssuerError> {
        self.keyring
            .publish_next(&self.store, &self.root, &self.settings, self.now(), who.actor())
            .await
    }
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
        state: state.to_owned(),
        created: row.created_at.to_string(),
        signs_from: row.signs_from.to_string(),
        drops_at: super::view::told(drops_at),
    }
}
