//! Applications and users, as pages show them.

use super::name::Name;

/// The application a person is on the way to.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    pub name: Name,
    /// Host of its redirect URI: the part an application cannot make up. `None` for loopback and private schemes.
    pub host: Option<Name>,
    /// A path of our own origin, or a remote address if the configuration allows those.
    pub logo: Option<String>,
}

/// The user, as the connector returned them.
#[derive(Clone, Debug)]
pub struct SignedInUser {
    pub name: Name,
    pub email: Option<Name>,
    pub connector_name: Name,
}
