//! The device authorization grant (RFC 8628): a program without a browser requests tokens, and a user approves in a
//! browser on another device.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{NoRandomness, random_bytes};
use crate::session::Challenge;
use crate::{ClientId, GrantId, Scopes, SessionId, Timestamp};

/// One device authorization request. Its codes are stored as hashes.
#[derive(Clone, Debug)]
pub struct DeviceRequest {
    /// SHA-256 of the device code, base64url.
    pub device_code_hash: String,
    /// SHA-256 of the user code in its canonical form, base64url.
    pub user_code_hash: String,
    pub client: ClientId,
    pub scopes: Scopes,
    /// RFC 7636; optional, because the device code never passes through a browser.
    pub challenge: Option<Challenge>,
    /// The device's address, shown to the user.
    pub address: String,
    /// The address as counted for limits: of an IPv6 address its /64 prefix.
    pub counted_address: String,
    pub user_agent: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub status: DeviceRequestStatus,
}

/// The state of a device authorization request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceRequestStatus {
    /// Not decided yet.
    Pending,
    Approved {
        session: SessionId,
        /// When the user authenticated, for the claim `auth_time`.
        auth_time: Timestamp,
    },
    Denied,
    /// Tokens were issued; `None` when their grant has been deleted.
    Used {
        grant: Option<GrantId>,
    },
}

/// Letters of a user code (RFC 8628 section 6.1): no vowels, so that no words appear; 20^8 codes.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const USER_CODE_LENGTH: usize = 8;

/// A user code in its canonical form: eight letters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserCode(String);

impl UserCode {
    /// Uniformly distributed: bytes that would favour some letters are drawn again.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut code = String::with_capacity(USER_CODE_LENGTH);
        while code.len() < USER_CODE_LENGTH {
            let [byte] = random_bytes::<1>()?;
            let index = usize::from(byte);
            let letter = LETTERS.get(index % LETTERS.len()).filter(|_| index < 240);
            code.extend(letter.map(|letter| char::from(*letter)));
        }
        Ok(Self(code))
    }

    /// Parses an entered user code: case, white space and punctuation are ignored (RFC 8628 section 6.1). `None` for
    /// anything else, including similar letters of other alphabets.
    pub fn parse(typed: &str) -> Option<Self> {
        if typed.len() > 64 {
            return None;
        }
        let ignored =
            |c: &char| c.is_whitespace() || matches!(c, '-' | '.' | '_' | '–' | '—' | '‐');
        let letters: Option<String> = typed
            .chars()
            .filter(|c| !ignored(c))
            .map(|c| {
                let upper = u8::try_from(c).ok()?.to_ascii_uppercase();
                LETTERS.contains(&upper).then_some(char::from(upper))
            })
            .collect();
        letters.filter(|letters| letters.len() == USER_CODE_LENGTH).map(Self)
    }

    /// The canonical form, which is hashed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// With a dash in the middle, as displayed: `WDJB-MJHT`.
impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) =
            self.0.split_at_checked(USER_CODE_LENGTH / 2).unwrap_or((&self.0, ""));
        write!(f, "{first}-{second}")
    }
}

/// A user code is a secret while its request is pending.
impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::UserCode;

    #[test]
    fn a_user_code_is_read_as_people_type_it() {
        let code = UserCode::random().unwrap();
        let shown = code.to_string();
        assert_eq!((shown.len(), shown.chars().nth(4)), (9, Some('-')));
        for typed in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', ""),
            shown.replace('-', " "),
            format!("  {} ", shown.replace('-', " – ")),
        ] {
            assert_eq!(UserCode::parse(&typed).as_ref(), Some(&code), "{typed}");
        }
    }

    #[test]
    fn similar_texts_are_no_user_codes() {
        for typed in [
            "",
            "WDJB",
            "WDJB-MJHTT",
            "WDJB-MJH7",
            "АDJB-MJHT",
            "WDJB-MJHА",
            "WDJA-MJHT",
            "W/JB-MJHT",
        ] {
            assert_eq!(UserCode::parse(typed), None, "{typed}");
        }
        assert_eq!(UserCode::parse(&"B".repeat(10_000)), None);
    }
}
