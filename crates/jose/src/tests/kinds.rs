//! Threat 70: one kind of token is not taken for another. And whose keys count: an upstream's set.

use serde_json::{Value, json};

use super::{EC, RSA, check, claims, expected, sign_as, signer, token_of, verifiers};
use crate::{Expected, Refused, Typ, Verifiers};

fn token(typ: Option<&str>) -> String {
    signer(&EC).sign(typ, claims().to_string().as_bytes()).unwrap()
}

#[test]
fn an_id_token_is_no_access_token_and_the_other_way_round() {
    let at = Expected { typ: Typ::Exactly("at+jwt"), ..expected() };
    assert!(verifiers().verify(&token(Some("at+jwt")), &at).is_ok());
    for typ in [None, Some("JWT"), Some("logout+jwt"), Some("AT+JWT"), Some("at+jwt "), Some("")] {
        assert_eq!(
            verifiers().verify(&token(typ), &at).unwrap_err(),
            Refused::WrongType,
            "{typ:?}"
        );
    }
    for typ in [None, Some("JWT"), Some("jwt")] {
        assert!(check(&token(typ)).is_ok(), "{typ:?}");
    }
    for typ in ["at+jwt", "logout+jwt", "application/at+jwt", "", " JWT"] {
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
fn what_is_not_a_jwt_at_all_is_no_bearer_token() {
    // A refresh token, a sealed envelope, a cookie, an API key.
    for text in ["2.grant.7.bWFj", "1.AAAAAAAAAAAAAAAA", "QmFzZTY0dXJs", "ghp_0123456789"] {
        assert_eq!(check(text).unwrap_err(), Refused::Malformed, "{text}");
    }
}

#[test]
fn an_upstreams_set_gives_its_signature_keys_and_no_others() {
    let named = |jwk: &str, changes: Value| {
        let mut jwk: Value = serde_json::from_str(jwk).unwrap();
        for (name, value) in changes.as_object().unwrap() {
            jwk[name.as_str()] = value.clone();
        }
        jwk
    };
    let mut bare = named(&RSA.public_jwk, json!({ "kid": "bare", "x5t": "AAAA" }));
    for optional in ["alg", "use"] {
        bare.as_object_mut().unwrap().remove(optional);
    }
    let mut nameless = bare.clone();
    nameless.as_object_mut().unwrap().remove("kid");
    let set = json!({ "keys": [
        bare,
        nameless,
        named(&EC.public_jwk, json!({ "kid": "ec", "key_ops": ["verify"] })),
        named(&RSA.public_jwk, json!({ "kid": "ec" })),
        named(&RSA.public_jwk, json!({ "kid": "enc", "use": "enc" })),
        named(&RSA.public_jwk, json!({ "kid": "wrap", "key_ops": ["wrapKey"] })),
        named(&RSA.public_jwk, json!({ "kid": "rs512", "alg": "RS512" })),
        named(&RSA.public_jwk, json!({ "kid": "weak", "n": "AQAB" })),
        { "kty": "oct", "kid": "hmac", "k": "AAAA", "alg": "HS256" },
        { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "AAAA" },
        "no key", null, 1
    ]});
    let upstream = Verifiers::of_upstream(&set.to_string()).unwrap();
    let said = |kid: &str, alg: &str, pair| {
        let header = json!({ "alg": alg, "kid": kid, "typ": "JWT" }).to_string();
        let token = token_of(&header, &claims().to_string(), sign_as(pair));
        upstream.verify(&token, &expected()).map(|_| ())
    };
    assert_eq!(said("bare", "RS256", &RSA), Ok(()));
    assert_eq!(said("ec", "ES256", &EC), Ok(()));
    assert_eq!(said("ec", "RS256", &RSA), Err(Refused::BadSignature), "the first of a name counts");
    assert_eq!(said("bare", "RS512", &RSA), Err(Refused::BadSignature));
    for kid in ["enc", "wrap", "rs512", "weak", "hmac", "ed", ""] {
        assert_eq!(said(kid, "RS256", &RSA), Err(Refused::UnknownKey), "{kid}");
    }
    for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert!(Verifiers::of_upstream(text).is_none(), "{text}");
    }
    assert!(Verifiers::of_upstream(r#"{"keys":[]}"#).unwrap().is_empty());
}
