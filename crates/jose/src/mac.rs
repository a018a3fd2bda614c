//! MAC keys. A refresh token is a value authenticated with one, so the database stores no tokens.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::Secret;

use crate::JoseError;
use crate::ring::{self, Ring};
use crate::seal::framed;

/// HMAC-SHA256 keys by number: the key with the greatest number signs, all verify. Shared in an `Arc`.
pub struct MacKeys(Ring<hmac::Key>);

impl MacKeys {
    /// Takes unique numbers (zero or greater) and the texts of [`MacKeys::generate`].
    pub fn new(keys: Vec<(i64, Secret)>) -> Result<Self, JoseError> {
        Ring::new(keys, |bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes)).map(Self)
    }

    /// The text of a new key: 32 random bytes in base64url.
    pub fn generate() -> Result<Secret, JoseError> {
        ring::generate()
    }

    /// The number of the key that signs.
    pub fn newest(&self) -> i64 {
        self.0.newest().0
    }

    /// The number of the key and the MAC, 43 characters of base64url.
    pub fn sign(&self, purpose: &str, message: &str) -> (i64, String) {
        let (number, key) = self.0.newest();
        (number, URL_SAFE_NO_PAD.encode(hmac::sign(key, &statement(purpose, message))))
    }

    /// Compares in constant time. False for an unknown number.
    pub fn verify(&self, number: i64, purpose: &str, message: &str, mac: &str) -> bool {
        let (Some(key), Ok(tag)) = (self.0.get(number), URL_SAFE_NO_PAD.decode(mac)) else {
            return false;
        };
        hmac::verify(key, &statement(purpose, message), &tag).is_ok()
    }
}

fn statement(purpose: &str, message: &str) -> Vec<u8> {
    framed(&[purpose.as_bytes(), message.as_bytes()])
}

impl fmt::Debug for MacKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKeys(newest {})", self.newest())
    }
}

#[cfg(test)]
mod tests {
    use super::MacKeys;

    fn keys(numbers: &[i64]) -> MacKeys {
        MacKeys::new(numbers.iter().map(|n| (*n, MacKeys::generate().unwrap())).collect()).unwrap()
    }

    #[test]
    fn a_statement_verifies_under_its_key_and_purpose_only() {
        let keys = keys(&[1, 2]);
        let (number, mac) = keys.sign("refresh", "grant.7");
        assert_eq!((number, keys.newest()), (2, 2));
        assert!(keys.verify(2, "refresh", "grant.7", &mac));
        assert!(!keys.verify(1, "refresh", "grant.7", &mac), "another key");
        assert!(!keys.verify(3, "refresh", "grant.7", &mac), "an unknown key");
        assert!(!keys.verify(2, "other", "grant.7", &mac), "another purpose");
        assert!(!keys.verify(2, "refresh", "grant.8", &mac), "another message");
        assert!(!keys.verify(2, "refreshg", "rant.7", &mac), "a boundary moved");
    }

    #[test]
    fn a_statement_of_an_older_key_still_verifies() {
        let (first, second) = (MacKeys::generate().unwrap(), MacKeys::generate().unwrap());
        let before = MacKeys::new(vec![(1, first.clone())]).unwrap();
        let (number, mac) = before.sign("refresh", "grant.7");
        let after = MacKeys::new(vec![(2, second), (1, first)]).unwrap();
        assert!(after.verify(number, "refresh", "grant.7", &mac));
        assert_eq!(after.newest(), 2);
    }

    #[test]
    fn an_altered_mac_is_refused() {
        let keys = keys(&[1]);
        let (_, mac) = keys.sign("refresh", "grant.7");
        let mut altered = vec![
            String::new(),
            format!("{mac}="),
            format!("{mac}A"),
            format!(" {mac}"),
            format!("{mac}\n"),
            mac.to_uppercase(),
            mac[..42].to_owned(),
            mac[..22].to_owned(),
        ];
        // The last two bits of the 43rd character are unused and must be zero.
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
            altered.push(format!("{}{last}", &mac[..42]));
        }
        altered.retain(|text| *text != mac);
        for text in altered {
            assert!(!keys.verify(1, "refresh", "grant.7", &text), "{text:?}");
        }
    }

    #[test]
    fn keys_do_not_print() {
        assert_eq!(format!("{:?}", keys(&[4])), "MacKeys(newest 4)");
    }
}
