//! The public half of a signing key as a JWK (RFC 7517), as stored, served and used for verification; and the
//! document at `/keys` (section 5).

use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::EcCurve;
use josekit::jws::{JwsVerifier, RS256};
use serde::{Deserialize, Serialize};

use crate::hash::sha256;
use crate::{Algorithm, JoseError};

/// The published members, in Dex's order. Unknown members are refused, so that a private part can be neither read nor
/// published by mistake.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublicJwk {
    #[serde(rename = "use")]
    pub(crate) usage: String,
    pub(crate) kty: String,
    pub(crate) kid: String,
    pub(crate) alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) e: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) y: Option<String>,
}

impl PublicJwk {
    pub(crate) fn rsa(kid: &str, n: String, e: String) -> Self {
        Self { n: Some(n), e: Some(e), ..Self::empty(kid, "RSA", Algorithm::RS256) }
    }

    pub(crate) fn ec(kid: &str, algorithm: Algorithm, x: String, y: String) -> Self {
        let crv = algorithm.ecdsa().map(|(curve, _)| curve.name().to_owned());
        Self { crv, x: Some(x), y: Some(y), ..Self::empty(kid, "EC", algorithm) }
    }

    fn empty(kid: &str, kty: &str, algorithm: Algorithm) -> Self {
        Self {
            usage: "sig".to_owned(),
            kty: kty.to_owned(),
            kid: kid.to_owned(),
            alg: algorithm.as_str().to_owned(),
            n: None,
            e: None,
            crv: None,
            x: None,
            y: None,
        }
    }

    /// The SHA-256 thumbprint (RFC 7638 section 3): the hash of the required members in lexicographic order.
    pub(crate) fn thumbprint(&self) -> String {
        let text = |member: &Option<String>| member.clone().unwrap_or_default();
        let (kty, crv) = (&self.kty, text(&self.crv));
        sha256(&match self.n {
            Some(_) => {
                format!(r#"{{"e":"{}","kty":"{kty}","n":"{}"}}"#, text(&self.e), text(&self.n))
            }
            None => {
                let (x, y) = (text(&self.x), text(&self.y));
                format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#)
            }
        })
    }

    /// The error does not contain the text, which may be a private key.
    pub(crate) fn parse(text: &str) -> Result<Self, JoseError> {
        serde_json::from_str(text).map_err(|_| JoseError::BadSigningKey {
            kid: String::new(),
            reason: "is not a public JWK with use, kty, kid, alg and nothing private",
        })
    }

    pub(crate) fn to_json(&self) -> Result<String, JoseError> {
        serde_json::to_string(self).map_err(|_| JoseError::Library("write a JWK"))
    }

    /// The algorithm of this key and its verifier. RSA keys below 2048 bits are refused.
    pub(crate) fn verifier(&self) -> Result<(Algorithm, Box<dyn JwsVerifier>), JoseError> {
        let bad = |reason| JoseError::BadSigningKey { kid: self.kid.clone(), reason };
        if self.kid.is_empty() {
            return Err(bad("has no kid"));
        }
        let algorithm =
            Algorithm::parse(&self.alg).ok_or_else(|| bad("has no supported algorithm"))?;
        let jwk = Jwk::from_bytes(self.to_json()?).map_err(|_| bad("is not a JWK"))?;
        let verifier: Box<dyn JwsVerifier> = match algorithm.ecdsa() {
            None => {
                let unfit = |_| bad("is not an RSA key of 2048 bits or more");
                Box::new(RS256.verifier_from_jwk(&jwk).map_err(unfit)?)
            }
            Some((curve, ecdsa)) => {
                // Of full length (RFC 7518 section 6.2.1.2); the library concatenates them unchecked.
                let length = coordinate_length(curve);
                if [&self.x, &self.y].iter().any(|c| c.as_ref().is_none_or(|c| c.len() != length)) {
                    return Err(bad("has coordinates of another length than its curve's"));
                }
                let unfit = |_| bad("is not a key on its algorithm's curve");
                Box::new(ecdsa.verifier_from_jwk(&jwk).map_err(unfit)?)
            }
        };
        Ok((algorithm, verifier))
    }
}

/// Characters of a coordinate in base64url without padding: of 32, 48 or 66 bytes.
const fn coordinate_length(curve: EcCurve) -> usize {
    match curve {
        EcCurve::P256 | EcCurve::Secp256k1 => 43,
        EcCurve::P384 => 64,
        EcCurve::P521 => 88,
    }
}

#[derive(Serialize)]
struct KeySet {
    keys: Vec<PublicJwk>,
}

/// The key id and the canonical text of another program's public JWK, if it can verify signatures.
pub fn usable_public_jwk(text: &str) -> Result<(String, String), crate::JoseError> {
    let jwk = PublicJwk::parse(text)?;
    jwk.verifier()?;
    Ok((jwk.kid.clone(), jwk.to_json()?))
}

/// `{"keys":[…]}` in the given order, indented by two spaces as in Dex. Accepts what [`crate::Verifiers::new`] accepts;
/// any other text, in particular one with private parts, is omitted instead of published.
pub fn key_set(public_jwks: &[&str]) -> String {
    let keys = public_jwks.iter().filter_map(|text| PublicJwk::parse(text).ok()).collect();
    // Serialization fails only for maps with non-string keys, which do not occur.
    serde_json::to_string_pretty(&KeySet { keys }).unwrap_or_else(|_| r#"{"keys":[]}"#.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::key_set;
    use crate::tests::{EC, RSA};

    #[test]
    fn the_set_has_dexs_shape_and_order() {
        let text = key_set(&[&EC.public_jwk, &RSA.public_jwk]);
        assert!(text.starts_with(
            "{\n  \"keys\": [\n    {\n      \"use\": \"sig\",\n      \"kty\": \"EC\","
        ));
        let set: Value = serde_json::from_str(&text).unwrap();
        let names =
            |i: usize| set["keys"][i].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(0), ["use", "kty", "kid", "alg", "crv", "x", "y"]);
        assert_eq!(names(1), ["use", "kty", "kid", "alg", "n", "e"]);
        assert_eq!(set["keys"][1]["kid"], RSA.kid);
        assert_eq!(key_set(&[]), "{\n  \"keys\": []\n}");
    }

    #[test]
    fn a_private_part_never_reaches_the_published_set() {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            let mut jwk: Value = serde_json::from_str(&RSA.public_jwk).unwrap();
            jwk[private] = "c2VjcmV0".into();
            let text = key_set(&[&jwk.to_string(), &EC.public_jwk]);
            assert!(!text.contains("c2VjcmV0") && text.contains(&EC.kid), "{private}");
        }
    }
}
