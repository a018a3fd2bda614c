//! Users and connectors that are kept in the database, beside those of the configuration file: made through the
//! administration API, or taken over from Dex. Traits connect them to the crates that know what they mean.

use crate::{Connector, ConnectorId, Secret};

/// A local user (an entry of Dex's password database).
#[derive(Clone, Debug, Default)]
pub struct StoredUser {
    pub email: String,
    /// bcrypt or argon2id.
    pub hash: Secret,
    pub username: String,
    /// Goes before `username` in the claim `name`, unless empty.
    pub name: String,
    pub preferred_username: String,
    /// Half of `sub`; never empty.
    pub user_id: String,
    pub groups: Vec<String>,
    pub email_verified: bool,
}

/// A connector as its configuration.
#[derive(Clone, Debug, Default)]
pub struct StoredConnector {
    pub id: ConnectorId,
    /// The `type`, such as `ldap`.
    pub kind: String,
    pub name: String,
    /// A JSON object with the keys of `config`; holds secrets.
    pub config: Secret,
    /// Empty is no limit.
    pub grant_types: Vec<String>,
}

/// The connector `local`, as far as its users can change while it runs.
pub trait LocalUsers: Send + Sync {
    /// Whether the configuration file has a user of this address; it comes before a stored one.
    fn is_configured(&self, email: &str) -> bool;

    /// What a session of this user is built on ([`crate::connector::Fingerprint::PerUser`]); `Err` has the reason why the
    /// user could not sign in, such as an unusable hash.
    fn fingerprint(&self, user: &StoredUser) -> Result<String, String>;

    /// The users of the configuration file, without their hashes.
    fn configured(&self) -> Vec<StoredUser>;

    /// Replaces all stored users; those that cannot be used are left out.
    fn replace_stored(&self, users: &[StoredUser]);
}

/// Makes a connector of its configuration.
pub trait ConnectorFactory: Send + Sync {
    /// `Err` names what is wrong, without values.
    fn build(&self, stored: &StoredConnector) -> Result<Connector, String>;
}

/// The form under which an e-mail address is compared: Dex looks up the lower-cased one.
pub fn canonical_email(email: &str) -> String {
    email.trim().to_lowercase()
}
