//! Threat 93, priority P0 for every relying party: ID tokens for another audience, outside their validity, or of
//! another issuer.

use serde_json::{Map, Value, json};

use crate::oidc::{connector, login};
use crate::provider::{CLIENT, Provider, Signature, now};
use crate::steps::{accepted, broken};

type Claims = Map<String, Value>;
type Change = Box<dyn Fn(&mut Claims) + Send + Sync>;

#[tokio::test]
async fn threat_93_a_token_with_one_wrong_claim_is_refused() {
    let cases: Vec<(&str, Change, &str)> = vec![
        ("iss of another", set("iss", json!("https://evil.example.com")), "issuer"),
        ("no iss", gone("iss"), "issuer"),
        ("aud of another", set("aud", json!("somebody")), "aud"),
        ("no aud", gone("aud"), "aud"),
        ("aud is a number", set("aud", json!(5)), "only form"),
        ("aud is a prefix", set("aud", json!(["countersign2", "counter"])), "aud"),
        ("azp of another", set("azp", json!("other")), "azp"),
        ("azp is a list", set("azp", json!([CLIENT])), "only form"),
        ("expired", set("exp", json!(now() - 61)), "expired"),
        ("no exp", gone("exp"), "only form"),
        ("exp is text", set("exp", json!("9999999999")), "only form"),
        ("future iat", set("iat", json!(now() + 120)), "iat"),
        ("no iat", gone("iat"), "iat"),
        ("future nbf", set("nbf", json!(now() + 120)), "not valid yet"),
        ("nonce of another login", set("nonce", json!("other")), "nonce"),
        ("no nonce", gone("nonce"), "nonce"),
        ("nonce is null", set("nonce", Value::Null), "nonce"),
        ("no sub", gone("sub"), "sub"),
        ("empty sub", set("sub", json!("")), "sub"),
        ("sub is a number", set("sub", json!(5)), "only form"),
        ("at_hash of another", set("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")), "at_hash"),
        ("at_hash is null", set("at_hash", Value::Null), "at_hash"),
    ];
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    for (name, change, expected) in cases {
        provider.claims(change);
        let cause = broken(login(&provider, &connector).await);
        assert!(cause.contains(expected), "{name}: {cause}");
    }
}

#[tokio::test]
async fn what_is_unusual_but_right_is_accepted() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    // Left half of SHA-256("the-access-token").
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"the-access-token");
    let hash = crate::provider::encoded(&hash.as_ref()[..16]);
    let cases: Vec<Change> = vec![
        set("at_hash", json!(hash)),
        set("aud", json!([CLIENT])),
        Box::new(|claims| {
            claims.insert("aud".into(), json!(["other", CLIENT]));
            claims.insert("azp".into(), json!(CLIENT));
        }),
        set("aud", json!([CLIENT, "other"])),
        set("exp", json!(now() - 30)),
        set("exp", json!(60.5 + f64::from(u32::try_from(now()).unwrap()))),
        set("iat", json!(0.25 + f64::from(u32::try_from(now()).unwrap()))),
        set("jti", json!(17)),
        set("scope", json!(["openid"])),
        set("auth_time", json!("2026-11-27T10:00:00Z")),
        Box::new(|claims| {
            for name in ["azp", "sid", "nbf", "auth_time"] {
                claims.insert(name.into(), Value::Null);
            }
        }),
        set("iat", json!(now() + 30)),
    ];
    for change in cases {
        provider.claims(change);
        accepted(login(&provider, &connector).await);
    }
}

#[tokio::test]
async fn threat_93_a_token_with_a_wrong_signature_or_algorithm_is_refused() {
    for (header, signature, expected) in [
        (json!({ "alg": "ES256", "kid": "first" }), Signature::OfAnotherKey, "signature"),
        (json!({ "alg": "ES256", "kid": "first" }), Signature::Empty, "signature"),
        (json!({ "alg": "none", "kid": "first" }), Signature::Empty, "signature"),
        (json!({ "alg": "none" }), Signature::Empty, "signature"),
        (json!({ "alg": "HS256", "kid": "first" }), Signature::Hmac, "signature"),
        (json!({ "alg": "HS256", "kid": "hmac" }), Signature::Hmac, "does not publish"),
        (json!({ "alg": "RS256", "kid": "first" }), Signature::Genuine, "signature"),
        (json!({ "alg": "ES256", "kid": "unknown" }), Signature::Genuine, "does not publish"),
        (json!({ "alg": "ES256", "kid": "first", "crit": ["exp"] }), Signature::Genuine, "form"),
        (
            json!({ "alg": "ES256", "kid": "first", "jku": "https://evil" }),
            Signature::OfAnotherKey,
            "signature",
        ),
        (json!({ "alg": "ES256", "kid": "first", "typ": "at+jwt" }), Signature::Genuine, "kind"),
    ] {
        let provider = Provider::start().await;
        let case = header.to_string();
        provider.set(|b| (b.header, b.signature) = (Some(header), signature));
        let cause = broken(login(&provider, &connector(&provider, vec![])).await);
        assert!(cause.contains(expected), "{case}: {cause}");
    }
}

#[tokio::test]
async fn threat_93_no_id_token_at_all_is_refused() {
    let provider = Provider::start().await;
    provider.set(|b| b.without_id_token = true);
    let cause = broken(login(&provider, &connector(&provider, vec![])).await);
    assert_eq!(cause, "the answer of the token endpoint lacks an ID token");
}

#[tokio::test]
async fn threat_93_a_callback_state_without_nonce_is_refused() {
    use crate::steps::{ALL, handle_callback, login_url};
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    let mut redirect = login_url(&connector, ALL).await.unwrap();
    let query = provider.visited(&redirect);
    redirect.callback_state.0.retain(|(key, _)| key != "nonce");
    let cause = broken(handle_callback(&connector, &redirect, &query, ALL).await.0);
    assert!(cause.contains("nonce"), "{cause}");
}

fn set(name: &'static str, value: Value) -> Change {
    Box::new(move |claims| {
        claims.insert(name.to_owned(), value.clone());
    })
}

fn gone(name: &'static str) -> Change {
    Box::new(move |claims| {
        claims.remove(name);
    })
}
