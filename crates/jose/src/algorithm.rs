//! The two signature algorithms we sign with and accept.

use std::fmt;

/// A JWS algorithm (RFC 7518 section 3.1). Both hash with SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5, 2048 bits here: what every relying party understands, the API server's flags included.
    RS256,
    /// ECDSA on P-256: ten times cheaper to sign.
    ES256,
}

impl Algorithm {
    /// The value of `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
        }
    }

    /// `None` for anything but the exact names; `none` in every spelling included.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "RS256" => Some(Self::RS256),
            "ES256" => Some(Self::ES256),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
