//! The document at `/keys` (RFC 7517 section 5).

use serde::Serialize;

use crate::jwk::PublicJwk;

#[derive(Serialize)]
struct KeySet {
    keys: Vec<PublicJwk>,
}

/// The key id and the canonical text of a public JWK that another program wrote, if it can verify signatures.
pub fn usable_public_jwk(text: &str) -> Result<(String, String), crate::JoseError> {
    let jwk = crate::jwk::PublicJwk::parse(text)?;
    jwk.verifier()?;
    Ok((jwk.kid.clone(), jwk.to_json()?))
}

/// `{"keys":[…]}` in the given order, indented by two spaces as in Dex. Takes what [`crate::Verifiers::new`]
/// accepts: any other text, above all one with private parts, is left out rather than published.
pub fn key_set(public_jwks: &[&str]) -> String {
    let keys = public_jwks.iter().filter_map(|text| PublicJwk::parse(text).ok()).collect();
    // Serialization fails only for maps whose keys are no strings, and there are none.
    serde_json::to_string_pretty(&KeySet { keys }).unwrap_or_else(|_| r#"{"keys":[]}"#.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::key_set;
    use crate::tests::{EC, RSA};

    #[test]
    fn the_set_has_dexs_shape_and_order() {
        let text = key_set(&[&EC.public_jwk, &RSA.public_jwk]);
        assert!(text.starts_with(
            "{\n  \"keys\": [\n    {\n      \"use\": \"sig\",\n      \"kty\": \"EC\","
        ));
        let set: Value = serde_json::from_str(&text).unwrap();
        let names =
            |i: usize| set["keys"][i].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(0), ["use", "kty", "kid", "alg", "crv", "x", "y"]);
        assert_eq!(names(1), ["use", "kty", "kid", "alg", "n", "e"]);
        assert_eq!(set["keys"][1]["kid"], RSA.kid);
        assert_eq!(key_set(&[]), "{\n  \"keys\": []\n}");
    }

    #[test]
    fn a_private_part_never_reaches_the_published_set() {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            let mut jwk: Value = serde_json::from_str(&RSA.public_jwk).unwrap();
            jwk[private] = "c2VjcmV0".into();
            let text = key_set(&[&jwk.to_string(), &EC.public_jwk]);
            assert!(!text.contains("c2VjcmV0") && text.contains(&EC.kid), "{private}");
        }
    }
}
