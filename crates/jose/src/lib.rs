//! Signing keys, JWTs, hashes and sealing. The only crate that uses josekit and rsa.
//!
//! No I/O, no clock, no async. Randomness comes from `countersign_core::ids`, except inside OpenSSL when it
//! generates or uses an EC key. This crate verifies tokens; who may have one is decided in `issuer`.
//!
//! **Why OpenSSL signs and `rsa` only generates.** Every private-key operation runs in OpenSSL, through josekit:
//! it is about ten times faster at RSA-2048, and the timing advisory RUSTSEC-2023-0071 against the `rsa` crate
//! names no patched version. That crate is the faster *generator*, so it makes and encodes keys and is built
//! without `pkcs1v15`. Nothing here decrypts RSA at all.
//!
//! | file | what is in it |
//! |---|---|
//! | `hash` | SHA-256 for stored secrets, PKCE `S256`, `at_hash` and `c_hash` |
//! | `root` | root keys: seal values in the database |
//! | `seal` | sealing keys: seal values in the browser |
//! | `mac` | MAC keys: refresh tokens as signed statements |
//! | `key_pair`, `jwk`, `jwks` | making a signing key, its public half, the set at `/keys` |
//! | `signing`, `verify`, `claims` | signing a JWT, verifying one, its claims |
//! | `upstream` | verifying ID tokens of upstream issuers |
//! | `aead`, `framed`, `ring`, `strict_json` | used by the above |

mod aead;
mod algorithm;
mod claims;
mod error;
mod framed;
pub mod hash;
mod jwk;
mod jwks;
mod key_pair;
mod mac;
mod ring;
mod root;
mod seal;
mod signing;
mod strict_json;
mod upstream;
mod verify;

#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use claims::Claims;
pub use error::JoseError;
pub use jwks::{key_set, usable_public_jwk};
pub use key_pair::KeyPair;
pub use mac::MacKeys;
pub use root::{CannotOpen, RootKeys, WeakRootKey};
pub use seal::{MAX_SEALED_BYTES, SealingKeys};
pub use signing::Signer;
pub use upstream::{UpstreamAlgorithm, UpstreamKeys};
pub use verify::{Expected, MAX_TOKEN_BYTES, Refused, Typ, Verifiers};
