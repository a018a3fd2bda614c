//! What is told of Alice, and to whom: scopes, claims and audiences (OpenID Connect Core 5.4; dex.md
//! 4.1; RFC 6749 section 3.3).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::{ALICE, ALICE_PASSWORD, Browser, Client, Need, RelyingParty, World, claims};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

struct Told {
    id: Value,
    access: Value,
    userinfo: Value,
    scope: String,
    has_refresh_token: bool,
}

async fn told(alice: &mut Browser, app: &RelyingParty, scope: &str) -> Told {
    let request = app.auth_request(scope);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    assert_eq!(response.status, 200, "{scope}: {}", response.page.body);
    let userinfo = app.userinfo(response.access_token()).await;
    assert_eq!(userinfo.status, 200, "{scope}: {}", userinfo.page.body);
    Told {
        id: claims(response.id_token()),
        access: claims(response.access_token()),
        userinfo: userinfo.json,
        scope: response.json["scope"].as_str().unwrap().to_owned(),
        has_refresh_token: response.json.get("refresh_token").is_some(),
    }
}

async fn refused(alice: &mut Browser, app: &RelyingParty, scope: &str) {
    let page = alice.get(app.auth_request_with(scope, &[]).url).await;
    let location = page.location().unwrap_or_else(|| panic!("{scope}: {}", page.text()));
    assert!(location.as_str().starts_with(&app.redirect_uri), "{scope}: {location}");
    assert!(location.query().unwrap().contains("error=invalid_scope"), "{scope}: {location}");
}

/// The certification profile Basic OP: `email`, `profile` and all of them; Dex's `groups`,
/// `federated:id` and `offline_access`.
#[tokio::test]
async fn each_scope_opens_its_own_claims_and_no_others() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let personal =
        ["email", "email_verified", "name", "preferred_username", "groups", "federated_claims"];
    for (scope, expected) in [
        ("openid", json!({})),
        ("openid email", json!({"email": ALICE, "email_verified": true})),
        ("openid profile", json!({"name": "alice", "preferred_username": null})),
        ("openid groups", json!({"groups": ["admins", "developers"]})),
        (
            "openid federated:id",
            json!({"federated_claims": {"connector_id": "local", "user_id": "id-of-alice"}}),
        ),
        (
            "profile email groups openid",
            json!({"email": ALICE, "email_verified": true, "name": "alice",
                "preferred_username": null, "groups": ["admins", "developers"]}),
        ),
    ] {
        let told = told(&mut alice, &app, scope).await;
        assert_eq!(told.scope, scope);
        assert!(!told.has_refresh_token);
        for source in [&told.id, &told.access, &told.userinfo] {
            assert_eq!(source["sub"], told.id["sub"]);
            for claim in personal {
                // An optional one of somebody who has none may be left out.
                let optional = expected.get(claim) == Some(&Value::Null);
                match source.get(claim) {
                    Some(value) if !optional => {
                        assert_eq!(Some(value), expected.get(claim), "{scope}")
                    }
                    Some(value) => assert!(value.is_string(), "{scope}: {value}"),
                    None => assert!(optional || expected.get(claim).is_none(), "{scope}: {claim}"),
                }
            }
        }
        assert!(told.id["sid"].is_string() && told.id["at_hash"].is_string());
        assert!(told.id["exp"].as_u64() > told.id["iat"].as_u64());
    }
    assert!(told(&mut alice, &app, "openid offline_access").await.has_refresh_token);
}

/// Somebody without groups has no such claim, as with Dex.
#[tokio::test]
async fn an_empty_list_is_left_out() {
    let server = World::new().with(SKIP).start().await;
    let (mut bob, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid groups");
    let auth_response = bob.logs_in(&request, crate::world::BOB, crate::world::BOB_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    assert!(claims(response.id_token()).get("groups").is_none());
}

/// design.md 7: what nobody knows is left out, and the answer says what was granted (RFC 6749 3.3).
#[tokio::test]
async fn an_unknown_scope_is_dropped_and_the_answer_says_so() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let asked = "address openid phone EMAIL email  openid\tcustom:thing audience:server:client_id:";
    let told = told(&mut alice, &app, asked).await;
    assert_eq!(told.scope, "openid email");
    assert_eq!(told.access["scope"], "openid email");
    assert_eq!((&told.id["aud"], &told.id["email"]), (&"example-app".into(), &ALICE.into()));
}

#[tokio::test]
async fn an_unknown_scope_is_an_error_where_that_is_configured() {
    let strict = "oauth2:\n  skipApprovalScreen: true\n  strictScopes: true";
    let server = World::new().with(strict).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for scope in
        ["openid address", "openid EMAIL", "openid audience:server:client_id:", "openid \""]
    {
        refused(&mut alice, &app, scope).await;
    }
    let all = "openid email profile groups offline_access federated:id";
    assert_eq!(told(&mut alice, &app, all).await.scope, all);
}

/// Dex's rule, and OpenID Connect's: without `openid` it is not a login.
#[tokio::test]
async fn without_openid_nothing_is_given() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    for scope in ["email", "OPENID", "openid2 email", "offline_access"] {
        refused(&mut alice, &app, scope).await;
    }
    refused(&mut alice, &app, "").await;
}

/// dex.md 4.1: peers in the order asked, then the one who asked; `azp` only if there are several.
#[tokio::test]
async fn a_token_for_others_names_them_in_order_and_who_asked() {
    let trusting = |id| Client::new(id).with("trustedPeers: [example-app]");
    let server = World::new()
        .client(trusting("kubernetes"))
        .client(trusting("wiki"))
        .client(Client::new("bank").with("trustedPeers: [wiki]"))
        .with(SKIP)
        .start()
        .await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let to = |ids: &[&str]| {
        let scopes = ids.iter().map(|id| format!("audience:server:client_id:{id}"));
        std::iter::once("openid".to_owned()).chain(scopes).collect::<Vec<_>>().join(" ")
    };
    for (peers, aud, azp) in [
        (vec![], json!("example-app"), None),
        (vec!["example-app"], json!("example-app"), None),
        (vec!["kubernetes"], json!(["kubernetes", "example-app"]), Some("example-app")),
        (
            vec!["wiki", "kubernetes"],
            json!(["wiki", "kubernetes", "example-app"]),
            Some("example-app"),
        ),
        (
            vec!["example-app", "kubernetes", "kubernetes"],
            json!(["example-app", "kubernetes"]),
            Some("example-app"),
        ),
    ] {
        let told = told(&mut alice, &app, &to(&peers)).await;
        assert_eq!(told.id["aud"], aud, "{peers:?}");
        assert_eq!(told.id.get("azp").and_then(Value::as_str), azp, "{peers:?}");
        assert_eq!(told.access["aud"], aud, "{peers:?}");
        assert_eq!(told.access["client_id"], "example-app");
    }
    // Who does not trust it, who does not exist, and trust that is not handed on.
    for peers in [vec!["bank"], vec!["nobody"], vec!["wiki", "bank"], vec!["KUBERNETES"]] {
        refused(&mut alice, &app, &to(&peers)).await;
    }
    // Trust has a direction.
    refused(&mut alice, &server.relying_party("wiki"), &to(&["example-app"])).await;
}

/// The address from which Dex's tools learn `sub`: base64url of the user's id and the connector.
#[tokio::test]
async fn a_subject_is_spelled_as_dex_spells_it() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let told = told(&mut alice, &app, "openid").await;
    // Field 1, 11 bytes "id-of-alice"; field 2, 5 bytes "local".
    assert_eq!(told.id["sub"], "CgtpZC1vZi1hbGljZRIFbG9jYWw");
}

/// OpenID Connect Core 3.1.3.6 and 3.3.2.11: the left half of a SHA-256, as the API of Dex has it.
#[tokio::test]
async fn an_id_token_names_the_code_and_the_access_token_it_came_with() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let told = claims(response.id_token());
    let half =
        |text: &str| URL_SAFE_NO_PAD.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
    assert_eq!(told["at_hash"], half(response.access_token()));
    assert_eq!(told["c_hash"], half(&auth_response.code));
    let later = app.refreshes(response.refresh_token()).await;
    let told = claims(later.id_token());
    assert_eq!(told["at_hash"], half(later.access_token()));
    assert!(told.get("c_hash").is_none());
}

/// OpenID Connect Core 12.2: the same person, login and audience; dex.md 4.1: the nonce as well.
#[tokio::test]
async fn a_refreshed_id_token_speaks_of_the_same_login() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email groups offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let first = app.redeems(&request, &auth_response).await;
    server.advance(Duration::from_secs(3600));
    let second = app.refreshes(first.refresh_token()).await;
    let (before, after) = (claims(first.id_token()), claims(second.id_token()));
    for claim in ["iss", "sub", "aud", "auth_time", "nonce", "sid", "email", "groups"] {
        assert!(before.get(claim).is_some(), "{claim}");
        assert_eq!(after[claim], before[claim], "{claim}");
    }
    assert!(after["iat"].as_u64().unwrap() >= before["iat"].as_u64().unwrap() + 3600);
    assert_ne!(after["jti"], before["jti"]);
}

/// RFC 6750 section 2; the certification profile Basic OP: in the header or in a form, not in a query.
#[tokio::test]
async fn userinfo_takes_its_token_in_a_header_or_in_a_form() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let told = app.userinfo(response.access_token()).await.json;
    assert_eq!(told["email"], ALICE);
    let mut nobody = server.browser();
    let url = server.url("/userinfo");
    let token = [("access_token", response.access_token())];
    let page = nobody.post_form(&url, &token).await;
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    assert_eq!(serde_json::from_str::<Value>(&page.body).unwrap(), told);
    let in_query = reqwest::Url::parse_with_params(&url, token).unwrap();
    for refused in [nobody.get(in_query).await, nobody.get(&url).await] {
        assert_eq!(refused.status, 401, "{}", refused.body);
        assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    // design.md 7: an ID token is for its application and opens nothing.
    let told = app.userinfo(response.id_token()).await;
    assert_eq!((told.status, told.json["error"].as_str()), (401, Some("invalid_token")));
}
