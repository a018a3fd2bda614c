//! A rolling upgrade on PostgreSQL: replicas of the version before and of this one serve together, while the schema is
//! migrated under the old ones and the new ones publish keys that the old ones do not know (access-token keys).

use super::continuous_clients::{ContinuousClients, SETTINGS};
use crate::world::{
    ALICE, ALICE_PASSWORD, JsonResponse, Need, Server, SignedInClient, World, previous_program,
    verified,
};

const SCOPES: &str = "openid email offline_access";
const ACCESS_TOKEN_KEYS: &str = "signer:\n  accessTokenAlgorithm: ES256";

/// Each step of a login at the other replica than the step before.
async fn signs_in_at_both(begins: &Server, ends: &Server) -> JsonResponse {
    let (mut alice, mut app) = (begins.browser(), begins.relying_party("example-app"));
    let request = app.auth_request(SCOPES);
    alice.via_replica(begins).opens(&request.url).await;
    alice.via_replica(ends).signs_in(ALICE, ALICE_PASSWORD).await;
    let auth_response = alice.auth_response();
    let tokens = app.via_replica(begins).redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    let refreshed = app.via_replica(ends).refreshes(tokens.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    for server in [begins, ends] {
        app.via_replica(server);
        let keys = app.gets("/keys").await.json;
        for issued in [&tokens, &refreshed] {
            verified(issued.id_token(), &keys);
            assert_eq!(app.userinfo(issued.access_token()).await.status, 200);
        }
    }
    refreshed
}

/// What ends at one replica has ended at the other.
async fn ends_at_both(at: &Server, other: &Server) {
    let mut alice = SignedInClient::sign_in_alice(at, "example-app", SCOPES).await;
    alice.app.via_replica(at);
    alice.revokes().await;
    alice.app.via_replica(other);
    assert_eq!(alice.app.refreshes(&alice.refresh_token).await.error(), "invalid_grant");
    assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 401);
}

#[tokio::test]
async fn previous_version_and_this_one_serve_together_during_an_upgrade() {
    if Need::Postgres.is_missing() || Need::PreviousVersion.is_missing() {
        return;
    }
    let world = World::with_postgres().with(SETTINGS).run_by(&previous_program());
    let third = world.second_replica();
    let mut one = world.start().await;
    let mut other = one.replica().await;
    let before = SignedInClient::sign_in_alice(&one, "example-app", SCOPES).await;
    let clients = ContinuousClients::start(&[&one, &other]).await;
    clients.go_on().await;

    one.upgrades(|world| world.with(ACCESS_TOKEN_KEYS)).await;
    clients.go_on().await;
    signs_in_at_both(&one, &other).await;
    signs_in_at_both(&other, &one).await;
    ends_at_both(&one, &other).await;
    ends_at_both(&other, &one).await;
    // Running replicas of the old version go on; it does not start again on the new schema.
    let output = third.refuses_to_start().await;
    assert!(output.contains("newer"), "{output}");

    other.upgrades(|world| world.with(ACCESS_TOKEN_KEYS)).await;
    clients.go_on().await;
    clients.stop().await;
    let renewed = before.app.refreshes(&before.refresh_token).await;
    assert_eq!(renewed.status, 200, "{}", renewed.page.body);
    signs_in_at_both(&one, &other).await;
}
