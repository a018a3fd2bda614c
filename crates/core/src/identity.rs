//! The identity of a user as returned by a connector.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// A user at one upstream. The fields follow Dex, so that `sub` and claims are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The upstream's stable id; part of `sub`.
    pub user_id: String,
    /// The claim `name`.
    pub username: String,
    pub preferred_username: String,
    /// Empty if the upstream has none; the claim is then omitted.
    pub email: String,
    /// The claim `email_verified` (OpenID Connect Core 5.1).
    pub email_verified: bool,
    /// Exactly as they appear in the claim `groups`, in the upstream's order.
    pub groups: Vec<String>,
}

impl Identity {
    /// The name of a member that contains a NUL character, which the databases cannot store.
    pub fn member_with_nul(&self) -> Option<&'static str> {
        let groups = self.groups.iter().map(|group| ("group", group));
        [
            ("user id", &self.user_id),
            ("user name", &self.username),
            ("preferred user name", &self.preferred_username),
            ("e-mail address", &self.email),
        ]
        .into_iter()
        .chain(groups)
        .find_map(|(member, text)| text.contains('\0').then_some(member))
    }

    /// The name that pages, API and command line show for this user.
    pub fn display_name(&self) -> &str {
        display_name([&self.username, &self.preferred_username, &self.email, &self.user_id])
    }
}

/// The first claim that is not empty. Callers pass `name`, `preferred_username`, `email` and user id, in this order.
pub fn display_name(claims: [&str; 4]) -> &str {
    claims.into_iter().find(|claim| !claim.trim().is_empty()).unwrap_or_default()
}

/// What a login requests from its upstream. Stored with the session: a request that needs more requires a new
/// login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginScopes {
    /// The upstream must permit later queries without the user (`offline_access`).
    pub offline: bool,
    /// The upstream is queried for the user's groups.
    pub groups: bool,
}

impl LoginScopes {
    /// Whether a login that requested `self` suffices for a request that needs `other`.
    pub fn covers(self, other: Self) -> bool {
        (self.offline || !other.offline) && (self.groups || !other.groups)
    }

    pub fn union(self, other: Self) -> Self {
        Self { offline: self.offline || other.offline, groups: self.groups || other.groups }
    }
}

/// The claim `sub`: base64url of the protobuf `{1: user_id, 2: connector}`, as in Dex, so that existing role
/// bindings keep working. Empty fields are left out (proto3).
pub fn subject(user_id: &str, connector: &crate::ConnectorId) -> String {
    let mut bytes = Vec::with_capacity(user_id.len() + connector.as_str().len() + 6);
    for (tag, text) in [(0x0a_u8, user_id), (0x12, connector.as_str())] {
        if text.is_empty() {
            continue;
        }
        bytes.push(tag);
        push_varint(&mut bytes, text.len());
        bytes.extend_from_slice(text.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes such a message: of a `sub`, user id and connector; of a refresh token that Dex issued, its id and its
/// secret. An absent field is empty. `None` if the text is not such a message.
pub fn pair_of(encoded: &str) -> Option<(String, String)> {
    if encoded.len() > LONGEST_PAIR {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let mut rest = bytes.as_slice();
    let mut fields = [String::new(), String::new()];
    while let [tag, tail @ ..] = rest {
        let (length, tail) = take_varint(tail)?;
        let (text, tail) = tail.split_at_checked(length)?;
        let [first, second] = &mut fields;
        let field = match tag {
            0x0a => first,
            0x12 => second,
            _ => return None,
        };
        std::str::from_utf8(text).ok()?.clone_into(field);
        rest = tail;
    }
    let [first, second] = fields;
    Some((first, second))
}

/// Longest encoded pair, in characters; distinguished names are shorter.
const LONGEST_PAIR: usize = 4096;

fn take_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(3) {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(index + 1..)?));
        }
    }
    None
}

fn push_varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::{LoginScopes, pair_of, subject};
    use crate::ConnectorId;

    #[test]
    fn sub_is_encoded_as_in_dex() {
        assert_eq!(subject("foo", &ConnectorId::new("bar")), "CgNmb28SA2Jhcg");
        assert_eq!(subject("", &ConnectorId::new("bar")), "EgNiYXI");
    }

    #[test]
    fn sub_of_a_long_dn_has_a_two_byte_length() {
        let dn = "x".repeat(200);
        assert!(subject(&dn, &ConnectorId::new("ldap")).starts_with("CsgB"));
    }

    #[test]
    fn a_subject_is_read_back_and_anything_else_is_not() {
        let dn = "ü".repeat(100);
        for (user, connector) in [("foo", "bar"), ("", "bar"), ("foo", ""), (&dn, "ldap")] {
            let encoded = subject(user, &ConnectorId::new(connector));
            assert_eq!(pair_of(&encoded), Some((user.to_owned(), connector.to_owned())));
        }
        for wrong in ["CgNmb28SA2Jhcg=", "CgNmb28SA2Jh", "CgP__w", "GgNmb28", "CoCAgIAB", "a.b"] {
            assert_eq!(pair_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_login_without_groups_does_not_serve_a_request_for_them() {
        let plain = LoginScopes::default();
        let groups = LoginScopes { groups: true, offline: false };
        assert!(groups.covers(plain));
        assert!(!plain.covers(groups));
    }
}
