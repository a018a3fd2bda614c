//! Errors of this crate. A token that does not verify is not an error but `Refused`, `None` or `false`.

use countersign_core::ids::NoRandomness;

/// A key that cannot be used, or a library that failed. Never carries key material or a token.
#[derive(Debug, thiserror::Error)]
pub enum JoseError {
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// A signing key or its public half, by `kid`.
    #[error("signing key {kid:?}: {reason}")]
    BadSigningKey { kid: String, reason: &'static str },
    /// A sealing or MAC key, by number.
    #[error("sealing or MAC key {number}: {reason}")]
    BadNumberedKey { number: i64, reason: &'static str },
    #[error("there is no sealing or MAC key")]
    NoKeys,
    #[error("{size_bytes} bytes are too many to seal for a browser (the limit is {limit_bytes})")]
    TooLarge { size_bytes: usize, limit_bytes: usize },
    /// The cryptographic library failed with valid keys.
    #[error("the cryptographic library could not {0}")]
    Library(&'static str),
}
