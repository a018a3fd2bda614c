//! Identifiers, and the only source of randomness.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The operating system's random generator failed.
#[derive(Debug, thiserror::Error)]
#[error("the operating system returned no random bytes: {0}")]
pub struct NoRandomness(String);

/// `N` bytes from the operating system's generator.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|e| NoRandomness(e.to_string()))?;
    Ok(bytes)
}

/// 32 random bytes as 43 characters of base64url: codes, cookies, identifiers that are also secrets.
pub fn random_token() -> Result<String, NoRandomness> {
    Ok(URL_SAFE_NO_PAD.encode(random_bytes::<32>()?))
}

/// 24 random bytes as 32 characters of base64url: identifiers that are not secret. Never begins with `-`, which a
/// command line would parse as an option; drawing again keeps the distribution uniform.
pub fn random_id() -> Result<String, NoRandomness> {
    loop {
        let id = URL_SAFE_NO_PAD.encode(random_bytes::<24>()?);
        if !id.starts_with('-') {
            return Ok(id);
        }
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A relying party, as in `client_id` (RFC 6749 section 2.2).
    ClientId
);
id!(
    /// A configured upstream, as in the path `/auth/{connector}` and in `sub`.
    ConnectorId
);
id!(
    /// One session: a sign-in by one browser; published as `sid`. Not the cookie.
    SessionId
);
id!(
    /// The result of one code exchange by one client; published in access tokens.
    GrantId
);

impl SessionId {
    pub fn random() -> Result<Self, NoRandomness> {
        random_id().map(Self)
    }
}

impl GrantId {
    pub fn random() -> Result<Self, NoRandomness> {
        random_id().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::random_id;

    /// Without the rule one of 64 ids would begin with `-`, so 2 000 without one are not a coincidence.
    #[test]
    fn an_id_can_be_a_command_line_argument() {
        for _ in 0..2_000 {
            let id = random_id().unwrap();
            assert!(!id.starts_with('-') && id.len() == 32, "{id}");
        }
    }
}
