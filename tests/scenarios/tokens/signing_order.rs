//! Tokens are signed before anything is stored, except for a superseded refresh token; seen while Vault cannot sign: a
//! replay ends the grant without a signature, and what cannot be signed leaves no session.

use crate::scenarios::connectors::oidc::{GROUPS, upstream_and_branch};
use crate::world::fakes::web::Reply;
use crate::world::{
    ALICE, ALICE_PASSWORD, JsonResponse, Server, SignedInClient, Transit, World, sealed,
};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// Requests for a signature that Vault has received.
fn signatures(vault: &Transit) -> usize {
    vault.web.requests("/v1/transit/sign/dex").len()
}

fn assert_invalid_grant(response: &JsonResponse) {
    let refused = (response.status, response.error());
    assert_eq!(refused, (400, "invalid_grant"), "{}", response.page.body);
}

fn assert_unavailable(response: &JsonResponse) {
    let refused = (response.status, response.error());
    assert_eq!(refused, (503, "temporarily_unavailable"), "{}", response.page.body);
}

fn count_of_sessions(server: &Server) -> usize {
    let output = server.runs_command(&["sessions", "list", "--config", "CONFIG"], &[]);
    let page: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    page["sessions"].as_array().unwrap().len()
}

/// RFC 6749 section 4.1.2.
#[tokio::test]
async fn a_replayed_code_ends_the_grant_while_vault_is_down() {
    let vault = Transit::start("ecdsa-p256");
    let server = World::new().with(&vault.signer()).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    assert_eq!(signatures(&vault), 2);
    vault.fails(Reply::Nothing);
    assert_invalid_grant(&app.redeems(&request, &auth_response).await);
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 401);
    assert_invalid_grant(&app.refreshes(tokens.refresh_token()).await);
    assert_eq!(signatures(&vault), 2, "a replay costs no signature");
}

/// RFC 9700 section 4.14.2. A token two generations old is always reuse.
#[tokio::test]
async fn a_replayed_refresh_token_ends_the_grant_without_a_signature() {
    let vault = Transit::start("ecdsa-p256");
    let server = World::new().with(&vault.signer()).start().await;
    for fault in [None, Some(Reply::Nothing), Some(sealed())] {
        let alice =
            SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
        let second = alice.app.refreshes(&alice.refresh_token).await;
        let third = alice.app.refreshes(second.refresh_token()).await;
        assert_eq!(alice.app.userinfo(third.access_token()).await.status, 200);
        let signed = signatures(&vault);
        if let Some(fault) = fault {
            vault.fails(fault);
        }
        assert_invalid_grant(&alice.app.refreshes(&alice.refresh_token).await);
        assert_eq!(alice.app.userinfo(third.access_token()).await.status, 401);
        assert_invalid_grant(&alice.app.refreshes(third.refresh_token()).await);
        assert_eq!(signatures(&vault), signed, "a replay costs no signature");
        vault.recovers();
    }
}

/// Without a reuse interval the previous refresh token is a replay too.
#[tokio::test]
async fn the_previous_refresh_token_ends_the_grant_while_vault_is_down() {
    let vault = Transit::start("ecdsa-p256");
    let world = World::new().with(&vault.signer());
    let world = world.with("expiry:\n  refreshTokens:\n    reuseInterval: 0s");
    let server = world.start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    let second = alice.app.refreshes(&alice.refresh_token).await;
    let signed = signatures(&vault);
    vault.fails(sealed());
    assert_invalid_grant(&alice.app.refreshes(&alice.refresh_token).await);
    assert_eq!(alice.app.userinfo(second.access_token()).await.status, 401);
    assert_eq!(signatures(&vault), signed, "a replay costs no signature");
}

#[tokio::test]
async fn a_retry_while_vault_is_down_is_answered_503_and_later_gets_the_same_successor() {
    let vault = Transit::start("ecdsa-p256");
    let server = World::new().with(&vault.signer()).start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    let lost = alice.app.refreshes(&alice.refresh_token).await;
    vault.fails(Reply::Nothing);
    assert_unavailable(&alice.app.refreshes(&alice.refresh_token).await);
    assert_eq!(alice.app.userinfo(lost.access_token()).await.status, 200);
    vault.recovers();
    let again = alice.app.refreshes(&alice.refresh_token).await;
    assert_eq!(again.status, 200, "{}", again.page.body);
    assert_eq!(again.refresh_token(), lost.refresh_token());
}

#[tokio::test]
async fn the_password_grant_leaves_no_session_while_vault_is_down() {
    let vault = Transit::start("ecdsa-p256");
    let world = World::new().with(&vault.signer()).with("oauth2:\n  passwordConnector: local");
    let server = world.start().await;
    let app = server.relying_party("example-app");
    let fields = [
        ("grant_type", "password"),
        ("username", ALICE),
        ("password", ALICE_PASSWORD),
        ("scope", "openid offline_access"),
    ];
    vault.fails(Reply::Nothing);
    assert_unavailable(&app.exchange(&fields).await);
    assert_eq!(count_of_sessions(&server), 0);
    vault.recovers();
    let tokens = app.exchange(&fields).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    assert_eq!(count_of_sessions(&server), 1);
    assert_eq!(app.refreshes(tokens.refresh_token()).await.status, 200);
}

/// A client that goes on asking with a password that it keeps.
#[tokio::test]
async fn the_password_of_a_blocked_user_costs_no_signature() {
    let vault = Transit::start("ecdsa-p256");
    let world = World::new().with(&vault.signer()).with("oauth2:\n  passwordConnector: local");
    let server = world.start().await;
    let app = server.relying_party("example-app");
    let fields = [("grant_type", "password"), ("username", ALICE), ("password", ALICE_PASSWORD)];
    assert_eq!(app.exchange(&fields).await.status, 200);
    let person = ["id-of-alice", "--connector", "local", "--reason", "left"];
    let block = [&["users", "block"][..], &person, &["--config", "CONFIG", "--yes"]].concat();
    let output = server.runs_command(&block, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let signed = signatures(&vault);
    assert_invalid_grant(&app.exchange(&fields).await);
    assert_eq!(signatures(&vault), signed);
}

#[tokio::test]
async fn the_exchange_of_an_upstreams_token_leaves_no_session_while_vault_is_down() {
    let vault = Transit::start("ecdsa-p256");
    let grants = format!("oauth2:\n  grantTypes: [authorization_code, \"{EXCHANGE}\"]");
    let branch = World::new().with(&vault.signer()).with(&grants);
    let (upstream, branch) = upstream_and_branch(World::new(), branch, GROUPS).await;
    let scopes = "openid email profile groups";
    let job = SignedInClient::sign_in_alice(&upstream, "branch", scopes).await;
    let app = branch.relying_party("example-app");
    let fields = [
        ("grant_type", EXCHANGE),
        ("connector_id", "home"),
        ("subject_token", job.id_token.as_str()),
        ("subject_token_type", ID_TOKEN),
        ("scope", "openid email groups"),
    ];
    vault.fails(Reply::Nothing);
    assert_unavailable(&app.exchange(&fields).await);
    assert_eq!(count_of_sessions(&branch), 0);
    vault.recovers();
    let tokens = app.exchange(&fields).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    assert_eq!(count_of_sessions(&branch), 1);
    assert_eq!(app.userinfo(tokens.access_token()).await.json["email"], ALICE);
}
