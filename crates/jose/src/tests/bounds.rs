//! Threats 69 and 70: oversized input is refused before work is done on it, and one kind of token is not accepted as
//! another.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{EC, RSA, check, claims, encoded, expected, sign_as, signer, token_of, verifiers};
use crate::{Expected, MAX_TOKEN_BYTES, Refused, Typ, Verifiers};

#[test]
fn a_megabyte_of_anything_is_refused_without_parsing() {
    let (verifiers, expected) = (verifiers(), expected());
    let header = encoded(json!({ "alg": "RS256", "kid": RSA.kid }).to_string());
    let megabyte = 1024 * 1024;
    for text in [
        "A".repeat(megabyte),
        ".".repeat(100_000),
        format!("{header}.{}.AAAA", "A".repeat(megabyte)),
        format!("{header}.e30.{}", "A".repeat(megabyte)),
        format!("{}.e30.AAAA", "A".repeat(megabyte)),
        format!("{header}{}", ".".repeat(100_000)),
    ] {
        let start = Instant::now();
        for _ in 0..1000 {
            assert_eq!(verifiers.verify(&text, &expected).unwrap_err(), Refused::Malformed);
        }
        // A length check takes about a millisecond in total; parsing the megabytes takes many seconds.
        assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    }
}

#[test]
fn dots_and_signatures_within_the_bound_are_refused_too() {
    assert_eq!(check(&".".repeat(MAX_TOKEN_BYTES)).unwrap_err(), Refused::Malformed);
    let header = encoded(json!({ "alg": "RS256", "kid": RSA.kid }).to_string());
    let text = format!("{header}.e30.{}", "AAAA".repeat(10_000));
    assert_eq!(check(&text).unwrap_err(), Refused::BadSignature);
}

#[test]
fn ten_thousand_levels_of_json_are_refused_in_header_and_claims() {
    let deep = |name: &str| format!("{{\"{name}\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let token = token_of(&deep("kid"), "{}", |_| vec![0; 64]);
    assert!(token.len() < MAX_TOKEN_BYTES);
    assert_eq!(check(&token).unwrap_err(), Refused::Malformed);
    let token = signer(&EC).sign(None, deep("aud").as_bytes()).unwrap();
    assert!(token.len() < MAX_TOKEN_BYTES);
    assert_eq!(check(&token).unwrap_err(), Refused::Malformed, "even well signed");
}

#[test]
fn an_encrypted_token_is_refused() {
    let header = json!({ "alg": "RSA-OAEP", "enc": "A256GCM", "zip": "DEF", "kid": RSA.kid });
    let bomb = format!("{}.AAAA.AAAA.{}.AAAA", encoded(header.to_string()), "A".repeat(10_000));
    assert_eq!(check(&bomb).unwrap_err(), Refused::Malformed);
    let header = json!({ "alg": "PBES2-HS256+A128KW", "p2c": 2_147_483_648_u64, "kid": RSA.kid });
    let token = token_of(&header.to_string(), "{}", sign_as(&RSA));
    assert_eq!(check(&token).unwrap_err(), Refused::Malformed);
}

#[test]
fn a_token_with_five_hundred_groups_is_verified() {
    let mut claims = claims();
    let group = |i| format!("CN=team-{i:04},OU=Groups,OU=Engineering,DC=corp,DC=example,DC=com");
    claims["groups"] = (0..500).map(group).collect();
    let token = signer(&RSA).sign(None, claims.to_string().as_bytes()).unwrap();
    assert!(token.len() > 40_000, "{}", token.len());
    assert_eq!(check(&token).unwrap().texts("groups").len(), 500);
}

#[test]
fn weak_repeated_private_or_unnamed_keys_are_refused() {
    let changed = |name: &str, value: Value| {
        let mut jwk: Value = serde_json::from_str(&RSA.public_jwk).unwrap();
        jwk[name] = value;
        jwk.to_string()
    };
    let n = serde_json::from_str::<Value>(&RSA.public_jwk).unwrap();
    let n = n["n"].as_str().unwrap().to_owned();
    for text in [
        changed("n", n[..170].into()),
        changed("d", "c2VjcmV0".into()),
        changed("alg", "RS384".into()),
        changed("alg", "none".into()),
        changed("alg", "ES256".into()),
        changed("kid", "".into()),
        changed("use", "enc".into()),
        changed("kty", "oct".into()),
        EC.public_jwk.replace("P-256", "P-384"),
        EC.public_jwk.replacen(r#""x":""#, r#""x":"AAAA"#, 1),
        "c2VjcmV0".to_owned(),
        "{}".to_owned(),
    ] {
        let error = Verifiers::new(&[text]).unwrap_err().to_string();
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
    let twice = [RSA.public_jwk.clone(), RSA.public_jwk.clone()];
    assert!(Verifiers::new(&twice).unwrap_err().to_string().contains("twice"));
}

#[test]
fn a_point_that_is_not_on_the_curve_is_no_key() {
    let mut jwk: Value = serde_json::from_str(&EC.public_jwk).unwrap();
    jwk["y"] = jwk["x"].clone();
    assert!(Verifiers::new(&[jwk.to_string()]).is_err());
}

#[test]
fn coordinates_of_wrong_length_are_refused() {
    let mut jwk: Value = serde_json::from_str(&EC.public_jwk).unwrap();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let (x, y) = (bytes("x"), bytes("y"));
    jwk["x"] = encoded(&x[..31]).into();
    jwk["y"] = encoded([&x[31..], &y].concat()).into();
    let error = Verifiers::new(&[jwk.to_string()]).unwrap_err().to_string();
    assert!(error.contains("another length than its curve"), "{error}");
}

fn token(typ: Option<&str>) -> String {
    signer(&EC).sign(typ, claims().to_string().as_bytes()).unwrap()
}

#[test]
fn an_id_token_is_no_access_token_and_vice_versa() {
    let at = Expected { typ: Typ::Exactly("at+jwt"), ..expected() };
    assert!(verifiers().verify(&token(Some("at+jwt")), &at).is_ok());
    for typ in [
        None,
        Some("JWT"),
        Some("logout+jwt"),
        Some("groups+jwt"),
        Some("AT+JWT"),
        Some("at+jwt "),
        Some(""),
    ] {
        assert_eq!(
            verifiers().verify(&token(typ), &at).unwrap_err(),
            Refused::WrongType,
            "{typ:?}"
        );
    }
    for typ in [None, Some("JWT"), Some("jwt")] {
        assert!(check(&token(typ)).is_ok(), "{typ:?}");
    }
    for typ in ["at+jwt", "logout+jwt", "groups+jwt", "application/at+jwt", "", " JWT"] {
        assert_eq!(check(&token(Some(typ))).unwrap_err(), Refused::WrongType, "{typ:?}");
    }
}

#[test]
fn a_typ_that_is_not_text_is_refused_rather_than_absent() {
    for typ in [json!(null), json!(1), json!(["JWT"]), json!({})] {
        let header = json!({ "alg": "ES256", "kid": EC.kid, "typ": typ }).to_string();
        let token = token_of(&header, &claims().to_string(), sign_as(&EC));
        assert_eq!(check(&token).unwrap_err(), Refused::Malformed, "{typ}");
    }
}

#[test]
fn anything_but_a_jwt_is_refused() {
    // A refresh token, a sealed value, a cookie, an API key.
    for text in ["2.grant.7.bWFj", "1.AAAAAAAAAAAAAAAA", "QmFzZTY0dXJs", "ghp_0123456789"] {
        assert_eq!(check(text).unwrap_err(), Refused::Malformed, "{text}");
    }
}
