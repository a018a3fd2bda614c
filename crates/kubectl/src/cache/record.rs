//! What is kept for one login.

use std::collections::BTreeMap;

use countersign_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::profile::{LoginProfile, StoredSecret};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoginRecord {
    /// `None` in a record that was never written.
    pub profile: Option<LoginProfile>,
    #[serde(default)]
    pub tokens: Tokens,
    /// The tokens are in the system's keyring, not in this file.
    #[serde(default)]
    pub is_in_keyring: bool,
    /// When the issuer last confirmed that the grant is alive.
    pub checked_at: Option<Timestamp>,
    /// The last attempt to sign in failed, and none has succeeded since.
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tokens {
    pub id_token: Option<StoredSecret>,
    pub access_token: Option<StoredSecret>,
    pub refresh_token: Option<StoredSecret>,
    /// Of a confidential client: `logout` and `status` need it too.
    pub client_secret: Option<StoredSecret>,
    /// ID tokens for clusters with a client of their own, by that client's id.
    #[serde(default)]
    pub by_audience: BTreeMap<String, StoredSecret>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub at: Timestamp,
    pub reason: String,
}
