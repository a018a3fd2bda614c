//! Users and connectors stored in the database, in addition to those of the configuration file: created by the API, or
//! imported from Dex. The traits connect them to the crates that implement them.

use crate::{Connector, ConnectorId, Secret};

/// A local user (an entry of Dex's password database).
#[derive(Clone, Debug, Default)]
pub struct StoredUser {
    pub email: String,
    /// bcrypt or argon2id.
    pub hash: Secret,
    pub username: String,
    /// Takes precedence over `username` for the claim `name`, unless empty.
    pub name: String,
    pub preferred_username: String,
    /// Part of `sub`; never empty.
    pub user_id: String,
    pub groups: Vec<String>,
    pub email_verified: bool,
}

/// A stored connector: its configuration.
#[derive(Clone, Debug, Default)]
pub struct StoredConnector {
    pub id: ConnectorId,
    /// The `type`, such as `ldap`.
    pub kind: String,
    pub name: String,
    /// A JSON object with the keys of `config`; contains secrets.
    pub config: Secret,
    /// Empty: not limited.
    pub grant_types: Vec<String>,
}

/// The users of the connector `local`, which can change at run time.
pub trait LocalUsers: Send + Sync {
    /// Whether the configuration file has a user with this address, which takes precedence over a stored one.
    fn is_configured(&self, email: &str) -> bool;

    /// The fingerprint of this user's sessions ([`crate::connector::Fingerprint::PerUser`]); `Err` is why the user
    /// could not sign in, such as an unusable hash.
    fn fingerprint(&self, user: &StoredUser) -> Result<String, String>;

    /// The users of the configuration file, without their hashes.
    fn configured(&self) -> Vec<StoredUser>;

    /// Replaces all stored users; unusable ones are skipped.
    fn replace_stored(&self, users: &[StoredUser]);
}

/// Builds a connector from its configuration.
pub trait ConnectorFactory: Send + Sync {
    /// `Err` names the defect, without values.
    fn build(&self, stored: &StoredConnector) -> Result<Connector, String>;
}

/// The form in which e-mail addresses are compared: lower case, as in Dex.
pub fn canonical_email(email: &str) -> String {
    email.trim().to_lowercase()
}
