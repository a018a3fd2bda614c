//! The claims of a JWT, each with its meaning, and the user that a Kubernetes API server derives from an ID token by
//! its flags (`--oidc-*`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::claim_descriptions::{describe, show_value};
use serde_json::{Map, Value};

use crate::pages::Name;

/// Longest value shown, in characters.
const MAX_VALUE: usize = 1_000;

/// One row of the table.
pub struct ClaimRow {
    pub name: Name,
    pub value: Name,
    pub meaning: &'static str,
}

/// The payload; `None` for a token that is not a JWT. The signature is not verified here.
pub fn decode(token: &str) -> Option<Map<String, Value>> {
    part(token, 1)
}

/// The header, such as `{"alg":"RS256","kid":"…"}`.
pub fn decode_header(token: &str) -> Option<Map<String, Value>> {
    part(token, 0)
}

pub fn rows(claims: &Map<String, Value>) -> Vec<ClaimRow> {
    let rows = claims.iter().map(|(name, value)| ClaimRow {
        name: Name::new(name),
        value: Name::up_to(MAX_VALUE, &show_value(name, value)),
        meaning: describe(name),
    });
    rows.collect()
}

fn part(token: &str, index: usize) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let part = parts.nth(index)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// One set of flags and the resulting user.
pub struct ClusterView {
    pub flags: String,
    pub result: LoginResult,
}

pub enum LoginResult {
    Accepted { user: Name, groups: Vec<Name> },
    Refused { reason: &'static str },
}

/// The result with the default flags, and with the most common ones.
pub fn cluster_views(claims: &Map<String, Value>, client_id: &str) -> Vec<ClusterView> {
    let audience = format!("--oidc-client-id={client_id}");
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let by_subject = match (text("iss"), text("sub")) {
        // The default prefix is the issuer and `#`, unless the username claim is email.
        (Some(issuer), Some(subject)) => LoginResult::Accepted {
            user: Name::new(&format!("{issuer}#{subject}")),
            groups: Vec::new(),
        },
        _ => LoginResult::Refused { reason: "the token has no sub" },
    };
    let by_email = match (text("email"), claims.get("email_verified")) {
        (None, _) => {
            LoginResult::Refused { reason: "the token has no email: ask for the scope email" }
        }
        (Some(_), Some(Value::Bool(false))) => LoginResult::Refused {
            reason: "email_verified is false, and then the API server refuses email as the username",
        },
        (Some(email), _) => LoginResult::Accepted {
            user: Name::new(&format!("oidc:{email}")),
            groups: groups(claims)
                .iter()
                .map(|group| Name::new(&format!("oidc:{group}")))
                .collect(),
        },
    };
    vec![
        ClusterView { flags: audience.clone(), result: by_subject },
        ClusterView {
            flags: format!(
                "{audience} --oidc-username-claim=email --oidc-username-prefix=oidc: \
                 --oidc-groups-claim=groups --oidc-groups-prefix=oidc:"
            ),
            result: by_email,
        },
    ]
}

/// The groups claim; a single group may be a string instead of a list.
fn groups(claims: &Map<String, Value>) -> Vec<&str> {
    match claims.get("groups") {
        Some(Value::String(group)) => vec![group],
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{LoginResult, cluster_views};

    fn by_email(claims: Value) -> LoginResult {
        let Value::Object(claims) = claims else { panic!("an object") };
        cluster_views(&claims, "app").pop().unwrap().result
    }

    #[test]
    fn an_address_that_is_not_verified_is_refused() {
        let claims = |verified: Value| json!({"iss": "i", "sub": "s", "email": "a@b", "email_verified": verified, "groups": "one"});
        assert!(matches!(by_email(claims(json!(false))), LoginResult::Refused { .. }));
        let LoginResult::Accepted { user, groups } = by_email(claims(json!(true))) else {
            panic!()
        };
        assert_eq!((user.as_str(), groups.len()), ("oidc:a@b", 1));
        assert!(matches!(by_email(json!({"iss": "i", "sub": "s"})), LoginResult::Refused { .. }));
    }
}
