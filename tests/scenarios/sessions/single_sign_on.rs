//! Single sign-on after the first login, and reuse of an old refresh token.

use std::time::Duration;

use crate::world::{ALICE, ALICE_PASSWORD, Client, Need, World};

#[tokio::test]
async fn a_second_client_needs_no_password() {
    let server = World::new().client(Client::new("wiki")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let wiki = server.relying_party("wiki");
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;

    let request = wiki.auth_request("openid email");
    alice.opens(&request.url).await;
    assert!(alice.page().form_with("password").is_none(), "{}", alice.page().text());
    alice.approves().await;
    let response = wiki.redeems(&request, &alice.auth_response()).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
}

#[tokio::test]
async fn a_browser_without_cookies_must_sign_in_again() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    assert!(!alice.cookies().is_empty());
    alice.forgets_cookies();
    alice.opens(app.auth_request("openid").url).await;
    assert!(alice.page().form_with("password").is_some(), "{}", alice.page().text());
}

#[tokio::test]
async fn reuse_of_an_old_refresh_token_ends_the_grant() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let first = app.redeems(&request, &auth_response).await;
    let second = app.refreshes(first.refresh_token()).await;
    assert_eq!(second.status, 200, "{}", second.page.body);

    // Past the reuse interval it may be theft or a lost response; the grant ends in both cases.
    server.advance(Duration::from_mins(5));
    let replayed = app.refreshes(first.refresh_token()).await;
    assert_eq!((replayed.status, replayed.error()), (400, "invalid_grant"));
    let after = app.refreshes(second.refresh_token()).await;
    assert_eq!((after.status, after.error()), (400, "invalid_grant"));
}

#[tokio::test]
async fn with_always_show_login_screen_alice_chooses_a_connector() {
    let world = World::new().with("oauth2:\n  alwaysShowLoginScreen: true");
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.opens(app.auth_request("openid").url).await;
    assert!(alice.page().form_with("password").is_none(), "{}", alice.page().text());
    alice.clicks("Email").await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    alice.auth_response();
}
