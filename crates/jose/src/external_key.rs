//! A signing key whose private half another service keeps: its public half from PEM, the JWT that the service is to
//! sign, and the verification of the signature it returns.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use josekit::jws::JwsVerifier;
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use serde::Serialize;

use crate::hash::of_signature;
use crate::jwk::PublicJwk;
use crate::{Algorithm, JoseError};

/// The public half, parsed once and shared in an `Arc`.
pub struct ExternalKey {
    kid: String,
    algorithm: Algorithm,
    public_jwk: String,
    verifier: Box<dyn JwsVerifier>,
}

/// Header and claims of a JWT, and the hash that is to be signed.
pub struct UnsignedToken {
    signed: String,
    digest: Vec<u8>,
}

impl UnsignedToken {
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}

/// Members in the order of [`crate::Signer`].
#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<&'a str>,
}

impl ExternalKey {
    /// `pem` is a `SubjectPublicKeyInfo` ("PUBLIC KEY"). RSA keys of 2048 bits or more sign with RS256, keys on P-256,
    /// P-384 and P-521 with ES256, ES384 and ES512; others are refused. The `kid` is the SHA-256 thumbprint
    /// (RFC 7638), as with Dex's Vault signer, so it is the same wherever the key is read.
    pub fn from_pem(pem: &str) -> Result<Self, JoseError> {
        let bad = |reason| JoseError::BadSigningKey { kid: String::new(), reason };
        let der = der_of(pem).ok_or_else(|| bad("is not a public key in PEM"))?;
        let unsupported = "is neither an RSA key nor on P-256, P-384 or P-521";
        let mut jwk = public_jwk(&der).ok_or_else(|| bad(unsupported))?;
        jwk.kid = jwk.thumbprint();
        let (algorithm, verifier) = jwk.verifier()?;
        let public_jwk = jwk.to_json()?;
        Ok(Self { kid: jwk.kid, algorithm, public_jwk, verifier })
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// As [`crate::KeyPair::public_jwk`].
    pub fn public_jwk(&self) -> &str {
        &self.public_jwk
    }

    /// The claims are signed unchanged, as by [`crate::Signer::sign`].
    pub fn prepare(
        &self,
        typ: Option<&str>,
        claims_json: &[u8],
    ) -> Result<UnsignedToken, JoseError> {
        let header = Header { alg: self.algorithm.as_str(), kid: &self.kid, typ };
        let header =
            serde_json::to_vec(&header).map_err(|_| JoseError::Library("write a header"))?;
        let (header, claims) =
            (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims_json));
        let signed = format!("{header}.{claims}");
        let digest = of_signature(self.algorithm, signed.as_bytes()).as_ref().to_vec();
        Ok(UnsignedToken { signed, digest })
    }

    /// The JWT with its signature (for ECDSA the concatenation of RFC 7518 section 3.4). A signature that does not
    /// verify is an error, so that no token leaves which its recipient would refuse.
    pub fn complete(
        &self,
        unsigned: &UnsignedToken,
        signature: &[u8],
    ) -> Result<String, JoseError> {
        let signed = &unsigned.signed;
        self.verifier.verify(signed.as_bytes(), signature).map_err(|_| {
            JoseError::BadSigningKey {
                kid: self.kid.clone(),
                reason: "the signature does not fit the public key",
            }
        })?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExternalKey({} {})", self.algorithm, self.kid)
    }
}

/// The bytes between the two lines of a public key in PEM (RFC 7468 section 13).
fn der_of(pem: &str) -> Option<Vec<u8>> {
    let (_, body) = pem.split_once("-----BEGIN PUBLIC KEY-----")?;
    let (body, _) = body.split_once("-----END PUBLIC KEY-----")?;
    let joined: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(joined).ok()
}

/// The JWK of a `SubjectPublicKeyInfo`, without a `kid`.
fn public_jwk(der: &[u8]) -> Option<PublicJwk> {
    for (algorithm, start) in EC_STARTS {
        if let Some(point) = der.strip_prefix(start) {
            let (x, y) = point.split_at_checked(point.len() / 2)?;
            let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
            return Some(PublicJwk::ec("", algorithm, x, y));
        }
    }
    let key = rsa::PublicKey::from_public_key_der(der).ok()?;
    let (n, e) = (URL_SAFE_NO_PAD.encode(key.n_bytes()), URL_SAFE_NO_PAD.encode(key.e_bytes()));
    Some(PublicJwk::rsa("", n, e))
}

/// How the DER of an uncompressed point begins on each curve (RFC 5480 section 2): two sequences, `id-ecPublicKey`, the
/// curve, and a bit string that starts with 4. The coordinates follow.
const EC_STARTS: [(Algorithm, &[u8]); 3] = [
    (
        Algorithm::ES256,
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04",
    ),
    (
        Algorithm::ES384,
        b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04",
    ),
    (
        Algorithm::ES512,
        b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04",
    ),
];

#[cfg(test)]
mod tests {
    use josekit::jwk::KeyPair as _;
    use josekit::jwk::alg::ed::{EdCurve, EdKeyPair};
    use josekit::jwk::alg::rsa::RsaKeyPair;
    use josekit::jws::RS256;

    use super::ExternalKey;
    use crate::tests::signer;
    use crate::{Algorithm, KeyPair, Verifiers};

    fn public_pem(pair: &KeyPair) -> String {
        let pem = pair.private_key.expose();
        let pem = match pair.algorithm.ecdsa() {
            None => RS256.key_pair_from_pem(pem).unwrap().to_pem_public_key(),
            Some((_, ecdsa)) => ecdsa.key_pair_from_pem(pem).unwrap().to_pem_public_key(),
        };
        String::from_utf8(pem).unwrap()
    }

    #[test]
    fn a_token_with_an_external_signature_is_that_of_a_local_signer_and_verifies() {
        use Algorithm::{ES256, ES384, ES512, RS256};
        for algorithm in [RS256, ES256, ES384, ES512] {
            let pair = KeyPair::generate(algorithm).unwrap();
            let key = ExternalKey::from_pem(&public_pem(&pair)).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let local = KeyPair { kid: key.kid().to_owned(), ..pair };
            let signed = signer(&local).sign(Some("at+jwt"), br#"{"iss":"i"}"#).unwrap();
            let (text, signature) = signed.rsplit_once('.').unwrap();
            let unsigned = key.prepare(Some("at+jwt"), br#"{"iss":"i"}"#).unwrap();
            assert_eq!(unsigned.signed, text);
            let signature = crate::verify::decode(signature).unwrap();
            assert_eq!(key.complete(&unsigned, &signature).unwrap(), signed);
            let other = key.prepare(None, br#"{"iss":"j"}"#).unwrap();
            let error = key.complete(&other, &signature).unwrap_err().to_string();
            assert!(error.contains("does not fit the public key"), "{error}");
            assert!(Verifiers::new(&[key.public_jwk().to_owned()]).is_ok(), "{algorithm}");
        }
    }

    // The example of RFC 7638 section 3.1.
    #[test]
    fn the_kid_is_the_thumbprint_of_rfc_7638() {
        let jwk = r#"{"use":"sig","kty":"RSA","kid":"x","alg":"RS256","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}"#;
        let jwk = crate::jwk::PublicJwk::parse(jwk).unwrap();
        assert_eq!(jwk.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn other_keys_are_refused() {
        let pem = |pem| String::from_utf8(pem).unwrap();
        let weak = pem(RsaKeyPair::generate(1024).unwrap().to_pem_public_key());
        let edwards = pem(EdKeyPair::generate(EdCurve::Ed25519).unwrap().to_pem_public_key());
        for (text, reason) in [
            (weak.as_str(), "2048 bits"),
            (edwards.as_str(), "neither an RSA key nor"),
            ("", "in PEM"),
            ("lvzLSJkGWyVvMDkfCFOcmuXiyh0xQTnSLNUpAvJuLEY=", "in PEM"),
        ] {
            let error = ExternalKey::from_pem(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
