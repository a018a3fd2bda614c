//! Verifies JWTs: signature, type and times.
//!
//! The token does not decide how it is verified: its `kid` selects one of our keys, and that key determines the
//! algorithm (RFC 8725 sections 3.1 and 3.2). The caller checks the audience, and whether the session is live.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::Timestamp;
use josekit::jws::JwsVerifier;
use serde_json::{Map, Value};

use crate::claims::{Claims, Refused, object};
use crate::jwk::PublicJwk;
use crate::{Algorithm, JoseError};

/// Longer tokens are refused. This suffices for a user with a thousand groups.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// Public keys by `kid`, parsed once. Shared in an `Arc`.
pub struct Verifiers(HashMap<String, Key>);

struct Key {
    algorithm: Algorithm,
    verifier: Box<dyn JwsVerifier>,
}

/// What the token must satisfy.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Equal to `iss`, byte for byte (OpenID Connect Core 1.0 section 3.1.3.7).
    pub issuer: &'a str,
    pub typ: Typ,
    /// If set, `exp` is required and must be in the future, and `nbf` must not be. `None` checks neither: an
    /// `id_token_hint` may have expired (OpenID Connect RP-Initiated Logout 1.0 section 2).
    pub now: Option<Timestamp>,
    /// The maximum clock difference between replicas, or to an upstream.
    pub leeway: Duration,
}

/// The `typ` of the header, which distinguishes kinds of tokens (RFC 8725 section 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typ {
    /// An ID token: no `typ`, as in Dex and here, or `JWT` in any case, as with many upstreams.
    IdToken,
    /// Exactly this value: `at+jwt` (RFC 9068 section 2.1), `logout+jwt`.
    Exactly(&'static str),
}

impl Verifiers {
    /// Our own keys, as in [`crate::KeyPair::public_jwk`]. An unusable key, a private part or a repeated `kid` is an
    /// error, so that the defect is noticed at start-up.
    pub fn new(public_jwks: &[String]) -> Result<Self, JoseError> {
        let mut keys = HashMap::with_capacity(public_jwks.len());
        for text in public_jwks {
            let jwk = PublicJwk::parse(text)?;
            let (algorithm, verifier) = jwk.verifier()?;
            if keys.insert(jwk.kid.clone(), Key { algorithm, verifier }).is_some() {
                return Err(JoseError::BadSigningKey {
                    kid: jwk.kid,
                    reason: "the kid is used twice",
                });
            }
        }
        Ok(Self(keys))
    }

    /// True if no token can be accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims, if `token` is a JWT in compact serialization, signed by one of our keys and as expected.
    ///
    /// Only `alg`, `kid` (both required) and `typ` are allowed in the header. That excludes `crit` and `b64`
    /// (RFC 7515 section 4.1.11, RFC 7797), `jwk`, `jku`, `x5u`, `x5c`, `zip` and `cty`.
    pub fn verify(&self, token: &str, expected: &Expected<'_>) -> Result<Claims, Refused> {
        let parts = Parts::of(token).ok_or(Refused::Malformed)?;
        let header = Header::of(parts.header).ok_or(Refused::Malformed)?;
        let key = self.0.get(&header.kid).ok_or(Refused::UnknownKey)?;
        if header.alg != key.algorithm.as_str() {
            return Err(Refused::BadSignature);
        }
        let signature = decode(parts.signature).ok_or(Refused::Malformed)?;
        key.verifier
            .verify(parts.signed.as_bytes(), &signature)
            .map_err(|_| Refused::BadSignature)?;
        let claims = decode(parts.payload).and_then(|bytes| object(&bytes));
        let claims = Claims::new(claims.ok_or(Refused::Malformed)?)?;
        expected.check(header.typ.as_deref(), &claims)?;
        Ok(claims)
    }
}

impl Expected<'_> {
    pub(crate) fn check(&self, typ: Option<&str>, claims: &Claims) -> Result<(), Refused> {
        let fits = match self.typ {
            Typ::IdToken => typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT")),
            Typ::Exactly(wanted) => typ == Some(wanted),
        };
        if !fits {
            return Err(Refused::WrongType);
        }
        if claims.text("iss") != Some(self.issuer) {
            return Err(Refused::WrongIssuer);
        }
        let Some(now) = self.now else { return Ok(()) };
        let exp = claims.number("exp").ok_or(Refused::Malformed)?;
        // "On or after" is expired (RFC 7519 section 4.1.4).
        if Timestamp::from_secs(exp) + self.leeway <= now {
            return Err(Refused::Expired);
        }
        let nbf = claims.number("nbf").unwrap_or(0);
        if Timestamp::from_secs(nbf) > now + self.leeway {
            return Err(Refused::NotYetValid);
        }
        Ok(())
    }
}

pub(crate) struct Parts<'a> {
    pub(crate) header: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
    /// Header and payload with the dot between them: the signed bytes.
    pub(crate) signed: &'a str,
}

impl<'a> Parts<'a> {
    /// Checks the length first, then for exactly two dots.
    pub(crate) fn of(token: &'a str) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Self { header, payload, signature, signed })
    }
}

struct Header {
    alg: String,
    kid: String,
    typ: Option<String>,
}

impl Header {
    fn of(part: &str) -> Option<Self> {
        let mut members = object(&decode(part)?)?;
        let alg = take_text(&mut members, "alg")?;
        let kid = take_text(&mut members, "kid")?;
        let typ = match members.contains_key("typ") {
            true => Some(take_text(&mut members, "typ")?),
            false => None,
        };
        members.is_empty().then_some(Self { alg, kid, typ })
    }
}

pub(crate) fn take_text(members: &mut Map<String, Value>, name: &str) -> Option<String> {
    match members.remove(name)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Strict: no padding, no white space, unused bits zero, so each token has one notation.
pub(crate) fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

impl fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifiers({})", self.0.len())
    }
}
