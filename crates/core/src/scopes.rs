//! The scope of a request or a grant (RFC 6749 section 3.3), in the order of the request.

use serde::{Deserialize, Serialize};

use crate::ClientId;

pub const OPENID: &str = "openid";
pub const OFFLINE_ACCESS: &str = "offline_access";
pub const EMAIL: &str = "email";
pub const PROFILE: &str = "profile";
pub const GROUPS: &str = "groups";
pub const FEDERATED_ID: &str = "federated:id";
/// Grants access to the administrator's API; only clients of `admin.clients` may request it.
pub const ADMIN: &str = "countersign:admin";
/// Prefix of scopes that add a client to the audience; its id follows.
pub const AUDIENCE: &str = "audience:server:client_id:";

/// Scopes without duplicates, in the order of their first occurrence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Splits on any white space, as Dex does.
    pub fn parse(text: &str) -> Self {
        text.split_whitespace().map(str::to_owned).collect()
    }

    pub fn has(&self, scope: &str) -> bool {
        self.0.iter().any(|s| s == scope)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// True when every scope of `self` is in `other`.
    pub fn within(&self, other: &Self) -> bool {
        self.iter().all(|s| other.has(s))
    }

    /// The clients named by `audience:server:client_id:…`, in the order of the request.
    pub fn audience_clients(&self) -> impl Iterator<Item = ClientId> {
        self.iter().filter_map(|s| s.strip_prefix(AUDIENCE)).map(ClientId::new)
    }

    /// The scopes for which `keep` returns true.
    pub fn filtered(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        self.iter().filter(|s| keep(s)).map(str::to_owned).collect()
    }

    /// Whether this server implements a scope.
    pub fn is_known(scope: &str) -> bool {
        matches!(scope, OPENID | OFFLINE_ACCESS | EMAIL | PROFILE | GROUPS | FEDERATED_ID | ADMIN)
            || scope.strip_prefix(AUDIENCE).is_some_and(|id| !id.is_empty())
    }
}

impl FromIterator<String> for Scopes {
    fn from_iter<T: IntoIterator<Item = String>>(iter: T) -> Self {
        let mut scopes = Vec::new();
        for scope in iter {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        Self(scopes)
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::Scopes;

    #[test]
    fn scopes_keep_their_order_without_duplicates() {
        let scopes = Scopes::parse(" openid  groups\topenid email ");
        assert_eq!(scopes.to_string(), "openid groups email");
    }

    #[test]
    fn peers_are_read_from_audience_scopes() {
        let scopes =
            Scopes::parse("openid audience:server:client_id:kubernetes audience:server:client_id:");
        let peers: Vec<_> = scopes.audience_clients().map(|c| c.to_string()).collect();
        assert_eq!(peers, ["kubernetes", ""]);
        assert!(!Scopes::is_known("audience:server:client_id:"));
    }
}
