//! Threat 68 and the clock: claims of the wrong JSON type are refused, not ignored.

use countersign_core::Timestamp;
use serde_json::json;

use super::{EC, ISSUER, NOW, check_claims, claims, expected, signer, verifiers};
use crate::{Expected, Refused};

/// Valid claims with one replaced by this text.
fn with(name: &str, value: &str) -> String {
    let mut claims = claims();
    claims[name] = "REPLACED".into();
    claims.to_string().replace(r#""REPLACED""#, value)
}

fn without(name: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims.to_string()
}

#[test]
fn times_that_are_not_whole_seconds_are_refused() {
    for name in ["exp", "nbf", "iat", "auth_time"] {
        for value in [
            r#""9999999999""#,
            r#""x""#,
            r#""""#,
            "null",
            "true",
            "[9999999999]",
            "{}",
            "-1",
            "-0",
            "1799999999.5",
            "9999999999.0",
            "1e9",
            "1e400",
            "-1e400",
            "9223372036854775808",
            "99999999999999999999999999",
        ] {
            let refused = check_claims(&with(name, value)).unwrap_err();
            assert_eq!(refused, Refused::Malformed, "{name}: {value}");
        }
    }
}

#[test]
fn an_audience_is_a_string_or_strings() {
    for value in ["[[]]", r#"[["kubernetes"]]"#, r#"["kubernetes",1]"#, "{}", "1", "null", "true"] {
        assert_eq!(check_claims(&with("aud", value)).unwrap_err(), Refused::Malformed, "{value}");
    }
    let two = check_claims(&with("aud", r#"["peer","kubernetes"]"#)).unwrap();
    assert_eq!(two.texts("aud"), ["peer", "kubernetes"]);
    assert!(two.is_for("peer") && !two.is_for("peer kubernetes"));
    assert!(!check_claims(&with("aud", "[]")).unwrap().is_for("kubernetes"));
    assert!(!check_claims(&without("aud")).unwrap().is_for("kubernetes"));
}

#[test]
fn text_claims_of_another_type_are_refused() {
    for name in ["iss", "sub", "azp", "nonce", "jti", "sid", "scope", "client_id"] {
        for value in ["1", "null", "true", "{}", r#"["a"]"#] {
            let refused = check_claims(&with(name, value)).unwrap_err();
            assert_eq!(refused, Refused::Malformed, "{name}: {value}");
        }
    }
}

#[test]
fn booleans_and_groups_must_have_their_type() {
    let read = check_claims(&with("email_verified", r#""true""#)).unwrap();
    assert_eq!(read.flag("email_verified"), None);
    let read = check_claims(&with("email_verified", "true")).unwrap();
    assert_eq!(read.flag("email_verified"), Some(true));
    assert_eq!(check_claims(&with("groups", r#"["a","b"]"#)).unwrap().texts("groups"), ["a", "b"]);
    assert!(check_claims(&claims().to_string()).unwrap().texts("groups").is_empty());
}

#[test]
fn a_token_without_exp_is_refused() {
    assert_eq!(check_claims(&without("exp")).unwrap_err(), Refused::Malformed);
}

#[test]
fn a_token_expires_at_its_second_plus_leeway() {
    // 10 s of leeway.
    let exp = |offset: i64| check_claims(&with("exp", &(NOW.secs() + offset).to_string()));
    assert!(exp(1).is_ok());
    assert!(exp(-9).is_ok());
    assert_eq!(exp(-10).unwrap_err(), Refused::Expired);
    assert_eq!(exp(-NOW.secs()).unwrap_err(), Refused::Expired);
    assert!(check_claims(&with("exp", &i64::MAX.to_string())).is_ok(), "no overflow");
    let nbf = |offset: i64| check_claims(&with("nbf", &(NOW.secs() + offset).to_string()));
    assert!(nbf(0).is_ok());
    assert!(nbf(10).is_ok());
    assert_eq!(nbf(11).unwrap_err(), Refused::NotYetValid);
    let refused = check_claims(&with("nbf", &i64::MAX.to_string())).unwrap_err();
    assert_eq!(refused, Refused::NotYetValid, "no overflow");
}

#[test]
fn an_id_token_hint_may_have_expired_but_not_be_forged() {
    let hint = Expected { now: None, ..expected() };
    let sign = |claims: &str| signer(&EC).sign(None, claims.as_bytes()).unwrap();
    assert!(verifiers().verify(&sign(&with("exp", "1")), &hint).is_ok());
    assert!(verifiers().verify(&sign(&without("exp")), &hint).is_ok());
    for (claims, refused) in [
        (with("exp", r#""x""#), Refused::Malformed),
        (with("iss", r#""https://evil.example.com""#), Refused::WrongIssuer),
    ] {
        assert_eq!(verifiers().verify(&sign(&claims), &hint).unwrap_err(), refused);
    }
    let (head, _) =
        sign(&claims().to_string()).rsplit_once('.').map(|(h, t)| (h.to_owned(), t.len())).unwrap();
    let forged = format!("{head}.{}", "A".repeat(86));
    assert_eq!(verifiers().verify(&forged, &hint).unwrap_err(), Refused::BadSignature);
}

#[test]
fn an_issuer_is_compared_byte_for_byte() {
    for issuer in [
        "https://id.example.com/dex/",
        "https://id.example.com",
        "https://id.example.com/dex/b",
        "https://ID.example.com/dex",
        "http://id.example.com/dex",
        "https://id.example.com:443/dex",
        "",
    ] {
        let claims = with("iss", &json!(issuer).to_string());
        assert_eq!(check_claims(&claims).unwrap_err(), Refused::WrongIssuer, "{issuer}");
    }
    assert_eq!(check_claims(&without("iss")).unwrap_err(), Refused::WrongIssuer);
    let other = Expected { issuer: "https://id.example.com/dex/b", ..expected() };
    let token = signer(&EC).sign(None, claims().to_string().as_bytes()).unwrap();
    assert_eq!(verifiers().verify(&token, &other).unwrap_err(), Refused::WrongIssuer);
    assert_eq!(ISSUER, expected().issuer);
}

#[test]
fn a_clock_before_1970_breaks_nothing() {
    let early = Expected { now: Some(Timestamp::from_millis(i64::MIN)), ..expected() };
    let token = signer(&EC).sign(None, claims().to_string().as_bytes()).unwrap();
    assert_eq!(verifiers().verify(&token, &early).unwrap_err(), Refused::NotYetValid);
}
