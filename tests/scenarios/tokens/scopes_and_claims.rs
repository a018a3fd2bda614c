//! Scopes, claims and audiences (OpenID Connect Core 5.4; RFC 6749 section 3.3).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::{ALICE, ALICE_PASSWORD, Browser, Client, Need, RelyingParty, World, claims};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

struct ReceivedClaims {
    id: Value,
    access: Value,
    userinfo: Value,
    scope: String,
    has_refresh_token: bool,
}

async fn received(alice: &mut Browser, app: &RelyingParty, scope: &str) -> ReceivedClaims {
    let request = app.auth_request(scope);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    assert_eq!(response.status, 200, "{scope}: {}", response.page.body);
    let userinfo = app.userinfo(response.access_token()).await;
    assert_eq!(userinfo.status, 200, "{scope}: {}", userinfo.page.body);
    ReceivedClaims {
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

/// The certification profile Basic OP: `email`, `profile` and all; Dex's `groups`, `federated:id` and
/// `offline_access`.
#[tokio::test]
async fn each_scope_adds_its_own_claims_and_no_others() {
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
        let received = received(&mut alice, &app, scope).await;
        assert_eq!(received.scope, scope);
        assert!(!received.has_refresh_token);
        for source in [&received.id, &received.access, &received.userinfo] {
            assert_eq!(source["sub"], received.id["sub"]);
            for claim in personal {
                // An optional claim without a value may be left out.
                let optional = expected.get(claim) == Some(&Value::Null);
                match source.get(claim) {
                    Some(value) if !optional => {
                        assert_eq!(Some(value), expected.get(claim), "{scope}");
                    }
                    Some(value) => assert!(value.is_string(), "{scope}: {value}"),
                    None => assert!(optional || expected.get(claim).is_none(), "{scope}: {claim}"),
                }
            }
        }
        assert!(received.id["sid"].is_string() && received.id["at_hash"].is_string());
        assert!(received.id["exp"].as_u64() > received.id["iat"].as_u64());
    }
    assert!(received(&mut alice, &app, "openid offline_access").await.has_refresh_token);
}

/// As in Dex.
#[tokio::test]
async fn an_empty_groups_claim_is_left_out() {
    let server = World::new().with(SKIP).start().await;
    let (mut bob, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid groups");
    let auth_response = bob.logs_in(&request, crate::world::BOB, crate::world::BOB_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    assert!(claims(response.id_token()).get("groups").is_none());
}

/// Unknown scopes are ignored; the response names the granted ones (RFC 6749 section 3.3).
#[tokio::test]
async fn unknown_scopes_are_dropped_and_the_granted_ones_returned() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let requested =
        "address openid phone EMAIL email  openid\tcustom:thing audience:server:client_id:";
    let received = received(&mut alice, &app, requested).await;
    assert_eq!(received.scope, "openid email");
    assert_eq!(received.access["scope"], "openid email");
    assert_eq!(
        (&received.id["aud"], &received.id["email"]),
        (&"example-app".into(), &ALICE.into())
    );
}

#[tokio::test]
async fn unknown_scopes_are_an_error_where_configured() {
    let strict = "oauth2:\n  skipApprovalScreen: true\n  strictScopes: true";
    let server = World::new().with(strict).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for scope in
        ["openid address", "openid EMAIL", "openid audience:server:client_id:", "openid \""]
    {
        refused(&mut alice, &app, scope).await;
    }
    let all = "openid email profile groups offline_access federated:id";
    assert_eq!(received(&mut alice, &app, all).await.scope, all);
}

/// As in Dex and OpenID Connect.
#[tokio::test]
async fn a_request_without_openid_is_refused() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    for scope in ["email", "OPENID", "openid2 email", "offline_access"] {
        refused(&mut alice, &app, scope).await;
    }
    refused(&mut alice, &app, "").await;
}

/// Peers in the order of the request, then the requesting client; `azp` only with several audiences, in the access token
/// too, as in Dex (issue 9, item 15).
#[tokio::test]
async fn a_token_for_peers_lists_them_and_the_requesting_client_as_audience() {
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
        let received = received(&mut alice, &app, &to(&peers)).await;
        assert_eq!(received.id["aud"], aud, "{peers:?}");
        for token in [&received.id, &received.access] {
            assert_eq!(token.get("azp").and_then(Value::as_str), azp, "{peers:?}");
        }
        assert_eq!(received.access["aud"], aud, "{peers:?}");
        assert_eq!(received.access["client_id"], "example-app");
    }
    // A peer that does not trust the client, an unknown one, and trust that is not transitive.
    for peers in [vec!["bank"], vec!["nobody"], vec!["wiki", "bank"], vec!["KUBERNETES"]] {
        refused(&mut alice, &app, &to(&peers)).await;
    }
    // Trust is not mutual.
    refused(&mut alice, &server.relying_party("wiki"), &to(&["example-app"])).await;
}

/// As in Dex: base64url of a message of user id and connector id.
#[tokio::test]
async fn sub_is_encoded_as_in_dex() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let received = received(&mut alice, &app, "openid").await;
    // Field 1, 11 bytes "id-of-alice"; field 2, 5 bytes "local".
    assert_eq!(received.id["sub"], "CgtpZC1vZi1hbGljZRIFbG9jYWw");
}

/// OpenID Connect Core 3.1.3.6 and 3.3.2.11: the left half of a SHA-256.
#[tokio::test]
async fn an_id_token_has_the_hashes_of_its_code_and_access_token() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let id_token = claims(response.id_token());
    let half =
        |text: &str| URL_SAFE_NO_PAD.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
    assert_eq!(id_token["at_hash"], half(response.access_token()));
    assert_eq!(id_token["c_hash"], half(&auth_response.code));
    let later = app.refreshes(response.refresh_token()).await;
    let id_token = claims(later.id_token());
    assert_eq!(id_token["at_hash"], half(later.access_token()));
    assert!(id_token.get("c_hash").is_none());
}

/// OpenID Connect Core 12.2, and the nonce as in Dex.
#[tokio::test]
async fn a_refreshed_id_token_has_the_claims_of_the_same_login() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email groups offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let first = app.redeems(&request, &auth_response).await;
    server.advance(Duration::from_hours(1));
    let second = app.refreshes(first.refresh_token()).await;
    let (before, after) = (claims(first.id_token()), claims(second.id_token()));
    for claim in ["iss", "sub", "aud", "auth_time", "nonce", "sid", "email", "groups"] {
        assert!(before.get(claim).is_some(), "{claim}");
        assert_eq!(after[claim], before[claim], "{claim}");
    }
    assert!(after["iat"].as_u64().unwrap() >= before["iat"].as_u64().unwrap() + 3600);
    assert_ne!(after["jti"], before["jti"]);
}

/// RFC 6750 section 2; the certification profile Basic OP.
#[tokio::test]
async fn userinfo_accepts_the_token_in_header_or_form_but_not_in_the_query() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let userinfo = app.userinfo(response.access_token()).await.json;
    assert_eq!(userinfo["email"], ALICE);
    let mut nobody = server.browser();
    let url = server.url("/userinfo");
    let token = [("access_token", response.access_token())];
    let page = nobody.post_form(&url, &token).await;
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    assert_eq!(serde_json::from_str::<Value>(&page.body).unwrap(), userinfo);
    let in_query = reqwest::Url::parse_with_params(&url, token).unwrap();
    for refused in [nobody.get(in_query).await, nobody.get(&url).await] {
        assert_eq!(refused.status, 401, "{}", refused.body);
        assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    // An ID token is refused as an access token.
    let response = app.userinfo(response.id_token()).await;
    assert_eq!((response.status, response.json["error"].as_str()), (401, Some("invalid_token")));
}
