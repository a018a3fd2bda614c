//! Maps claims to a Kubernetes user by the rules of kube-apiserver's `--oidc-…` flags, without reading the database.
//!
//! One rule is stricter: names and groups that begin with `system:` are reserved for Kubernetes and refused.

use countersign_core::kubernetes::Webhook;
use serde_json::{Map, Value};

/// The user that the API server assigns to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub username: String,
    pub groups: Vec<String>,
    /// Identifies the token in the cluster's audit log.
    pub credential_id: Option<String>,
}

const RESERVED: &str = "system:";

/// The user of these claims, or why there is none. `issuer` is the default prefix of user names.
pub(super) fn user_of(
    claims: &Map<String, Value>,
    webhook: &Webhook,
    issuer: &str,
) -> Result<User, String> {
    let username = format!("{}{}", webhook.username_prefix(issuer), name(claims, webhook)?);
    let groups = groups(claims, webhook)?;
    for (claim, wanted) in &webhook.required_claims {
        let found = claims.get(claim).and_then(Value::as_str);
        let found = found.ok_or_else(|| format!("the token has no claim {claim}"))?;
        if found != wanted {
            return Err(format!("the claim {claim} is another than required"));
        }
    }
    if username.starts_with(RESERVED) || groups.iter().any(|group| group.starts_with(RESERVED)) {
        return Err(format!(
            "a name or group that begins with {RESERVED} is Kubernetes' own: set a prefix"
        ));
    }
    let jti = claims.get("jti").and_then(Value::as_str);
    Ok(User { username, groups, credential_id: jti.map(|jti| format!("JTI={jti}")) })
}

fn name<'a>(claims: &'a Map<String, Value>, webhook: &Webhook) -> Result<&'a str, String> {
    let claim = &webhook.username_claim;
    let found = claims.get(claim).and_then(Value::as_str);
    let found = found.ok_or_else(|| format!("the token has no claim {claim}"))?;
    // OpenID Connect Core 1.0 section 5.7: an unverified e-mail address must not identify a user.
    let verified = claims.get("email_verified").is_none_or(|flag| flag == &Value::Bool(true));
    if claim == "email" && !verified {
        return Err("the e-mail address is not verified".to_owned());
    }
    Ok(found)
}

/// The groups claim: a list of strings, or a single string.
fn groups(claims: &Map<String, Value>, webhook: &Webhook) -> Result<Vec<String>, String> {
    let Some(claim) = &webhook.groups_claim else { return Ok(Vec::new()) };
    let Some(found) = claims.get(claim) else { return Ok(Vec::new()) };
    let texts = match found {
        Value::String(one) => Some(vec![one.as_str()]),
        Value::Array(all) => all.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let texts = texts.ok_or_else(|| format!("the claim {claim} is not a list of texts"))?;
    Ok(texts.into_iter().map(|group| format!("{}{group}", webhook.groups_prefix)).collect())
}

#[cfg(test)]
mod tests {
    use super::{User, user_of};
    use countersign_core::Secret;
    use countersign_core::kubernetes::Webhook;
    use serde_json::{Value, json};

    fn webhook() -> Webhook {
        Webhook {
            secret: Secret::default(),
            username_claim: "email".to_owned(),
            username_prefix: Some("oidc:".to_owned()),
            groups_claim: Some("groups".to_owned()),
            groups_prefix: "oidc:".to_owned(),
            required_claims: Vec::new(),
        }
    }

    fn claims() -> Value {
        json!({"sub": "S", "email": "a@example.com", "email_verified": true, "jti": "7",
            "groups": ["dev", "ops"], "name": "alice"})
    }

    fn seen(claims: &Value, webhook: &Webhook) -> Result<User, String> {
        user_of(claims.as_object().unwrap(), webhook, "https://id.example.com")
    }

    #[test]
    fn claims_become_a_user_as_the_flags_say() {
        let user = seen(&claims(), &webhook()).unwrap();
        assert_eq!(user.username, "oidc:a@example.com");
        assert_eq!(user.groups, ["oidc:dev", "oidc:ops"]);
        assert_eq!(user.credential_id.as_deref(), Some("JTI=7"));
        let default = Webhook {
            username_claim: "sub".to_owned(),
            username_prefix: None,
            groups_claim: None,
            ..webhook()
        };
        let user = seen(&claims(), &default).unwrap();
        assert_eq!(user.username, "https://id.example.com#S");
        assert_eq!(user.groups, [] as [&str; 0]);
        let by_name = Webhook { groups_claim: Some("name".to_owned()), ..webhook() };
        assert_eq!(seen(&claims(), &by_name).unwrap().groups, ["oidc:alice"], "one text will do");
    }

    #[test]
    fn a_missing_unverified_or_mistyped_claim_is_refused() {
        let with = |name: &str, value: Value| {
            let mut all = claims();
            all[name] = value;
            all
        };
        let mut nameless = claims();
        nameless.as_object_mut().unwrap().remove("email");
        for (claims, reason) in [
            (nameless, "the token has no claim email"),
            (with("email", json!(["a@example.com"])), "the token has no claim email"),
            (with("email_verified", json!(false)), "the e-mail address is not verified"),
            (with("email_verified", json!("true")), "the e-mail address is not verified"),
            (with("groups", json!({"dev": true})), "the claim groups is not a list of texts"),
            (with("groups", json!(["dev", 7])), "the claim groups is not a list of texts"),
        ] {
            assert_eq!(seen(&claims, &webhook()).unwrap_err(), reason, "{claims}");
        }
        // `email_verified` matters only when the user name is the e-mail address.
        let by_sub = Webhook { username_claim: "sub".to_owned(), ..webhook() };
        assert!(seen(&with("email_verified", json!(false)), &by_sub).is_ok());
    }

    #[test]
    fn a_required_claim_with_another_value_is_refused() {
        let require = |name: &str, value: &str| Webhook {
            required_claims: vec![(name.to_owned(), value.to_owned())],
            ..webhook()
        };
        assert!(seen(&claims(), &require("name", "alice")).is_ok());
        assert!(seen(&claims(), &require("name", "bob")).unwrap_err().contains("another"));
        assert!(seen(&claims(), &require("azp", "x")).unwrap_err().contains("no claim azp"));
        assert!(seen(&claims(), &require("groups", "dev")).is_err(), "a list is no text");
    }

    /// Threat 155.
    #[test]
    fn kubernetes_system_names_and_groups_are_never_assigned() {
        let bare = Webhook { groups_prefix: String::new(), ..webhook() };
        let mut master = claims();
        master["groups"] = json!(["dev", "system:masters"]);
        assert!(seen(&master, &bare).unwrap_err().contains("system:"));
        assert_eq!(seen(&master, &webhook()).unwrap().groups[1], "oidc:system:masters");
        let bare = Webhook { username_prefix: Some("-".to_owned()), ..webhook() };
        let mut node = claims();
        node["email"] = json!("system:node:a");
        assert!(seen(&node, &bare).is_err());
    }
}
