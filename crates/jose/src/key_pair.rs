//! Generates signing keys. `signing` uses them; the caller decides when to generate, publish and drop them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::Secret;
use countersign_core::ids::{NoRandomness, random_bytes};
use josekit::jwk::Jwk;
use josekit::jwk::KeyPair as _;
use josekit::jwk::alg::ec::EcKeyPair;
use josekit::jwk::alg::rsa::RsaKeyPair;
use rsa::PrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::PublicKeyParts;
use zeroize::Zeroizing;

use crate::hash::hex;
use crate::jwk::PublicJwk;
use crate::{Algorithm, JoseError};

/// The API server's flags accept RS256 of any size; signatures with larger keys cost several times more.
const RSA_BITS: usize = 2048;

/// A signing key as stored.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// 20 random bytes in hex, as Dex names its keys.
    pub kid: String,
    pub algorithm: Algorithm,
    /// PKCS#8 in PEM. It must be sealed before it is stored.
    pub private_key: Secret,
    /// JSON: `use`, `kty`, `kid`, `alg`, then `n`, `e` or `crv`, `x`, `y`. No private members.
    pub public_jwk: String,
}

impl KeyPair {
    /// A new key. RSA takes about 60 ms of CPU, at times five times that: call it on a blocking thread.
    pub fn generate(algorithm: Algorithm) -> Result<Self, JoseError> {
        let kid = hex(&random_bytes::<20>()?);
        let (private_key, jwk) = match algorithm {
            Algorithm::RS256 => rsa_key(&kid)?,
            ecdsa => ec_key(&kid, ecdsa)?,
        };
        Ok(Self { kid, algorithm, private_key, public_jwk: jwk.to_json()? })
    }
}

impl KeyPair {
    /// A key pair from another program's private JWK (RFC 7517 section 9.3) with `kid` and `alg`. `Err` does not
    /// contain the key.
    pub fn from_private_jwk(text: &Secret) -> Result<Self, JoseError> {
        let bad = |reason| JoseError::BadSigningKey { kid: String::new(), reason };
        let jwk = Jwk::from_bytes(text.expose()).map_err(|_| bad("is not a JWK"))?;
        let kid = jwk.key_id().filter(|kid| !kid.is_empty()).ok_or_else(|| bad("has no kid"))?;
        let algorithm = jwk.algorithm().and_then(Algorithm::parse);
        let algorithm = algorithm.ok_or_else(|| bad("has no supported algorithm"))?;
        let member = |name| {
            let value = jwk.parameter(name).and_then(|value| value.as_str());
            value.map(str::to_owned).ok_or_else(|| bad("lacks a public part"))
        };
        let (pem, public) = match algorithm {
            Algorithm::RS256 => {
                let pair = RsaKeyPair::from_jwk(&jwk).map_err(|_| bad("is not an RSA key"))?;
                (pair.to_pem_private_key(), PublicJwk::rsa(kid, member("n")?, member("e")?))
            }
            ecdsa => {
                let pair = EcKeyPair::from_jwk(&jwk).map_err(|_| bad("is not an EC key"))?;
                let public = PublicJwk::ec(kid, ecdsa, member("x")?, member("y")?);
                (pair.to_pem_private_key(), public)
            }
        };
        let pem = Zeroizing::new(pem);
        let pem = std::str::from_utf8(&pem).map_err(|_| bad("cannot be written as PEM"))?;
        let private_key = Secret::new(pem);
        // Unusable keys (too short, another curve) are refused here instead of at the first signature.
        crate::Signer::new(kid, algorithm, &private_key)?;
        public.verifier()?;
        Ok(Self { kid: kid.to_owned(), algorithm, private_key, public_jwk: public.to_json()? })
    }
}

fn rsa_key(kid: &str) -> Result<(Secret, PublicJwk), JoseError> {
    let key = PrivateKey::new(&mut SystemRandom, RSA_BITS)
        .map_err(|_| JoseError::Library("generate an RSA key"))?;
    let pem =
        key.to_pkcs8_pem(LineEnding::LF).map_err(|_| JoseError::Library("encode an RSA key"))?;
    let (n, e) = (URL_SAFE_NO_PAD.encode(key.n_bytes()), URL_SAFE_NO_PAD.encode(key.e_bytes()));
    Ok((Secret::new(pem.as_str()), PublicJwk::rsa(kid, n, e)))
}

fn ec_key(kid: &str, algorithm: Algorithm) -> Result<(Secret, PublicJwk), JoseError> {
    let broken = || JoseError::Library("generate an EC key");
    let (curve, _) = algorithm.ecdsa().ok_or_else(broken)?;
    let key = EcKeyPair::generate(curve).map_err(|_| broken())?;
    // The PEM is PKCS#8; the library's DER would be SEC 1.
    let pem = Zeroizing::new(key.to_pem_private_key());
    let pem = std::str::from_utf8(&pem).map_err(|_| broken())?;
    let public = key.to_jwk_public_key();
    let coordinate = |name| {
        public.parameter(name).and_then(|c| c.as_str()).map(str::to_owned).ok_or_else(broken)
    };
    Ok((Secret::new(pem), PublicJwk::ec(kid, algorithm, coordinate("x")?, coordinate("y")?)))
}

/// Adapts `countersign_core`'s randomness to the trait that `rsa` requires.
struct SystemRandom;

impl TryRng for SystemRandom {
    type Error = NoRandomness;

    fn try_next_u32(&mut self) -> Result<u32, NoRandomness> {
        random_bytes().map(u32::from_ne_bytes)
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandomness> {
        random_bytes().map(u64::from_ne_bytes)
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), NoRandomness> {
        for chunk in into.chunks_mut(32) {
            let fresh = Zeroizing::new(random_bytes::<32>()?);
            for (to, from) in chunk.iter_mut().zip(fresh.iter()) {
                *to = *from;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for SystemRandom {}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::tests::{EC, RSA};
    use crate::{Algorithm, KeyPair, Verifiers};

    #[test]
    fn a_stored_key_is_pkcs8_has_dexs_kid_and_does_not_print_its_private_half() {
        for pair in [&*RSA, &*EC] {
            assert!(pair.private_key.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
            assert_eq!(pair.kid.len(), 40);
            assert!(pair.kid.bytes().all(|b| b.is_ascii_hexdigit()));
            let printed = format!("{pair:?}");
            assert!(printed.contains("[secret]") && !printed.contains("BEGIN"), "{printed}");
        }
    }

    #[test]
    fn an_rsa_key_has_2048_bits_and_the_usual_exponent() {
        let jwk: Value = serde_json::from_str(&RSA.public_jwk).unwrap();
        assert_eq!(jwk["n"].as_str().unwrap().len(), 342, "256 bytes, no zero in front");
        assert_eq!(jwk["e"], "AQAB");
        assert!(RSA.public_jwk.starts_with(r#"{"use":"sig","kty":"RSA","kid":""#));
    }

    #[test]
    fn no_two_keys_are_alike_and_no_private_member_is_public() {
        let (one, two) = (KeyPair::generate(Algorithm::ES256), KeyPair::generate(Algorithm::ES256));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one.kid, two.kid);
        assert_ne!(one.private_key.expose(), two.private_key.expose());
        assert!(!one.public_jwk.contains("\"d\""));
        assert!(Verifiers::new(&[one.public_jwk, two.public_jwk]).is_ok());
    }
}
