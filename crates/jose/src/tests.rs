//! Attacks on tokens, by number of the threat catalogue. The attacker knows everything except the private keys, in some
//! tests even these.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::Timestamp;
use josekit::jws::{ES256, JwsSigner, RS256};
use serde_json::{Value, json};

use crate::{Algorithm, Claims, Expected, KeyPair, Refused, Signer, Typ, Verifiers};

mod bounds;
mod forged;
mod upstream;
mod values;

pub(crate) static RSA: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate(Algorithm::RS256).unwrap());
pub(crate) static EC: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate(Algorithm::ES256).unwrap());

const ISSUER: &str = "https://id.example.com/dex";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) fn signer(pair: &KeyPair) -> Signer {
    Signer::new(&pair.kid, pair.algorithm, &pair.private_key).unwrap()
}

/// Header (0) or claims (1) as text.
pub(crate) fn decoded(token: &str, part: usize) -> String {
    let part = token.split('.').nth(part).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn verifiers() -> Verifiers {
    Verifiers::new(&[RSA.public_jwk.clone(), EC.public_jwk.clone()]).unwrap()
}

/// The claims of an ID token that is valid for ten minutes from now.
fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "CgNmb28SA2Jhcg", "aud": "kubernetes",
            "exp": NOW.secs() + 600, "iat": NOW.secs(), "nonce": "n" })
}

fn expected() -> Expected<'static> {
    let leeway = Duration::from_secs(10);
    Expected { issuer: ISSUER, typ: Typ::IdToken, now: Some(NOW), leeway }
}

fn check(token: &str) -> Result<Claims, Refused> {
    verifiers().verify(token, &expected())
}

/// The result of verifying these claims under a valid signature.
fn check_claims(claims: &str) -> Result<Claims, Refused> {
    check(&signer(&EC).sign(None, claims.as_bytes()).unwrap())
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with any header and payload, signed by `sign`.
fn token_of(header: &str, payload: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(payload));
    let signature = encoded(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Valid signatures, for malicious headers.
fn sign_as(pair: &KeyPair) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
    let pem = pair.private_key.expose();
    let key: Box<dyn JwsSigner> = match pair.algorithm {
        Algorithm::RS256 => Box::new(RS256.signer_from_pem(pem).unwrap()),
        Algorithm::ES256 => Box::new(ES256.signer_from_pem(pem).unwrap()),
        Algorithm::ES384 | Algorithm::ES512 => unimplemented!("no test here has such a key"),
    };
    move |message| key.sign(message).unwrap()
}

fn hmac_with(key: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    move |message| hmac::sign(&key, message).as_ref().to_vec()
}

#[test]
fn a_valid_token_of_either_algorithm_is_accepted() {
    for pair in [&*RSA, &*EC] {
        let token = signer(pair).sign(None, claims().to_string().as_bytes()).unwrap();
        let read = check(&token).unwrap();
        assert_eq!(read.text("sub"), Some("CgNmb28SA2Jhcg"));
        assert_eq!(read.texts("aud"), ["kubernetes"]);
        assert!(read.is_for("kubernetes") && !read.is_for("kube"));
        assert_eq!(read.number("exp"), Some(NOW.secs() + 600));
        assert_eq!(serde_json::to_string(read.as_map()).unwrap(), claims().to_string());
        let printed = format!("{read:?}");
        assert!(printed.contains("nonce") && !printed.contains("CgNmb28SA2Jhcg"), "{printed}");
    }
}

#[test]
fn a_token_verifies_while_its_key_is_published() {
    let token = signer(&RSA).sign(None, claims().to_string().as_bytes()).unwrap();
    let after = Verifiers::new(std::slice::from_ref(&EC.public_jwk)).unwrap();
    assert!(verifiers().verify(&token, &expected()).is_ok());
    assert_eq!(after.verify(&token, &expected()).unwrap_err(), Refused::UnknownKey);
}
