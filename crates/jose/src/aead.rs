//! Seals bytes under a single-use key: HKDF-SHA256 (RFC 5869) with a random salt, then AES-256-GCM.
//!
//! Text formats, key ids and limits are defined in `root` and `seal`.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use countersign_core::ids::random_bytes;
use zeroize::Zeroizing;

use crate::JoseError;

const SALT_BYTES: usize = 32;
/// Bytes added by sealing: the salt and GCM's tag.
pub(crate) const OVERHEAD_BYTES: usize = SALT_BYTES + 16;

/// Returns `salt ‖ ciphertext ‖ tag`. `context` is input of the key derivation and authenticated as associated data;
/// never empty.
pub(crate) fn seal(secret: &[u8], context: &[u8], plain: &[u8]) -> Result<Vec<u8>, JoseError> {
    let salt = random_bytes::<SALT_BYTES>()?;
    let key = key_for(secret, &salt, context).ok_or(JoseError::Library("derive a key"))?;
    let mut body = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
    body.extend_from_slice(plain);
    key.seal_in_place_append_tag(only_nonce(), Aad::from(context), &mut body)
        .map_err(|_| JoseError::Library("seal"))?;
    Ok([&salt[..], &body].concat())
}

/// `None` if the secret, the context or any bit of the sealed value differs.
pub(crate) fn open(secret: &[u8], context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (salt, body) = sealed.split_at_checked(SALT_BYTES)?;
    let key = key_for(secret, salt, context)?;
    let mut body = Zeroizing::new(body.to_vec());
    let length = key.open_in_place(only_nonce(), Aad::from(context), &mut body).ok()?.len();
    body.truncate(length);
    Some(body)
}

fn key_for(secret: &[u8], salt: &[u8], context: &[u8]) -> Option<LessSafeKey> {
    let pseudorandom = Salt::new(HKDF_SHA256, salt).extract(secret);
    let info = [context];
    let okm = pseudorandom.expand(&info, &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(okm)))
}

/// Always zero: every salt yields a new key, which seals only once, so no nonce repeats under one key.
fn only_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// Each part is preceded by its length in eight bytes, so that `("ab", "c")` and `("a", "bc")` differ and no purpose
/// can be confused with another.
pub(crate) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        whole.extend_from_slice(&(part.len() as u64).to_be_bytes());
        whole.extend_from_slice(part);
    }
    whole
}
