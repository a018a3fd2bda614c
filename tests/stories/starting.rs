//! Starting and stopping: an administrator learns from the first line what is wrong, and nothing
//! that was acknowledged is lost at a restart.

use crate::world::{ALICE, ALICE_PASSWORD, Client, Need, Person, World, verified};

#[tokio::test]
async fn it_does_not_start_with_a_key_it_does_not_know_and_names_the_nearest() {
    let said = World::new().with("oauth2:\n  skipAprovalScreen: true").refuses_to_start().await;
    assert!(said.contains("skipAprovalScreen") && said.contains("skipApprovalScreen"), "{said}");
}

#[tokio::test]
async fn it_does_not_start_with_a_secret_from_an_unset_variable() {
    let world = || {
        World::empty().person(Person::new(ALICE, ALICE_PASSWORD)).with(
        "staticClients:\n- id: app\n  name: App\n  secretEnv: APP_SECRET\n  redirectURIs: ['https://app.example.com/cb']",
    )
    };
    let said = world().refuses_to_start().await;
    assert!(said.contains("APP_SECRET"), "{said}");
    let mut server = world().env("APP_SECRET", "a-secret-from-outside").start().await;
    server.assert_no_secret_in_log(&["a-secret-from-outside"]);
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_restart_keeps_keys_sessions_and_tokens() {
    let mut server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.asks("openid offline_access");
    let arrival = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let answer = app.redeems(&request, &arrival).await;

    server.kill();
    server.restart().await;
    verified(answer.id_token(), &app.reads("/keys").await.json);
    let refreshed = app.refreshes(answer.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    let again = app.asks("openid");
    alice.opens(&again.url).await;
    assert!(alice.page().form_with("password").is_none(), "she is still signed in");
}

#[tokio::test]
async fn a_clean_stop_ends_well_and_soon() {
    let mut server = World::new().client(Client::public("cli")).start().await;
    let status = server.stop().await;
    assert!(status.success(), "{status}:\n{}", server.log());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[tokio::test]
async fn the_story_clock_is_the_clock_of_the_server() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    server.advance(std::time::Duration::from_secs(40 * 86_400));
    let request = app.asks("openid");
    let arrival = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let answer = app.redeems(&request, &arrival).await;
    let iat = crate::world::claims(answer.id_token())["iat"].as_u64().unwrap();
    let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((iat - real.as_secs()).abs_diff(40 * 86_400) < 120, "issued at {iat}");
}
