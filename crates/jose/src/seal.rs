//! Sealing bytes under a single-use key: HKDF-SHA256 (RFC 5869) with a random salt, then AES-256-GCM; and the sealing
//! keys, which seal values that are stored in the browser, bound to that browser. The root keys are in `root`.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::Secret;
use countersign_core::ids::random_bytes;
use zeroize::Zeroizing;

use crate::JoseError;
use crate::ring::{self, Ring};

/// The longest text that [`SealingKeys::seal`] returns and [`SealingKeys::open`] accepts.
pub const MAX_SEALED_BYTES: usize = 64 * 1024;

/// Sealing keys by number: the key with the greatest number seals, all open. Shared in an `Arc`.
pub struct SealingKeys(Ring<Zeroizing<Vec<u8>>>);

impl SealingKeys {
    /// Takes unique numbers (zero or greater) and the texts of [`SealingKeys::generate`].
    pub fn new(keys: Vec<(i64, Secret)>) -> Result<Self, JoseError> {
        Ring::new(keys, |bytes| Zeroizing::new(bytes.to_vec())).map(Self)
    }

    /// The text of a new key: 32 random bytes in base64url.
    pub fn generate() -> Result<Secret, JoseError> {
        ring::generate()
    }

    /// URL-safe text, `<number>.<base64url>`, that opens only with the same purpose and binding: four thirds of the
    /// length of `plain`, plus about 66 characters. Refuses a result longer than [`MAX_SEALED_BYTES`].
    pub fn seal(&self, purpose: &str, bound_to: &[u8], plain: &[u8]) -> Result<String, JoseError> {
        let (number, key) = self.0.newest();
        let most = MAX_SEALED_BYTES / 4 * 3 - OVERHEAD_BYTES - LONGEST_NUMBER;
        if plain.len() > most {
            return Err(JoseError::TooLarge { size_bytes: plain.len(), limit_bytes: most });
        }
        let sealed = seal(key, &context(purpose, bound_to), plain)?;
        Ok(format!("{number}.{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// `None` if the value was not sealed here for this purpose and binding; the reasons are not distinguished.
    pub fn open(&self, purpose: &str, bound_to: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.len() > MAX_SEALED_BYTES {
            return None;
        }
        let (number, body) = sealed.split_once('.')?;
        let known: i64 = number.parse().ok()?;
        // Accepts only one notation of a number: neither "+1" nor "01".
        if known.to_string() != number {
            return None;
        }
        let body = URL_SAFE_NO_PAD.decode(body).ok()?;
        open(self.0.get(known)?, &context(purpose, bound_to), &body)
    }
}

/// The length of an `i64` and its dot.
const LONGEST_NUMBER: usize = 20;

fn context(purpose: &str, bound_to: &[u8]) -> Vec<u8> {
    framed(&[b"countersign browser seal 1", purpose.as_bytes(), bound_to])
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKeys(newest {})", self.0.newest().0)
    }
}

const SALT_BYTES: usize = 32;
/// Bytes added by sealing: the salt and GCM's tag.
const OVERHEAD_BYTES: usize = SALT_BYTES + 16;

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

#[cfg(test)]
mod tests {
    use super::{MAX_SEALED_BYTES, SealingKeys};

    fn keys(numbers: &[i64]) -> SealingKeys {
        let texts = numbers.iter().map(|n| (*n, SealingKeys::generate().unwrap()));
        SealingKeys::new(texts.collect()).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_for_its_binding_and_purpose_only() {
        let keys = keys(&[1]);
        let sealed = keys.seal("login", b"binding", b"scope=openid").unwrap();
        assert_eq!(&keys.open("login", b"binding", &sealed).unwrap()[..], b"scope=openid");
        assert!(keys.open("login", b"another", &sealed).is_none(), "another browser");
        assert!(keys.open("login", b"", &sealed).is_none(), "no browser");
        assert!(keys.open("callback", b"binding", &sealed).is_none(), "another purpose");
        assert!(keys.open("loginb", b"inding", &sealed).is_none(), "a boundary moved");
        let other = self::keys(&[1]);
        assert!(other.open("login", b"binding", &sealed).is_none(), "another server's key 1");
    }

    #[test]
    fn a_sealed_value_opens_while_its_key_exists() {
        let (first, second) = (SealingKeys::generate().unwrap(), SealingKeys::generate().unwrap());
        let sealed =
            SealingKeys::new(vec![(1, first.clone())]).unwrap().seal("p", b"b", b"x").unwrap();
        let both = SealingKeys::new(vec![(1, first), (2, second.clone())]).unwrap();
        assert!(both.open("p", b"b", &sealed).is_some());
        assert!(both.seal("p", b"b", b"x").unwrap().starts_with("2."));
        let later = SealingKeys::new(vec![(2, second)]).unwrap();
        assert!(later.open("p", b"b", &sealed).is_none());
    }

    #[test]
    fn sealing_is_randomized_and_url_safe() {
        let keys = keys(&[1]);
        let (one, two) = (keys.seal("p", b"b", b"x").unwrap(), keys.seal("p", b"b", b"x").unwrap());
        assert_ne!(one, two);
        assert!(one.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{one}");
    }

    #[test]
    fn an_altered_sealed_value_does_not_open() {
        let keys = keys(&[1]);
        let sealed = keys.seal("p", b"b", b"words").unwrap();
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert!(keys.open("p", b"b", &altered).is_none(), "character {at}");
            assert!(keys.open("p", b"b", &sealed[..at]).is_none(), "cut at {at}");
        }
        for altered in [
            format!("{sealed}="),
            format!("{sealed}A"),
            format!(" {sealed}"),
            format!("{sealed}\n"),
            sealed.replacen("1.", "01.", 1),
            sealed.replacen("1.", "+1.", 1),
            sealed.replacen("1.", "-1.", 1),
            sealed.replacen("1.", "99999999999999999999.", 1),
            sealed.replacen("1.", "", 1),
        ] {
            assert!(keys.open("p", b"b", &altered).is_none(), "{altered}");
        }
    }

    #[test]
    fn sizes_are_limited_and_the_largest_sealed_value_opens() {
        let keys = keys(&[i64::MAX]);
        let most = MAX_SEALED_BYTES / 4 * 3 - 48 - 20;
        let sealed = keys.seal("p", b"b", &vec![7; most]).unwrap();
        assert!(sealed.len() <= MAX_SEALED_BYTES);
        assert_eq!(keys.open("p", b"b", &sealed).unwrap().len(), most);
        assert!(keys.seal("p", b"b", &vec![7; most + 1]).is_err());
        assert!(keys.open("p", b"b", &format!("1.{}", "A".repeat(1_000_000))).is_none());
    }

    #[test]
    fn keys_do_not_print() {
        assert_eq!(format!("{:?}", keys(&[4])), "SealingKeys(newest 4)");
    }
}
