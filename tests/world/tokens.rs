//! Reads and verifies JWTs.
//!
//! Signatures are verified with aws-lc-rs against the keys published at `/keys`, not with the program's own
//! verifier, so that an error in the latter is noticed.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The claims of a JWT, without verification.
pub fn claims(token: &str) -> Value {
    json(token.split('.').nth(1).expect("a JWT has three parts"))
}

/// The claims of a JWT, after verifying its signature with the key of this set that its header names.
pub fn verified(token: &str, keys: &Value) -> Value {
    let (signed, signature) = token.rsplit_once('.').expect("a JWT has three parts");
    let header = json(signed.split('.').next().unwrap_or_default());
    let keys = keys["keys"].as_array().expect("a key set");
    let key = keys.iter().find(|key| key["kid"] == header["kid"]);
    let key = key.unwrap_or_else(|| panic!("no key {} in {keys:?}", header["kid"]));
    assert_eq!((&key["alg"], &key["use"]), (&header["alg"], &Value::from("sig")), "{key}");

    let (signed, signature) = (signed.as_bytes(), bytes(signature));
    let number = |name: &str| bytes(key[name].as_str().unwrap_or_default());
    let with_curve = |algorithm: &'static EcdsaVerificationAlgorithm| {
        let point = [vec![4], number("x"), number("y")].concat();
        UnparsedPublicKey::new(algorithm, point).verify(signed, &signature)
    };
    let outcome = match header["alg"].as_str() {
        Some("RS256") => RsaPublicKeyComponents { n: number("n"), e: number("e") }.verify(
            &RSA_PKCS1_2048_8192_SHA256,
            signed,
            &signature,
        ),
        Some("ES256") => with_curve(&ECDSA_P256_SHA256_FIXED),
        Some("ES384") => with_curve(&ECDSA_P384_SHA384_FIXED),
        Some("ES512") => with_curve(&ECDSA_P521_SHA512_FIXED),
        other => panic!("an algorithm that Kubernetes does not accept: {other:?}"),
    };
    outcome.unwrap_or_else(|_| panic!("the signature is not by {key}"));
    claims(token)
}

/// The `sub` that Dex computes for this user and connector: a protobuf message of the two, in base64url. For
/// ids shorter than 128 bytes.
pub fn dex_sub(user_id: &str, connector: &str) -> String {
    let field = |tag: u8, text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 128, "{text}");
        [&[tag, length], text.as_bytes()].concat()
    };
    URL_SAFE_NO_PAD.encode([field(0x0a, user_id), field(0x12, connector)].concat())
}

fn json(part: &str) -> Value {
    serde_json::from_slice(&bytes(part)).expect("a part of a JWT is JSON")
}

fn bytes(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).expect("a part of a JWT is base64url")
}

/// The example of RFC 7515 appendix A.3: an ES256 signature and its key.
#[test]
fn the_rfc_7515_example_verifies_and_an_altered_signature_does_not() {
    let keys = serde_json::json!({"keys": [{"kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]});
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                 cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8IS\
                 lSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert_eq!(verified(token, &keys)["iss"], "joe");
    let altered = token.replace("DtEh", "DtEi");
    assert!(std::panic::catch_unwind(|| verified(&altered, &keys)).is_err());
}

/// Dex's own test vector.
#[test]
fn dex_sub_matches_dexs_test_vector() {
    assert_eq!(dex_sub("foo", "bar"), "CgNmb28SA2Jhcg");
}
