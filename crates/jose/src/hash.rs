//! Hashes by purpose, for values of high entropy; passwords are hashed elsewhere.

use aws_lc_rs::digest::{Digest, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::Secret;

use crate::Algorithm;

/// Base64url without padding, 43 characters; the stored form of codes and cookies.
pub fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

/// 64 lowercase hex digits, for derived names such as a cookie prefix or a fingerprint.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// HMAC-SHA-256 (RFC 2104) as base64url without padding, for values whose equality is told to somebody who must not be
/// able to test guesses at them.
pub fn hmac_sha256(key: &Secret, message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, message))
}

/// `at_hash` of an access token, `c_hash` of a code: the left half of the hash, with the hash algorithm of the ID
/// token's signature (OpenID Connect Core 1.0 sections 3.1.3.6 and 3.3.2.11).
pub fn half_hash(algorithm: Algorithm, text: &str) -> String {
    let whole = of_signature(algorithm, text.as_bytes());
    let whole = whole.as_ref();
    let (left, _) = whole.split_at(whole.len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

/// The hash that a signature with this algorithm signs (RFC 7518 sections 3.3 and 3.4).
pub(crate) fn of_signature(algorithm: Algorithm, signed: &[u8]) -> Digest {
    match algorithm {
        Algorithm::RS256 | Algorithm::ES256 => digest(&SHA256, signed),
        Algorithm::ES384 => digest(&SHA384, signed),
        Algorithm::ES512 => digest(&SHA512, signed),
    }
}

/// The `code_challenge` of a `code_verifier` by method `S256` (RFC 7636 section 4.2).
pub fn s256(verifier: &str) -> String {
    sha256(verifier)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use countersign_core::Secret;

    use super::{half_hash, hmac_sha256, s256, sha256, sha256_hex};
    use crate::Algorithm;

    #[test]
    fn at_hash_and_c_hash_are_those_of_openid_connect_core_appendix_a() {
        for algorithm in [Algorithm::RS256, Algorithm::ES256] {
            assert_eq!(
                half_hash(algorithm, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
                "77QmUPtjPfzWtF2AnpK9RQ"
            );
            assert_eq!(
                half_hash(algorithm, "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"),
                "LDktKdoQak3Pk0cnXxCltA"
            );
        }
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        assert_eq!(
            s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn the_hmac_is_that_of_rfc_4231_section_4_3() {
        assert_eq!(
            hmac_sha256(&Secret::new("Jefe"), b"what do ya want for nothing?"),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"
        );
    }

    #[test]
    fn sha256_is_that_of_fips_180_in_both_spellings() {
        assert_eq!(sha256("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
