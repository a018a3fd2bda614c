//! Threat 93: ID tokens of an upstream: accepted keys, algorithms and headers.

use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jws::{JwsSigner, PS256, PS512, RS384, RS512};
use serde_json::{Value, json};

use super::{EC, NOW, RSA, claims, expected, hmac_with, sign_as, token_of};
use crate::{Refused, UpstreamAlgorithm, UpstreamKeys};

fn changed(jwk: &str, changes: Value) -> Value {
    let mut jwk: Value = serde_json::from_str(jwk).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        jwk[name.as_str()] = value.clone();
    }
    jwk
}

fn without(mut jwk: Value, names: &[&str]) -> Value {
    for name in names {
        jwk.as_object_mut().unwrap().remove(*name);
    }
    jwk
}

fn keys(list: Vec<Value>) -> UpstreamKeys {
    UpstreamKeys::parse(json!({ "keys": list }).to_string().as_bytes()).unwrap()
}

/// Both keys as most upstreams publish theirs, without or with `alg`.
fn usual() -> UpstreamKeys {
    let rsa = without(changed(&RSA.public_jwk, json!({ "kid": "rsa" })), &["alg", "use"]);
    keys(vec![rsa, changed(&EC.public_jwk, json!({ "kid": "ec" }))])
}

fn verify_with(keys: &UpstreamKeys, token: &str) -> Result<UpstreamAlgorithm, Refused> {
    keys.verify(token, &expected()).map(|(_, algorithm)| algorithm)
}

fn rsa_token(header: Value) -> String {
    rsa_token_of(header, &json!(claims()))
}

fn rsa_token_of(header: Value, claims: &Value) -> String {
    token_of(&header.to_string(), &claims.to_string(), sign_as(&RSA))
}

#[test]
fn only_the_signature_keys_of_an_upstream_are_used() {
    let named = |kid: &str, more: Value| {
        let mut jwk = changed(&RSA.public_jwk, more);
        jwk["kid"] = kid.into();
        jwk
    };
    let set = keys(vec![
        without(named("bare", json!({ "x5t": "AAAA" })), &["alg", "use"]),
        changed(&EC.public_jwk, json!({ "kid": "ec", "key_ops": ["verify"] })),
        named("ec", json!({})),
        named("nulls", json!({ "use": null, "key_ops": null, "alg": null })),
        named("enc", json!({ "use": "enc" })),
        named("wrap", json!({ "key_ops": ["wrapKey"] })),
        named("rs512", json!({ "alg": "RS512" })),
        named("weak", json!({ "n": "AQAB" })),
        named("named-hs", json!({ "alg": "HS256" })),
        changed(&EC.public_jwk, json!({ "kid": "short", "x": "AAAA" })),
        json!({ "kty": "oct", "kid": "hmac", "k": "AAAA", "alg": "HS256" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "AAAA" }),
        json!("no key"),
        Value::Null,
    ]);
    let kid = |kid: &str| verify_with(&set, &rsa_token(json!({ "alg": "RS256", "kid": kid })));
    assert_eq!(kid("bare"), Ok(UpstreamAlgorithm::RS256));
    assert_eq!(kid("nulls"), Ok(UpstreamAlgorithm::RS256));
    assert_eq!(kid("ec"), Err(Refused::BadSignature), "the first of a name counts");
    assert_eq!(kid("rs512"), Err(Refused::BadSignature), "it is for another algorithm");
    for unusable in ["enc", "wrap", "weak", "named-hs", "short", "hmac", "ed", "", "other"] {
        assert_eq!(kid(unusable), Err(Refused::UnknownKey), "{unusable}");
    }
    for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert!(UpstreamKeys::parse(text.as_bytes()).is_none(), "{text}");
    }
    assert!(keys(vec![]).is_empty());
}

#[test]
fn the_usual_algorithms_of_upstreams_are_supported() {
    let pem = RSA.private_key.expose();
    let jwk = RsaKeyPair::from_pem(pem).unwrap().to_jwk_private_key();
    let signers: [(&str, UpstreamAlgorithm, Box<dyn JwsSigner>); 4] = [
        ("RS384", UpstreamAlgorithm::RS384, Box::new(RS384.signer_from_pem(pem).unwrap())),
        ("RS512", UpstreamAlgorithm::RS512, Box::new(RS512.signer_from_pem(pem).unwrap())),
        ("PS256", UpstreamAlgorithm::PS256, Box::new(PS256.signer_from_jwk(&jwk).unwrap())),
        ("PS512", UpstreamAlgorithm::PS512, Box::new(PS512.signer_from_jwk(&jwk).unwrap())),
    ];
    for (alg, algorithm, signer) in &signers {
        let header = json!({ "alg": alg, "kid": "rsa" }).to_string();
        let token = token_of(&header, &claims().to_string(), |m| signer.sign(m).unwrap());
        assert_eq!(verify_with(&usual(), &token), Ok(*algorithm));
        let set = keys(vec![changed(&RSA.public_jwk, json!({ "kid": "rsa" }))]);
        assert_eq!(
            verify_with(&set, &token),
            Err(Refused::BadSignature),
            "the key is for RS256 only"
        );
    }
    // OpenID Connect Core 1.0 appendix A.
    let hash = UpstreamAlgorithm::RS256.half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    assert_eq!(hash, "77QmUPtjPfzWtF2AnpK9RQ");
    assert_eq!(UpstreamAlgorithm::ES384.half_hash("x").len(), 32);
    assert_eq!(UpstreamAlgorithm::PS512.half_hash("x").len(), 43);
}

#[test]
fn unknown_headers_are_ignored_and_those_that_change_the_meaning_are_refused() {
    for harmless in ["x5t", "x5t#S256", "x5c", "jwk", "jku", "x5u", "cty", "pi.atm", "ver"] {
        let token = rsa_token(json!({ "alg": "RS256", "kid": "rsa", "typ": "JWT", harmless: "A" }));
        assert!(verify_with(&usual(), &token).is_ok(), "{harmless}");
    }
    let nulls = rsa_token(json!({ "alg": "RS256", "kid": null, "typ": null }));
    assert!(verify_with(&usual(), &nulls).is_ok());
    for hostile in ["crit", "b64", "zip", "enc", "epk"] {
        let token = rsa_token(json!({ "alg": "RS256", "kid": "rsa", hostile: "A" }));
        assert_eq!(verify_with(&usual(), &token), Err(Refused::Malformed), "{hostile}");
    }
    let typ = rsa_token(json!({ "alg": "RS256", "kid": "rsa", "typ": "at+jwt" }));
    assert_eq!(verify_with(&usual(), &typ), Err(Refused::WrongType));
}

#[test]
fn a_token_without_kid_is_verified_with_the_keys_of_its_algorithm_only() {
    assert!(verify_with(&usual(), &rsa_token(json!({ "alg": "RS256" }))).is_ok());
    assert_eq!(
        verify_with(&usual(), &rsa_token(json!({ "alg": "ES256" }))),
        Err(Refused::BadSignature)
    );
    assert_eq!(
        verify_with(&keys(vec![]), &rsa_token(json!({ "alg": "RS256" }))),
        Err(Refused::UnknownKey)
    );
    let numbered = rsa_token(json!({ "alg": "RS256", "kid": 5 }));
    assert_eq!(verify_with(&usual(), &numbered), Err(Refused::Malformed));
}

#[test]
fn none_and_symmetric_algorithms_are_refused() {
    let public = serde_json::from_str::<Value>(&RSA.public_jwk).unwrap();
    let n = public["n"].as_str().unwrap().as_bytes().to_vec();
    for alg in ["none", "None", "HS256", "RSA", ""] {
        for kid in [json!({ "alg": alg, "kid": "rsa" }), json!({ "alg": alg })] {
            let payload = claims().to_string();
            let empty = token_of(&kid.to_string(), &payload, |_| Vec::new());
            assert_eq!(verify_with(&usual(), &empty), Err(Refused::BadSignature), "{alg}");
            let signed = token_of(&kid.to_string(), &payload, hmac_with(&n));
            assert_eq!(verify_with(&usual(), &signed), Err(Refused::BadSignature), "{alg}");
        }
    }
}

/// RFC 7519 section 2 (NumericDate), OpenID Connect Core 1.0 section 2: claims that are not used are not
/// checked.
#[test]
fn unused_claims_may_have_any_type_and_times_a_fraction() {
    let now = NOW.secs();
    let with = |changes: serde_json::Value| {
        let mut all = json!(claims());
        let members = all.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            members.insert(name.clone(), value.clone());
        }
        let token = rsa_token_of(json!({ "alg": "RS256", "kid": "rsa" }), &all);
        usual().verify(&token, &expected()).map(|(claims, _)| claims)
    };
    for harmless in [
        json!({ "jti": 17 }),
        json!({ "scope": ["openid", "email"] }),
        json!({ "auth_time": "2026-11-27T10:00:00Z" }),
        json!({ "auth_time": null, "azp": null, "sid": null, "nbf": null }),
        json!({ "sid": 5, "client_id": ["a"] }),
        json!({ "iat": 1.5, "nbf": 0.25 }),
    ] {
        assert!(with(harmless.clone()).is_ok(), "{harmless}");
    }
    let claims =
        with(json!({ "iat": 1_700_000_000.875, "exp": f64::from(i32::MAX) + 0.5 })).unwrap();
    assert_eq!(claims.number("iat"), Some(1_700_000_000));
    assert_eq!(claims.number("exp"), Some(i64::from(i32::MAX)));
    for deciding in [
        json!({ "exp": null }),
        json!({ "exp": "9999999999" }),
        json!({ "exp": 1e300 }),
        json!({ "iat": -1 }),
        json!({ "iat": true }),
        json!({ "nbf": "soon" }),
        json!({ "sub": 5 }),
        json!({ "azp": ["a"] }),
        json!({ "nonce": 5 }),
        json!({ "aud": [5] }),
    ] {
        assert_eq!(with(deciding.clone()).unwrap_err(), Refused::Malformed, "{deciding}");
    }
    assert_eq!(with(json!({ "exp": now - 3600 })).unwrap_err(), Refused::Expired);
}
