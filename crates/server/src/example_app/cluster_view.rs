//! What a Kubernetes API server would make of an ID token, by the rules of its flags (`--oidc-*`).

use serde_json::{Map, Value};

use crate::pages::Name;

/// One set of flags and what comes of it.
pub struct ClusterView {
    pub flags: String,
    pub verdict: Verdict,
}

pub enum Verdict {
    Accepted { user: Name, groups: Vec<Name> },
    Refused { why: &'static str },
}

/// The flags by default, and those of most clusters.
pub fn views(claims: &Map<String, Value>, client_id: &str) -> Vec<ClusterView> {
    let audience = format!("--oidc-client-id={client_id}");
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let by_subject = match (text("iss"), text("sub")) {
        // The prefix is the issuer and `#` unless the username claim is email.
        (Some(issuer), Some(subject)) => Verdict::Accepted {
            user: Name::new(&format!("{issuer}#{subject}")),
            groups: Vec::new(),
        },
        _ => Verdict::Refused { why: "the token has no sub" },
    };
    let by_email = match (text("email"), claims.get("email_verified")) {
        (None, _) => Verdict::Refused { why: "the token has no email: ask for the scope email" },
        (Some(_), Some(Value::Bool(false))) => Verdict::Refused {
            why: "email_verified is false, and then the API server refuses email as the username",
        },
        (Some(email), _) => Verdict::Accepted {
            user: Name::new(&format!("oidc:{email}")),
            groups: groups(claims)
                .iter()
                .map(|group| Name::new(&format!("oidc:{group}")))
                .collect(),
        },
    };
    vec![
        ClusterView { flags: audience.clone(), verdict: by_subject },
        ClusterView {
            flags: format!(
                "{audience} --oidc-username-claim=email --oidc-username-prefix=oidc: \
                 --oidc-groups-claim=groups --oidc-groups-prefix=oidc:"
            ),
            verdict: by_email,
        },
    ]
}

/// A claim with one group may be a text instead of a list.
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

    use super::{Verdict, views};

    fn by_email(claims: Value) -> Verdict {
        let Value::Object(claims) = claims else { panic!("an object") };
        views(&claims, "app").pop().unwrap().verdict
    }

    #[test]
    fn an_address_that_is_not_verified_is_refused() {
        let claims = |verified: Value| json!({"iss": "i", "sub": "s", "email": "a@b", "email_verified": verified, "groups": "one"});
        assert!(matches!(by_email(claims(json!(false))), Verdict::Refused { .. }));
        let Verdict::Accepted { user, groups } = by_email(claims(json!(true))) else { panic!() };
        assert_eq!((user.as_str(), groups.len()), ("oidc:a@b", 1));
        assert!(matches!(by_email(json!({"iss": "i", "sub": "s"})), Verdict::Refused { .. }));
    }
}
