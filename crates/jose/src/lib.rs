//! Signing keys, JWTs, hashes and sealing. The only crate that uses josekit and rsa.
//!
//! No I/O, no clock, no async. Randomness comes from `countersign_core::ids`, except inside OpenSSL when it generates
//! or uses an EC key. This crate verifies tokens; who may receive one is decided in `issuer`.
//!
//! **Why OpenSSL signs and `rsa` only generates.** All private-key operations run in OpenSSL, through josekit: it is
//! about ten times faster at RSA-2048, and the timing advisory RUSTSEC-2023-0071 against the `rsa` crate names no
//! patched version. That crate generates keys faster, so it generates and encodes them (and decodes the
//! public half of a key that another service keeps), and is built without `pkcs1v15`. RSA decryption is not used.
//!
//! | file | what is in it |
//! |---|---|
//! | `hash` | SHA-256 for stored secrets, PKCE `S256`, `at_hash` and `c_hash` |
//! | `root` | root keys: seal values in the database |
//! | `seal` | how values are sealed; sealing keys: seal values in the browser |
//! | `mac` | MAC keys: refresh tokens as signed statements |
//! | `key_pair`, `jwk` | making a signing key; its public half and the set at `/keys` |
//! | `signing`, `verify`, `claims` | signing a JWT, verifying one, its claims |
//! | `external_key` | a JWT whose signature another service makes |
//! | `upstream` | verifying ID tokens of upstream issuers |
//! | `ring` | used by `seal` and `mac` |

mod claims;
mod external_key;
pub mod hash;
mod jwk;
mod key_pair;
mod mac;
mod ring;
mod root;
mod seal;
mod signing;
mod upstream;
mod verify;

#[cfg(test)]
mod tests;

use countersign_core::ids::NoRandomness;

pub use claims::{Claims, Refused};
pub use external_key::{ExternalKey, UnsignedToken};
pub use jwk::{key_set, usable_public_jwk};
pub use key_pair::KeyPair;
pub use mac::MacKeys;
pub use root::{CannotOpen, RootKeys, WeakRootKey};
pub use seal::{MAX_SEALED_BYTES, SealingKeys};
pub use signing::{Algorithm, Signer};
pub use upstream::{UpstreamAlgorithm, UpstreamKeys};
pub use verify::{Expected, MAX_TOKEN_BYTES, Typ, Verifiers};

/// A key is unusable, or a library failed. Contains no key material and no token.
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
