//! Root keys: they seal secrets in the database and are never stored there.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_core::{Secret, ids};
use zeroize::Zeroizing;

use crate::JoseError;
use crate::hash::hex;
use crate::seal::{self, framed};

const PLAIN: &str = "plain:";
const SEALED: &str = "s1.";
const MIN_CHARACTERS: usize = 32;

/// The configured keys: the first seals, all open. Clones share them; `Debug` prints only how many there are.
#[derive(Clone)]
pub struct RootKeys(Arc<[RootKey]>);

struct RootKey {
    /// 16 hex digits, stored with every sealed value, to distinguish a wrong key from a damaged value.
    id: String,
    text: Secret,
}

/// A root key that is too short, or no key where one is required.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakRootKey {
    #[error("the list of root keys is empty")]
    Empty,
    #[error("root key {position} has {characters} characters, and at least 32 are needed")]
    Short { position: usize, characters: usize },
}

/// Why a sealed value cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotOpen {
    /// Sealed under a root key that is not configured. No new keys must be created in its place.
    #[error("sealed under a root key that is not configured")]
    OtherRootKey,
    /// Altered, truncated, or sealed for another purpose.
    #[error("damaged, or sealed for another purpose")]
    Damaged,
}

impl RootKeys {
    /// No sealing: values are stored with the prefix `plain:`, as for a Dex configuration without a root key.
    pub fn none() -> Self {
        Self(Arc::new([]))
    }

    /// Takes at least one text, each with at least 32 characters after trimming (files end in a newline). Positions in
    /// the error begin at 1.
    pub fn new(keys: &[Secret]) -> Result<Self, WeakRootKey> {
        let mut read = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let text = key.expose().trim();
            let characters = text.chars().count();
            if characters < MIN_CHARACTERS {
                return Err(WeakRootKey::Short { position: index + 1, characters });
            }
            read.push(RootKey { id: id_of(text), text: Secret::new(text) });
        }
        if read.is_empty() {
            return Err(WeakRootKey::Empty);
        }
        Ok(Self(read.into()))
    }

    /// The text for a new root key file: 32 random bytes in base64, 44 characters.
    pub fn generate() -> Result<Secret, JoseError> {
        let bytes = Zeroizing::new(ids::random_bytes::<32>()?);
        Ok(Secret::new(STANDARD.encode(bytes.as_slice())))
    }

    /// True if values are stored unsealed.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// `s1.<key id>.<base64url>`, under a key derived for this value; without a root key `plain:<base64url>`.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<String, JoseError> {
        let Some(key) = self.0.first() else {
            return Ok(format!("{PLAIN}{}", URL_SAFE_NO_PAD.encode(plain)));
        };
        let sealed = seal::seal(key.text.expose().as_bytes(), &context(purpose), plain)?;
        Ok(format!("{SEALED}{}.{}", key.id, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens values sealed by any of the keys for `purpose`, and `plain:` values, so that a root key can be added to an
    /// existing database. A `plain:` value is not authenticated: it should be resealed ([`RootKeys::is_current`]).
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        if let Some(body) = sealed.strip_prefix(PLAIN) {
            return decode(body).map(Zeroizing::new);
        }
        let (id, body) = parts(sealed).ok_or(CannotOpen::Damaged)?;
        let key = self.0.iter().find(|key| key.id == id).ok_or(CannotOpen::OtherRootKey)?;
        seal::open(key.text.expose().as_bytes(), &context(purpose), &decode(body)?)
            .ok_or(CannotOpen::Damaged)
    }

    /// False if the value should be resealed: it is plain although there is a root key, or sealed under a key other
    /// than the first. Decided by its prefix, without opening it.
    pub fn is_current(&self, sealed: &str) -> bool {
        match self.0.first() {
            None => sealed.starts_with(PLAIN),
            Some(first) => parts(sealed).is_some_and(|(id, _)| id == first.id),
        }
    }
}

/// The key id and the body of a sealed value; `None` if it does not have that format.
fn parts(sealed: &str) -> Option<(&str, &str)> {
    let (id, body) = sealed.strip_prefix(SEALED)?.split_once('.')?;
    let is_id = id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then_some((id, body))
}

fn decode(body: &str) -> Result<Vec<u8>, CannotOpen> {
    URL_SAFE_NO_PAD.decode(body).map_err(|_| CannotOpen::Damaged)
}

fn context(purpose: &str) -> Vec<u8> {
    framed(&[b"countersign root seal 1", purpose.as_bytes()])
}

/// A one-way key id: an HMAC keyed by the text, which reveals nothing about derived keys.
fn id_of(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
    let mut id = hex(hmac::sign(&key, b"countersign root key id").as_ref());
    id.truncate(16);
    id
}

impl fmt::Debug for RootKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::Secret;

    use super::{CannotOpen, RootKeys, WeakRootKey};

    const OLD: &str = "the first root key of this test, old";
    const NEW: &str = "the second root key of this test, new";

    fn keys(texts: &[&str]) -> RootKeys {
        RootKeys::new(&texts.iter().map(|text| Secret::new(*text)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_for_its_purpose_and_shows_nothing() {
        let root = keys(&[OLD]);
        let sealed = root.seal("signing key", b"PRIVATE").unwrap();
        assert!(sealed.starts_with("s1.") && !sealed.contains("UFJJVkFURQ"), "{sealed}");
        assert_ne!(sealed, root.seal("signing key", b"PRIVATE").unwrap(), "a fresh key each time");
        assert_eq!(&root.open("signing key", &sealed).unwrap()[..], b"PRIVATE");
        assert_eq!(root.open("mac key", &sealed), Err(CannotOpen::Damaged), "another purpose");
    }

    #[test]
    fn a_wrong_root_key_is_distinguished_from_a_damaged_value() {
        let sealed = keys(&[OLD]).seal("p", b"x").unwrap();
        assert_eq!(keys(&[NEW]).open("p", &sealed), Err(CannotOpen::OtherRootKey));
        assert_eq!(RootKeys::none().open("p", &sealed), Err(CannotOpen::OtherRootKey));
        let body = sealed.rfind('.').unwrap() + 1;
        for at in body..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert_eq!(keys(&[OLD]).open("p", &altered), Err(CannotOpen::Damaged), "{at}");
            assert_eq!(keys(&[OLD]).open("p", &sealed[..at]), Err(CannotOpen::Damaged), "cut {at}");
        }
        for text in ["", "s1", "s1.", "s1..", "s2.0011223344556677.AAAA", "s1.short.AAAA", "x"] {
            assert_eq!(keys(&[OLD]).open("p", text), Err(CannotOpen::Damaged), "{text:?}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let sealed = keys(&[OLD]).seal("p", b"x").unwrap();
        let both = keys(&[NEW, OLD]);
        assert_eq!(&both.open("p", &sealed).unwrap()[..], b"x");
        assert!(!both.is_current(&sealed));
        let again = both.seal("p", b"x").unwrap();
        assert!(both.is_current(&again));
        assert_eq!(&keys(&[NEW]).open("p", &again).unwrap()[..], b"x");
    }

    #[test]
    fn without_a_root_key_values_are_plain_and_a_key_can_be_added_later() {
        let none = RootKeys::none();
        let plain = none.seal("p", b"x").unwrap();
        assert!(plain.starts_with("plain:") && none.is_none() && none.is_current(&plain));
        assert_eq!(&none.open("p", &plain).unwrap()[..], b"x");
        let root = keys(&[OLD]);
        assert_eq!(&root.open("p", &plain).unwrap()[..], b"x");
        assert!(!root.is_none() && !root.is_current(&plain));
        assert_eq!(none.open("p", "plain:?"), Err(CannotOpen::Damaged));
    }

    #[test]
    fn short_and_missing_root_keys_are_refused_with_their_position() {
        assert_eq!(RootKeys::new(&[]).unwrap_err(), WeakRootKey::Empty);
        let padded = Secret::new(format!("{}\n   ", "x".repeat(31)));
        assert_eq!(
            RootKeys::new(&[Secret::new(OLD), padded]).unwrap_err(),
            WeakRootKey::Short { position: 2, characters: 31 }
        );
        // 32 bytes, 16 characters.
        assert!(RootKeys::new(&[Secret::new("é".repeat(16))]).is_err());
    }

    #[test]
    fn a_generated_root_key_is_accepted_with_a_trailing_newline() {
        let text = RootKeys::generate().unwrap();
        assert_eq!(text.expose().len(), 44);
        let sealed = keys(&[text.expose()]).seal("p", b"x").unwrap();
        assert!(keys(&[&format!("{}\n", text.expose())]).open("p", &sealed).is_ok());
    }

    #[test]
    fn root_keys_do_not_print() {
        assert_eq!(format!("{:?}", keys(&[OLD, NEW])), "RootKeys(2)");
    }
}
