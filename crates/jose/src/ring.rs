//! Numbered keys of one kind: the one with the greatest number is used for new values, all of them verify or open.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::{Secret, ids};
use zeroize::Zeroizing;

use crate::JoseError;

const KEY_BYTES: usize = 32;

/// Never empty.
pub(crate) struct Ring<K> {
    newest: (i64, K),
    older: Vec<(i64, K)>,
}

impl<K> Ring<K> {
    /// Parses 32 bytes of base64url from each text.
    pub(crate) fn new(
        keys: Vec<(i64, Secret)>,
        make: impl Fn(&[u8]) -> K,
    ) -> Result<Self, JoseError> {
        let mut read = Vec::with_capacity(keys.len());
        for (number, text) in keys {
            let bad = |reason| JoseError::BadNumberedKey { number, reason };
            if number < 0 {
                return Err(bad("a number is never negative"));
            }
            if read.iter().any(|(seen, _)| *seen == number) {
                return Err(bad("the number is used twice"));
            }
            let bytes = URL_SAFE_NO_PAD
                .decode(text.expose())
                .map(Zeroizing::new)
                .map_err(|_| bad("is not base64url"))?;
            if bytes.len() != KEY_BYTES {
                return Err(bad("is not 32 bytes long"));
            }
            read.push((number, make(&bytes)));
        }
        read.sort_by_key(|(number, _)| *number);
        let newest = read.pop().ok_or(JoseError::NoKeys)?;
        Ok(Self { newest, older: read })
    }

    pub(crate) fn newest(&self) -> (i64, &K) {
        (self.newest.0, &self.newest.1)
    }

    pub(crate) fn get(&self, number: i64) -> Option<&K> {
        std::iter::once(&self.newest)
            .chain(&self.older)
            .find(|(known, _)| *known == number)
            .map(|(_, key)| key)
    }
}

/// The text of a new key.
pub(crate) fn generate() -> Result<Secret, JoseError> {
    Ok(Secret::new(ids::random_token()?))
}

#[cfg(test)]
mod tests {
    use countersign_core::Secret;

    use super::{Ring, generate};

    #[test]
    fn the_greatest_number_is_the_newest_in_whatever_order_they_come() {
        let keys = [3, 10, 7].map(|number| (number, generate().unwrap()));
        let ring = Ring::new(keys.to_vec(), |_| ()).unwrap();
        assert_eq!(ring.newest().0, 10);
        assert!(ring.get(3).is_some() && ring.get(7).is_some() && ring.get(10).is_some());
        assert!(ring.get(4).is_none());
    }

    #[test]
    fn weak_repeated_negative_and_missing_keys_are_refused_without_showing_them() {
        let good = generate().unwrap();
        for (keys, reason) in [
            (vec![], "there is no"),
            (vec![(1, Secret::new(""))], "32 bytes"),
            (vec![(1, Secret::new("c2hvcnQ"))], "32 bytes"),
            (vec![(1, Secret::new("not base64 at all"))], "base64url"),
            (vec![(1, good.clone()), (1, good.clone())], "twice"),
            (vec![(-1, good.clone())], "negative"),
        ] {
            let error = Ring::new(keys, |_| ()).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("c2hvcnQ") && !error.contains(good.expose()));
        }
    }
}
