//! The claims of an ID token received directly from the token endpoint.
//!
//! OpenID Connect Core 3.1.3.7 (6) permits a client to rely on TLS instead of the signature in this case; issuer,
//! audience, expiry and nonce are checked here. The API server verifies the signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::{Secret, Timestamp};
use serde_json::{Map, Value};

use crate::error::Error;

/// The decoded claims.
#[derive(Clone, Debug)]
pub struct IdTokenClaims {
    pub expires_at: Timestamp,
    pub subject: String,
    pub all: Map<String, Value>,
}

/// What the claims must match.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    /// The `nonce` of the authorization request; `None` without one, as at a refresh.
    pub nonce: Option<&'a str>,
    pub now: Timestamp,
}

impl IdTokenClaims {
    /// Decodes without validation: for a token validated when it was cached, and for display.
    pub fn decode(token: &Secret) -> Result<Self, Error> {
        let invalid = |cause: &str| Error::InvalidResponse {
            url: "the ID token".to_owned(),
            cause: cause.to_owned(),
        };
        let payload = token.expose().split('.').nth(1).ok_or_else(|| invalid("it is not a JWT"))?;
        let payload =
            URL_SAFE_NO_PAD.decode(payload).map_err(|_| invalid("its payload is not base64url"))?;
        let all: Map<String, Value> = serde_json::from_slice(&payload)
            .map_err(|_| invalid("its payload is not a JSON object"))?;
        // NumericDate may have a fraction (RFC 7519 section 2).
        let exp = all.get("exp").and_then(Value::as_f64).ok_or_else(|| invalid("it has no exp"))?;
        let subject = all
            .get("sub")
            .and_then(Value::as_str)
            .ok_or_else(|| invalid("it has no sub"))?
            .to_owned();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the cast saturates, and milliseconds are enough"
        )]
        let expires_at = Timestamp::from_millis((exp * 1000.0) as i64);
        Ok(Self { expires_at, subject, all })
    }

    /// Decodes and validates (Core 3.1.3.7 points 2, 3, 9 and 11).
    pub fn verify(token: &Secret, expected: &Expected<'_>) -> Result<Self, Error> {
        let claims = Self::decode(token)?;
        let invalid =
            |cause: String| Error::InvalidResponse { url: expected.issuer.to_owned(), cause };
        if claims.text("iss") != Some(expected.issuer) {
            return Err(invalid(format!("the ID token's iss is {:?}", claims.all.get("iss"))));
        }
        if !claims.audiences().contains(&expected.client_id) {
            return Err(invalid(format!(
                "the ID token's aud does not contain {:?}",
                expected.client_id
            )));
        }
        if claims.expires_at <= expected.now {
            // It was issued a second ago.
            return Err(Error::Local(format!(
                "the ID token that {} issued now expired at {}: the clock of this machine, {}, is ahead of the issuer's; set it",
                expected.issuer, claims.expires_at, expected.now
            )));
        }
        if expected.nonce.is_some() && claims.text("nonce") != expected.nonce {
            return Err(invalid("the ID token's nonce is not the one of this login".to_owned()));
        }
        Ok(claims)
    }

    pub fn text(&self, claim: &str) -> Option<&str> {
        self.all.get(claim).and_then(Value::as_str)
    }

    /// The display name: email, preferred_username, name or `sub`, the first that is present.
    pub fn display_name(&self) -> &str {
        ["email", "preferred_username", "name"]
            .iter()
            .find_map(|claim| self.text(claim))
            .unwrap_or(&self.subject)
    }

    pub fn groups(&self) -> Vec<&str> {
        let groups = self.all.get("groups").and_then(Value::as_array);
        groups.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    pub fn audiences(&self) -> Vec<&str> {
        match self.all.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, IdTokenClaims, URL_SAFE_NO_PAD};
    use base64::Engine;
    use countersign_core::{Secret, Timestamp};

    fn token(claims: &str) -> Secret {
        Secret::new(format!("e30.{}.s", URL_SAFE_NO_PAD.encode(claims)))
    }

    fn expected<'a>() -> Expected<'a> {
        Expected {
            issuer: "https://id.example",
            client_id: "kubectl",
            nonce: Some("n"),
            now: Timestamp::from_secs(10),
        }
    }

    #[test]
    fn a_good_token_of_several_audiences_and_a_fraction_is_accepted() {
        let good = token(
            r#"{"iss":"https://id.example","sub":"s","aud":["a","kubectl"],"exp":20.5,"nonce":"n"}"#,
        );
        let claims = IdTokenClaims::verify(&good, &expected()).unwrap();
        assert_eq!(claims.expires_at, Timestamp::from_millis(20_500));
    }

    #[test]
    fn what_is_not_for_this_login_is_refused() {
        for (claims, cause) in [
            (
                r#"{"iss":"https://evil.example","sub":"s","aud":"kubectl","exp":20,"nonce":"n"}"#,
                "iss",
            ),
            (r#"{"iss":"https://id.example","sub":"s","aud":"other","exp":20,"nonce":"n"}"#, "aud"),
            (
                r#"{"iss":"https://id.example","sub":"s","aud":"kubectl","exp":10,"nonce":"n"}"#,
                "the clock of this machine",
            ),
            (r#"{"iss":"https://id.example","sub":"s","aud":"kubectl","exp":20}"#, "nonce"),
            (r#"{"iss":"https://id.example","aud":"kubectl","exp":20,"nonce":"n"}"#, "sub"),
        ] {
            let error = IdTokenClaims::verify(&token(claims), &expected()).unwrap_err();
            assert!(error.to_string().contains(cause), "{claims}: {error}");
        }
    }
}
