//! Verifies ID tokens of upstream issuers, with more algorithms and header members than for our own tokens.
//!
//! As in `verify`, the stored key determines the possible algorithms, and the token only selects one of them (RFC 8725
//! section 3.1). Symmetric algorithms and `none` are not implemented.

use std::fmt;

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{ES256, ES384, ES512, JwsVerifier, PS256, PS384, PS512, RS256, RS384, RS512};
use serde_json::{Map, Value, json};

use crate::claims::object;
use crate::verify::{Parts, decode, take_text};
use crate::{Claims, Expected, Refused};

/// Further keys of a set are ignored. The largest known providers publish about a dozen.
const MAX_KEYS: usize = 64;

/// Header members that would change the meaning of signature or payload (RFC 7515 section 4.1.11, RFC 7797, RFC 7516).
/// Others are ignored as RFC 7515 section 4 requires, including `jwk`, `jku`, `x5c` and `x5u`: keys come only from the
/// configured key set.
const FORBIDDEN: [&str; 5] = ["crit", "b64", "zip", "enc", "epk"];

/// The key set of an upstream. Shared in an `Arc`.
pub struct UpstreamKeys(Vec<Key>);

struct Key {
    kid: Option<String>,
    algorithm: UpstreamAlgorithm,
    verifier: Box<dyn JwsVerifier>,
}

/// Signature algorithms accepted from upstreams (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
}

use UpstreamAlgorithm as Alg;

const OF_RSA: [Alg; 6] = [Alg::RS256, Alg::RS384, Alg::RS512, Alg::PS256, Alg::PS384, Alg::PS512];

impl UpstreamAlgorithm {
    const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
        }
    }

    /// `at_hash` or `c_hash` for a token signed with this algorithm (OpenID Connect Core 1.0 section 3.1.3.6).
    pub fn half_hash(self, text: &str) -> String {
        let by = match self {
            Self::RS256 | Self::PS256 | Self::ES256 => &SHA256,
            Self::RS384 | Self::PS384 | Self::ES384 => &SHA384,
            Self::RS512 | Self::PS512 | Self::ES512 => &SHA512,
        };
        let whole = digest(by, text.as_bytes());
        let (left, _) = whole.as_ref().split_at(whole.as_ref().len() / 2);
        URL_SAFE_NO_PAD.encode(left)
    }

    fn verifier(self, jwk: &Jwk) -> Option<Box<dyn JwsVerifier>> {
        Some(match self {
            Self::RS256 => Box::new(RS256.verifier_from_jwk(jwk).ok()?),
            Self::RS384 => Box::new(RS384.verifier_from_jwk(jwk).ok()?),
            Self::RS512 => Box::new(RS512.verifier_from_jwk(jwk).ok()?),
            Self::PS256 => Box::new(PS256.verifier_from_jwk(jwk).ok()?),
            Self::PS384 => Box::new(PS384.verifier_from_jwk(jwk).ok()?),
            Self::PS512 => Box::new(PS512.verifier_from_jwk(jwk).ok()?),
            Self::ES256 => Box::new(ES256.verifier_from_jwk(jwk).ok()?),
            Self::ES384 => Box::new(ES384.verifier_from_jwk(jwk).ok()?),
            Self::ES512 => Box::new(ES512.verifier_from_jwk(jwk).ok()?),
        })
    }
}

impl UpstreamKeys {
    /// Parses a key set (RFC 7517 section 5). Encryption keys, other key types and unusable keys (in particular RSA
    /// below 2048 bits) are ignored, as section 5 requires; of two with the same `kid` the first is used. The result
    /// may be empty. `None` if the text is not a key set.
    pub fn parse(key_set: &[u8]) -> Option<Self> {
        let mut keys: Vec<Key> = Vec::new();
        for jwk in object(key_set)?.get("keys")?.as_array()?.iter().take(MAX_KEYS) {
            let kid = jwk.get("kid").and_then(Value::as_str);
            if kid.is_some() && keys.iter().any(|key| key.kid.as_deref() == kid) {
                continue;
            }
            keys.extend(usable(jwk).into_iter().map(|(algorithm, verifier)| Key {
                kid: kid.map(str::to_owned),
                algorithm,
                verifier,
            }));
        }
        Some(Self(keys))
    }

    /// True if no token can be accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims and the algorithm, if `token` is a JWT in compact serialization, signed by a key of the set and as
    /// expected. A token without `kid` is verified with each key of its algorithm, as OpenID Connect Core 1.0 section
    /// 10.1 permits for a single key; the size of the set is bounded.
    pub fn verify(
        &self,
        token: &str,
        expected: &Expected<'_>,
    ) -> Result<(Claims, UpstreamAlgorithm), Refused> {
        let parts = Parts::of(token).ok_or(Refused::Malformed)?;
        let mut header =
            decode(parts.header).and_then(|bytes| object(&bytes)).ok_or(Refused::Malformed)?;
        if FORBIDDEN.iter().any(|name| header.contains_key(*name)) {
            return Err(Refused::Malformed);
        }
        let alg = take_text(&mut header, "alg").ok_or(Refused::Malformed)?;
        let kid = optional_text(&mut header, "kid")?;
        let typ = optional_text(&mut header, "typ")?;
        let signature = decode(parts.signature).ok_or(Refused::Malformed)?;
        let named = |key: &&Key| kid.is_none() || key.kid == kid;
        let mut candidates = self.0.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Err(Refused::UnknownKey);
        }
        let fits = |key: &&Key| {
            key.algorithm.as_str() == alg
                && key.verifier.verify(parts.signed.as_bytes(), &signature).is_ok()
        };
        let key = candidates.find(fits).ok_or(Refused::BadSignature)?;
        let claims = decode(parts.payload).and_then(|bytes| object(&bytes));
        let claims = Claims::of_upstream(claims.ok_or(Refused::Malformed)?)?;
        expected.check(typ.as_deref(), &claims)?;
        Ok((claims, key.algorithm))
    }
}

/// The algorithms of a key: the one in `alg`, or all of its key type if there is none.
fn usable(jwk: &Value) -> Vec<(Alg, Box<dyn JwsVerifier>)> {
    let text = |name| jwk.get(name).and_then(Value::as_str);
    // Null is an absent member: some libraries write all members of a key.
    let member = |name| jwk.get(name).filter(|member| !member.is_null());
    let for_signatures = member("use").is_none_or(|usage| usage == "sig");
    let may_verify = member("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"))
    });
    if !for_signatures || !may_verify {
        return Vec::new();
    }
    let (algorithms, public): (&[Alg], _) = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => {
            (&OF_RSA, json!({ "kty": "RSA", "n": jwk.get("n"), "e": jwk.get("e") }))
        }
        (Some("EC"), Some(crv)) => {
            // The length of a coordinate in base64url (RFC 7518 section 6.2.1.2); the library concatenates the two
            // without checking.
            let (algorithm, length): (&[Alg], _) = match crv {
                "P-256" => (&[Alg::ES256], 43),
                "P-384" => (&[Alg::ES384], 64),
                "P-521" => (&[Alg::ES512], 88),
                _ => return Vec::new(),
            };
            if ["x", "y"].iter().any(|name| text(name).is_none_or(|c| c.len() != length)) {
                return Vec::new();
            }
            let (x, y) = (jwk.get("x"), jwk.get("y"));
            (algorithm, json!({ "kty": "EC", "crv": crv, "x": x, "y": y }))
        }
        _ => return Vec::new(),
    };
    let Ok(public) = Jwk::from_bytes(public.to_string()) else { return Vec::new() };
    let named = |alg: &&Alg| member("alg").is_none_or(|name| name == alg.as_str());
    let ready = |alg: &Alg| Some((*alg, alg.verifier(&public)?));
    algorithms.iter().filter(named).filter_map(ready).collect()
}

fn optional_text(header: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Refused> {
    match header.get(name).is_some_and(|member| !member.is_null()) {
        true => take_text(header, name).map(Some).ok_or(Refused::Malformed),
        false => Ok(None),
    }
}

impl fmt::Debug for UpstreamKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamKeys({})", self.0.len())
    }
}
