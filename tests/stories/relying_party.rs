//! An application by other people's code: the crate `openidconnect`, with its own ideas of what is
//! a correct answer. It verifies signature, issuer, audience, nonce, times and `at_hash` by itself.

use crate::world::{ALICE, ALICE_PASSWORD, Client, Need, ThirdParty, World};

/// One life of that application, from discovery to userinfo, in the shoes of `client`.
async fn lives_as(world: World, client: &str, algorithm: &str) {
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party(client));
    let scopes = "email groups offline_access";
    let mut theirs = ThirdParty::in_the_shoes_of(&app, &server.issuer(), scopes);

    let authorize = theirs.step("authorize");
    let url = authorize["url"].as_str().unwrap();
    let discovery = app.reads("/.well-known/openid-configuration").await.json;
    assert!(url.starts_with(discovery["authorization_endpoint"].as_str().unwrap()), "{url}");
    assert!(url.contains("code_challenge_method=S256"), "{url}");
    assert!(url.contains("nonce=") && url.contains("state="), "{url}");
    let algorithms = &discovery["id_token_signing_alg_values_supported"];
    assert_eq!(*algorithms, serde_json::json!([algorithm]));

    alice.opens(url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    theirs.comes_back(alice.arrives().url.as_str());

    let tokens = theirs.step("tokens");
    assert_eq!(tokens["email"], ALICE, "{tokens}");
    assert!(tokens["subject"].as_str().is_some_and(|subject| !subject.is_empty()), "{tokens}");
    let refreshed = theirs.step("refreshed");
    assert_eq!(refreshed["subject"], tokens["subject"], "{refreshed}");
    // It compares the `sub` of userinfo with the one it knows.
    let userinfo = theirs.step("userinfo");
    assert_eq!(userinfo["email"], ALICE, "{userinfo}");
    theirs.step("done");
}

#[tokio::test]
async fn relying_party_of_other_people_logs_alice_in_and_refreshes() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    lives_as(World::new(), "example-app", "RS256").await;
}

#[tokio::test]
async fn relying_party_of_other_people_without_a_secret_does_the_same() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    lives_as(World::new().client(Client::public("cli")), "cli", "RS256").await;
}

#[tokio::test]
async fn relying_party_of_other_people_reads_tokens_signed_by_es256() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    let signer = "signer:\n  type: local\n  config:\n    algorithm: ES256";
    lives_as(World::new().with(signer), "example-app", "ES256").await;
}
