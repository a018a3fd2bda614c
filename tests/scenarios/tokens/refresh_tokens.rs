//! Refresh tokens (threats D 54-56, design.md 3): each is used once, a lost answer is forgiven for half
//! a minute, and whatever comes later ends what it was given for.

use std::time::Duration;

use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Client, Need, RelyingParty, World, claims,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const OFFLINE: &str = "openid email offline_access";

/// The refresh token of a new login for these scopes, and the access token beside it.
async fn given(browser: &mut Browser, app: &RelyingParty, scopes: &str) -> (String, String) {
    let request = app.auth_request(scopes);
    let auth_response = browser.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    (response.refresh_token().to_owned(), response.access_token().to_owned())
}

async fn assert_over(app: &RelyingParty, token: &str) {
    let refused = app.refreshes(token).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant"), "{}", refused.page.body);
}

/// D 54; RFC 9700 section 4.14.2.
#[tokio::test]
async fn a_stolen_refresh_token_ends_what_it_was_given_for_and_nothing_else() {
    if Need::Clock.is_missing() {
        return;
    }
    let mut server = World::with_clock().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (first, _) = given(&mut alice, &app, OFFLINE).await;
    let (other_terminal, _) = given(&mut alice, &app, OFFLINE).await;
    let second = app.refreshes(&first).await;
    assert_eq!(app.userinfo(second.access_token()).await.status, 200);

    server.advance(Duration::from_secs(31));
    assert_over(&app, &first).await;
    assert_over(&app, second.refresh_token()).await;
    assert_eq!(app.userinfo(second.access_token()).await.status, 401, "at once, not at its end");
    assert_eq!(app.refreshes(&other_terminal).await.status, 200);
    alice.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    alice.auth_response();
    server.stop().await;
    assert!(
        server.log().contains("refresh_reused"),
        "the administrator is told:\n{}",
        server.log()
    );
}

/// D 54: the laptop's lid was closed before the answer came.
#[tokio::test]
async fn a_lost_answer_is_given_again() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (first, _) = given(&mut alice, &app, OFFLINE).await;
    let lost = app.refreshes(&first).await;
    let again = app.refreshes(&first).await;
    assert_eq!(again.status, 200, "{}", again.page.body);
    assert_eq!(again.refresh_token(), lost.refresh_token(), "one successor, not two");
    assert_ne!(again.refresh_token(), first);
    assert_ne!(again.access_token(), lost.access_token(), "fresh tokens, not kept ones");
    assert_eq!(claims(again.id_token())["sub"], claims(lost.id_token())["sub"]);

    let third = app.refreshes(again.refresh_token()).await;
    assert_eq!(third.status, 200, "{}", third.page.body);
    // Nobody who follows the chain brings one that is two steps old, however soon.
    assert_over(&app, &first).await;
    assert_over(&app, third.refresh_token()).await;
}

#[tokio::test]
async fn where_nothing_is_forgiven_the_second_use_is_the_last() {
    let world = World::new().with(SKIP);
    let world = world.with("expiry:\n  refreshTokens:\n    reuseInterval: 0s");
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (first, _) = given(&mut alice, &app, OFFLINE).await;
    let second = app.refreshes(&first).await;
    assert_eq!(second.status, 200, "{}", second.page.body);
    assert_over(&app, &first).await;
    assert_over(&app, second.refresh_token()).await;
}

/// D 55; CVE-2026-1035 (Keycloak): two refreshes at once made two families.
#[tokio::test]
async fn twenty_refreshes_at_once_have_one_successor() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().with(SKIP).start().await;
    let other = one.replica().await;
    let (mut alice, app) = (one.browser(), one.relying_party("example-app"));
    let (first, _) = given(&mut alice, &app, OFFLINE).await;

    let mut asking = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (mut app, first) = (one.relying_party("example-app"), first.clone());
        app.via_replica(if n % 2 == 0 { &one } else { &other });
        asking.spawn(async move { app.refreshes(&first).await });
    }
    let responses = asking.join_all().await;
    let successor = responses[0].refresh_token();
    for response in &responses {
        assert_eq!(response.status, 200, "{}", response.page.body);
        assert_eq!(response.refresh_token(), successor);
        assert_eq!(app.userinfo(response.access_token()).await.status, 200);
    }
    assert_ne!(successor, first);
    assert_eq!(app.refreshes(successor).await.status, 200);
}

/// D 56; CVE-2026-9802 (Keycloak): the memory of used tokens was a cache.
#[tokio::test]
async fn a_restart_forgets_neither_a_used_token_nor_a_lost_answer() {
    if Need::Clock.is_missing() {
        return;
    }
    let mut server = World::with_clock().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (first, _) = given(&mut alice, &app, OFFLINE).await;
    let (other, _) = given(&mut alice, &app, OFFLINE).await;
    let successor = app.refreshes(&first).await.refresh_token().to_owned();
    let other_successor = app.refreshes(&other).await.refresh_token().to_owned();
    server.restart().await;
    // However long that took, by this clock the half minute may be over; ask the one that is sure.
    assert_eq!(app.refreshes(&successor).await.status, 200);
    server.advance(Duration::from_secs(31));
    server.kill();
    server.restart().await;
    assert_over(&app, &other).await;
    assert_over(&app, &other_successor).await;
}

/// D 54 and RFC 6749 section 6: "bound to the client to which it was issued".
#[tokio::test]
async fn a_refresh_token_is_of_use_to_its_own_client_only() {
    let server = World::new().with(SKIP).client(Client::new("wiki")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (token, _) = given(&mut alice, &app, OFFLINE).await;
    assert_over(&server.relying_party("wiki"), &token).await;
    let flipped = if token.ends_with('A') { "B" } else { "A" };
    for odd in [
        format!("{}{flipped}", &token[..token.len() - 1]),
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        format!(" {token}"),
        token.to_uppercase(),
        token.replacen('.', "", 1),
        "....".to_owned(),
        "\u{0}".to_owned(),
    ] {
        assert_over(&app, &odd).await;
    }
    let refreshed = app.refreshes(&token).await;
    assert_eq!(refreshed.status, 200, "none of these was a use: {}", refreshed.page.body);
}

/// C 50; RFC 6749 section 6.
#[tokio::test]
async fn a_refresh_may_ask_for_less_and_never_for_more() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (token, _) = given(&mut alice, &app, OFFLINE).await;
    let ask = async |token: &str, scope: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
        app.exchange(&fields).await
    };
    for more in ["openid groups", "openid email profile offline_access", "groups"] {
        let refused = ask(&token, more).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_scope"), "{more}");
    }
    let less = ask(&token, "openid").await;
    assert_eq!(less.status, 200, "a refusal uses nothing up: {}", less.page.body);
    assert_eq!(less.json["scope"], "openid");
    assert!(claims(less.id_token()).get("email").is_none());
    let told = app.userinfo(less.access_token()).await.json;
    assert!(told.get("email").is_none(), "{told}");

    // Narrowed for once, not for ever.
    let whole = app.refreshes(less.refresh_token()).await;
    assert_eq!(claims(whole.id_token())["email"], ALICE);
}

/// `disableRotation`: for programs that keep their first token.
#[tokio::test]
async fn where_rotation_is_off_the_token_stays_the_same() {
    if Need::Clock.is_missing() {
        return;
    }
    let world = World::with_clock().with(SKIP);
    let world = world.with("expiry:\n  refreshTokens:\n    disableRotation: true");
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (token, _) = given(&mut alice, &app, OFFLINE).await;
    for _ in 0..3 {
        let response = app.refreshes(&token).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        assert_eq!(response.refresh_token(), token);
        server.advance(Duration::from_secs(3600));
    }
}

/// Two laptops, one person: design.md 3, "a second laptop never logs out the first".
#[tokio::test]
async fn two_laptops_do_not_disturb_each_other() {
    let server = World::new().with(SKIP).start().await;
    let app = server.relying_party("example-app");
    let (mut home, mut work, mut bob) = (server.browser(), server.browser(), server.browser());
    let (at_home, _) = given(&mut home, &app, OFFLINE).await;
    let (at_work, _) = given(&mut work, &app, OFFLINE).await;
    let request = app.auth_request(OFFLINE);
    let auth_response = bob.logs_in(&request, BOB, BOB_PASSWORD).await;
    let bobs = app.redeems(&request, &auth_response).await;
    for token in [&at_home, &at_work, bobs.refresh_token()] {
        assert_eq!(app.refreshes(token).await.status, 200);
    }
    for browser in [&mut home, &mut work, &mut bob] {
        browser.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
        browser.auth_response();
    }
}
