//! Explanations of token claims for users, for `kubectl countersign token` and the example application.

use serde_json::Value;

use crate::Timestamp;

/// One sentence about a claim of an ID or access token, and how an API server uses it.
pub fn describe(claim: &str) -> &'static str {
    match claim {
        "iss" => {
            "Issuer. Applications and API servers (--oidc-issuer-url) compare it byte for byte."
        }
        "sub" => {
            "Subject: the user's identifier at this issuer; it never changes. The username in a cluster unless \
             --oidc-username-claim names another claim."
        }
        "aud" => {
            "Audience: the clients that this token is for. An API server accepts it if its --oidc-client-id is one \
             of them."
        }
        "azp" => "Authorized party: the client that requested the token.",
        "exp" => "Expiry. From then on nobody accepts the token.",
        "iat" => "Issued at.",
        "nbf" => "Not valid before this instant.",
        "auth_time" => "When the user last authenticated.",
        "nonce" => {
            "The random value of the authorization request; ties the token to the login that requested it."
        }
        "jti" => "Identifier of this token, as in the issuer's log.",
        "sid" => {
            "Session at the issuer. When it ends, refresh tokens stop working, and API servers that ask the issuer \
             refuse the token."
        }
        "grant_id" => {
            "What this client was granted; revoking it ends the tokens of this client alone."
        }
        "at_hash" => "Hash of the access token that was issued with this ID token.",
        "c_hash" => "Hash of the authorization code that was issued with this ID token.",
        "email" => "E-mail address; the username in a cluster with --oidc-username-claim=email.",
        "email_verified" => {
            "Whether the address is known to be the user's. An API server with --oidc-username-claim=email refuses \
             the token if this is false."
        }
        "name" => "Name to show to people.",
        "preferred_username" => "Short name; it may change and is not unique for ever.",
        "groups" => {
            "Groups of the user. The groups in a cluster with --oidc-groups-claim=groups, behind --oidc-groups-prefix."
        }
        "federated_claims" => {
            "Which connector authenticated the user, and the user's identifier there."
        }
        "scope" => "The scopes that were granted.",
        "client_id" => "The client that the token was issued to.",
        "_claim_names" | "_claim_sources" => {
            "Distributed claims: the API server fetches the groups from the issuer when it needs them."
        }
        "acr" => "How strong the authentication was.",
        "amr" => "How the user authenticated.",
        _ => {
            "Not one of the usual claims; an API server ignores it unless its AuthenticationConfiguration names it."
        }
    }
}

/// A claim's value as text: instants as dates (RFC 7519 section 2), lists separated by commas.
pub fn show_value(claim: &str, value: &Value) -> String {
    match (claim, value) {
        ("exp" | "iat" | "nbf" | "auth_time", Value::Number(number)) => match number.as_i64() {
            Some(seconds) => Timestamp::from_secs(seconds).to_string(),
            None => number.to_string(),
        },
        (_, Value::String(text)) => text.clone(),
        (_, Value::Array(items)) => {
            items.iter().map(|item| show_value("", item)).collect::<Vec<_>>().join(", ")
        }
        (_, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{describe, show_value};

    #[test]
    fn instants_are_dates_and_lists_have_commas() {
        assert_eq!(show_value("exp", &json!(0)), "1970-01-01T00:00:00Z");
        assert_eq!(show_value("groups", &json!(["a", "b"])), "a, b");
        assert_eq!(show_value("other", &json!({"a": 1})), "{\"a\":1}");
        assert_ne!(describe("exp"), describe("unknown"));
    }
}
