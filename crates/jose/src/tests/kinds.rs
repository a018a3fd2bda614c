//! Threat 70: one kind of token is not accepted as another.

use serde_json::json;

use super::{EC, check, claims, expected, sign_as, signer, token_of, verifiers};
use crate::{Expected, Refused, Typ};

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
