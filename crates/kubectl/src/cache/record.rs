//! The cached data of one login.

use std::collections::BTreeMap;

use countersign_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::keyring::KeyringError;
use crate::profile::{LoginProfile, StoredSecret};

/// What the cache stores of one login.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoginRecord {
    /// `None` in a record that was never written.
    pub profile: Option<LoginProfile>,
    #[serde(default)]
    pub tokens: Tokens,
    /// The tokens are in the system's keyring instead of this file.
    #[serde(default)]
    pub is_in_keyring: bool,
    /// Why the tokens are in the file. They stay there until the next login, so that somebody who uses the same machine
    /// with a keyring and without one signs in once for both. `None` in the file of a version without keyring.
    #[serde(default)]
    pub disk_reason: Option<String>,
    /// Why the tokens in the keyring could not be read. Then `tokens` is empty.
    #[serde(skip)]
    pub unreadable: Option<KeyringError>,
    /// When the issuer last confirmed that the grant is live.
    pub checked_at: Option<Timestamp>,
    /// The last login attempt, if it failed.
    pub failure: Option<Failure>,
}

/// The tokens of a login; in the system's keyring if `is_in_keyring`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tokens {
    pub id_token: Option<StoredSecret>,
    pub access_token: Option<StoredSecret>,
    pub refresh_token: Option<StoredSecret>,
    /// Secret of a confidential client, which `logout` and `status` need too.
    pub client_secret: Option<StoredSecret>,
    /// ID tokens for clusters with their own client, by that client's id.
    #[serde(default)]
    pub by_audience: BTreeMap<String, StoredSecret>,
}

/// A failed login: other processes report it instead of opening a browser again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub at: Timestamp,
    pub reason: String,
}

impl Tokens {
    /// True if there is nothing to keep secret.
    pub fn is_empty(&self) -> bool {
        let own = [&self.id_token, &self.access_token, &self.refresh_token, &self.client_secret];
        own.into_iter().all(Option::is_none) && self.by_audience.is_empty()
    }
}
