//! Threat 67: tokens that try to select how they are verified.

use josekit::jwk::KeyPair as _;
use josekit::jws::{PS256, RS256, RS384};
use josekit::util::SHA_256;
use serde_json::{Value, json};

use super::{
    EC, RSA, check, claims, encoded, expected, hmac_with, sign_as, signer, token_of, verifiers,
};
use crate::{KeyPair, Refused, Verifiers};

/// A header with `alg`, the key's `kid`, and more members.
fn header(alg: &str, pair: &KeyPair, more: Value) -> String {
    let mut header = json!({ "alg": alg, "kid": pair.kid });
    let more = more.as_object().unwrap().clone();
    header.as_object_mut().unwrap().extend(more);
    header.to_string()
}

#[test]
fn alg_none_is_refused_in_every_spelling() {
    for alg in ["none", "None", "NONE", "nOnE", "", "null", "rs256", "RS256 "] {
        let header = header(alg, &RSA, json!({}));
        for signature in [vec![], b"x".to_vec()] {
            let token = token_of(&header, &claims().to_string(), |_| signature.clone());
            assert_eq!(check(&token).unwrap_err(), Refused::BadSignature, "{alg:?}");
        }
        let token = token_of(&header, &claims().to_string(), sign_as(&RSA));
        assert_eq!(check(&token).unwrap_err(), Refused::BadSignature, "{alg:?}, well signed");
    }
    for header in [
        json!({ "kid": RSA.kid }),
        json!({ "alg": null, "kid": RSA.kid }),
        json!({ "alg": 256, "kid": RSA.kid }),
        json!({ "alg": ["RS256"], "kid": RSA.kid }),
    ] {
        let token = token_of(&header.to_string(), &claims().to_string(), sign_as(&RSA));
        assert_eq!(check(&token).unwrap_err(), Refused::Malformed, "{header}");
    }
}

#[test]
fn a_public_key_is_not_accepted_as_an_hmac_key() {
    let pair = RS256.key_pair_from_pem(RSA.private_key.expose()).unwrap();
    let pem = pair.to_pem_public_key();
    let jwk: Value = serde_json::from_str(&RSA.public_jwk).unwrap();
    let keys = [
        pem.clone(),
        String::from_utf8(pem).unwrap().trim_end().as_bytes().to_vec(),
        pair.to_der_public_key(),
        pair.to_raw_public_key(),
        pair.to_traditional_pem_public_key(),
        RSA.public_jwk.clone().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        vec![],
    ];
    for key in keys {
        for alg in ["HS256", "RS256"] {
            let header = header(alg, &RSA, json!({}));
            let token = token_of(&header, &claims().to_string(), hmac_with(&key));
            assert_eq!(check(&token).unwrap_err(), Refused::BadSignature);
        }
    }
}

#[test]
fn another_algorithm_of_the_same_key_is_refused() {
    let pem = RSA.private_key.expose();
    let rs384 = RS384.signer_from_pem(pem).unwrap();
    let sign = |message: &[u8]| rs384.sign(message).unwrap();
    for alg in ["RS384", "RS256"] {
        let token = token_of(&header(alg, &RSA, json!({})), &claims().to_string(), sign);
        assert_eq!(check(&token).unwrap_err(), Refused::BadSignature, "RS384 called {alg}");
    }
    // The library requires a key marked as a PSS key; its numbers are the same.
    let pss = RS256.key_pair_from_pem(pem).unwrap();
    let pss = pss.into_rsa_pss_key_pair(SHA_256, SHA_256, 32).to_pem_private_key();
    let ps256 = PS256.signer_from_pem(pss).unwrap();
    let sign = |message: &[u8]| ps256.sign(message).unwrap();
    for alg in ["PS256", "RS256"] {
        let token = token_of(&header(alg, &RSA, json!({})), &claims().to_string(), sign);
        assert_eq!(check(&token).unwrap_err(), Refused::BadSignature, "PS256 called {alg}");
    }
}

#[test]
fn a_signature_under_another_keys_kid_is_refused() {
    for (named, signed) in [(&*RSA, &*EC), (&*EC, &*RSA)] {
        for alg in ["RS256", "ES256"] {
            let header = header(alg, named, json!({}));
            let token = token_of(&header, &claims().to_string(), sign_as(signed));
            assert_eq!(check(&token).unwrap_err(), Refused::BadSignature);
        }
    }
}

#[test]
fn zero_and_malformed_ecdsa_signatures_are_refused() {
    // The order of P-256: an r or s equal to it is congruent to zero.
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let zeros = [0_u8; 32];
    let mut one = zeros;
    one[31] = 1;
    let signatures = [
        [zeros, zeros].concat(),
        [zeros, one].concat(),
        [one, zeros].concat(),
        [one, one].concat(),
        [order, order].concat(),
        [order, one].concat(),
        [[0xff; 32], [0xff; 32]].concat(),
        vec![0; 63],
        vec![0; 65],
        vec![0; 72],
        vec![],
        // DER of r = s = 0, the format of other libraries.
        vec![0x30, 6, 2, 1, 0, 2, 1, 0],
    ];
    for signature in signatures {
        let token = token_of(&header("ES256", &EC, json!({})), &claims().to_string(), |_| {
            signature.clone()
        });
        assert_eq!(check(&token).unwrap_err(), Refused::BadSignature, "{signature:?}");
    }
}

#[test]
fn a_token_cannot_supply_its_own_key() {
    let own: Value = serde_json::from_str(&RSA.public_jwk).unwrap();
    for more in [
        json!({ "jwk": own }),
        json!({ "jku": "https://evil.example.com/keys" }),
        json!({ "x5u": "https://evil.example.com/cert" }),
        json!({ "x5c": ["MIIB"] }),
        json!({ "x5t": "AAAA" }),
        json!({ "crit": ["exp"] }),
        json!({ "crit": ["unknown"], "unknown": true }),
        json!({ "crit": [] }),
        json!({ "b64": false }),
        json!({ "b64": true }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "zip": "DEF" }),
        json!({ "cty": "JWT" }),
        json!({ "enc": "A256GCM" }),
        json!({ "p2c": 2_147_483_648_u64, "p2s": "AAAA" }),
        json!({ "whatever": 1 }),
    ] {
        let header = header("RS256", &RSA, more.clone());
        let token = token_of(&header, &claims().to_string(), sign_as(&RSA));
        assert_eq!(check(&token).unwrap_err(), Refused::Malformed, "{more}");
    }
}

#[test]
fn a_malicious_kid_matches_no_key() {
    for kid in [
        "",
        "../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "' OR 1=1 --",
        "x' UNION SELECT 'key' --",
        "|/bin/true",
        "\0",
        "https://evil.example.com/keys",
        &RSA.kid.to_uppercase(),
        &format!("{} ", RSA.kid),
        &RSA.kid[..39],
    ] {
        let header = json!({ "alg": "RS256", "kid": kid }).to_string();
        let token = token_of(&header, &claims().to_string(), sign_as(&RSA));
        assert_eq!(check(&token).unwrap_err(), Refused::UnknownKey, "{kid:?}");
    }
    for header in [
        json!({ "alg": "RS256" }),
        json!({ "alg": "RS256", "kid": null }),
        json!({ "alg": "RS256", "kid": 1 }),
        json!({ "alg": "RS256", "kid": [RSA.kid] }),
    ] {
        let token = token_of(&header.to_string(), &claims().to_string(), sign_as(&RSA));
        assert_eq!(check(&token).unwrap_err(), Refused::Malformed, "{header}");
    }
    let nobody = Verifiers::new(&[]).unwrap();
    let token = signer(&RSA).sign(None, b"{}").unwrap();
    assert_eq!(nobody.verify(&token, &expected()).unwrap_err(), Refused::UnknownKey);
}

#[test]
fn only_the_compact_serialization_with_one_signature_is_read() {
    let token = signer(&RSA).sign(None, claims().to_string().as_bytes()).unwrap();
    let parts: Vec<_> = token.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    let flattened = json!({ "protected": h, "payload": p, "signature": s });
    let one = json!({ "protected": h, "signature": s });
    for text in [
        flattened.to_string(),
        json!({ "payload": p, "signatures": [one] }).to_string(),
        json!({ "payload": p, "signatures": [one, one] }).to_string(),
        format!("{token}.{s}"),
        format!("{token}.{token}"),
        format!("{h}.{p}"),
        format!("{h}..{s}"),
        format!(".{p}.{s}"),
        format!("{h}.{p}.{s}."),
        format!(".{h}.{p}.{s}"),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}="),
        format!("{token}\0"),
        format!("Bearer {token}"),
        token.replace('.', ".\n"),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "é.é.é".to_owned(),
    ] {
        let refused = check(&text).unwrap_err();
        assert!(matches!(refused, Refused::Malformed | Refused::BadSignature), "{text:?}");
    }
    // Without a signature, or with a truncated one, it is parsed and then refused.
    for signature in ["", &s[..s.len() / 2 / 4 * 4]] {
        let refused = check(&format!("{h}.{p}.{signature}")).unwrap_err();
        assert_eq!(refused, Refused::BadSignature);
    }
}

#[test]
fn trailing_data_and_repeated_names_are_refused_even_if_signed() {
    let good = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, RSA.kid);
    let kid = &RSA.kid;
    for header in [
        format!("{good}{good}"),
        format!("{good}x"),
        format!(r#"{{"alg":"none","alg":"RS256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","kid":"other","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","kid":"{kid}","typ":"JWT","typ":"JWT"}}"#),
        format!(r"[{good}]"),
        format!("\u{feff}{good}"),
    ] {
        let token = token_of(&header, &claims().to_string(), sign_as(&RSA));
        assert_eq!(check(&token).unwrap_err(), Refused::Malformed, "{header}");
    }
    let claims = claims().to_string();
    for payload in [
        format!("{claims}{claims}"),
        claims.replacen('{', r#"{"sub":"somebody else","#, 1),
        claims.replacen('{', r#"{"\u0073ub":"somebody else","#, 1),
        claims.replacen('{', r#"{"federated_claims":{"user_id":"a","user_id":"b"},"#, 1),
        "null".to_owned(),
        "[]".to_owned(),
        String::new(),
    ] {
        let token = token_of(&good, &payload, sign_as(&RSA));
        assert_eq!(check(&token).unwrap_err(), Refused::Malformed, "{payload}");
    }
}

#[test]
fn a_token_with_any_character_altered_is_refused() {
    for pair in [&*RSA, &*EC] {
        let token = signer(pair).sign(None, claims().to_string().as_bytes()).unwrap();
        let verifiers = verifiers();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert!(verifiers.verify(&altered, &expected()).is_err(), "character {at}");
        }
    }
}

#[test]
fn claims_and_signature_of_two_tokens_cannot_be_combined() {
    let mut other = claims();
    other["sub"] = "admin".into();
    let one = signer(&EC).sign(None, claims().to_string().as_bytes()).unwrap();
    let two = signer(&EC).sign(None, other.to_string().as_bytes()).unwrap();
    let (signed, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = two.rsplit_once('.').unwrap();
    assert_eq!(check(&format!("{signed}.{signature}")).unwrap_err(), Refused::BadSignature);
    let (head, _) = signed.split_once('.').unwrap();
    let (_, tail) = one.rsplit_once('.').unwrap();
    let swapped = format!("{head}.{}.{tail}", encoded(other.to_string()));
    assert_eq!(check(&swapped).unwrap_err(), Refused::BadSignature);
}
