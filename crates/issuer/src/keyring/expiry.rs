//! The end of keys: recording when one signs no more, and deleting one whose last token has expired.

use countersign_core::Timestamp;
use countersign_store::Store;

use super::secrets::{LOGIN_STATE, REFRESH_MAC, SECRET_PERIOD};
use super::sequence::{expired_keys, is_unneeded};
use super::{KEPT_AFTER, PUBLISHED_BEFORE};
use crate::{IssuerError, Settings};

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
    for purpose in [REFRESH_MAC, LOGIN_STATE] {
        let rows = store.secrets(purpose).await?;
        for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
            let superseded = now.since(next.created_at) > SECRET_PERIOD;
            let in_use = purpose == REFRESH_MAC && store.mac_key_in_use(row.number).await?;
            if superseded && !in_use {
                store.drop_secret(purpose, row.number).await?;
            }
        }
    }
    Ok(())
}
