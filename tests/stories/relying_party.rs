//! An application by other people's code: the crate `openidconnect`, with its own ideas of what is
//! a correct answer.

use crate::world::{ALICE, ALICE_PASSWORD, Need, ThirdParty, World};

#[tokio::test]
async fn relying_party_of_other_people_logs_alice_in_and_refreshes() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let scopes = "email groups offline_access";
    let mut theirs = ThirdParty::in_the_shoes_of(&app, &server.issuer(), scopes);

    alice.opens(theirs.step("authorize")["url"].as_str().unwrap()).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    theirs.comes_back(alice.arrives().url.as_str());

    let tokens = theirs.step("tokens");
    assert_eq!(tokens["email"], ALICE, "{tokens}");
    let refreshed = theirs.step("refreshed");
    assert_eq!(refreshed["subject"], tokens["subject"], "{refreshed}");
    let userinfo = theirs.step("userinfo");
    assert_eq!(userinfo["email"], ALICE, "{userinfo}");
    theirs.step("done");
}
