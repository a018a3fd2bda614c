//! Refresh tokens (threats D 54-56): rotation, a reuse interval of half a minute for lost responses, and
//! reuse detection after it.

use std::time::Duration;

use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Client, Need, RelyingParty, World, claims,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const OFFLINE: &str = "openid email offline_access";

/// Refresh and access token of a new login for these scopes.
async fn tokens_of_new_login(
    browser: &mut Browser,
    app: &RelyingParty,
    scopes: &str,
) -> (String, String) {
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
async fn reuse_of_a_refresh_token_ends_its_grant_and_no_other() {
    if Need::Clock.is_missing() {
        return;
    }
    let mut server = World::with_clock().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (first, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;
    let (other_terminal, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;
    let second = app.refreshes(&first).await;
    assert_eq!(app.userinfo(second.access_token()).await.status, 200);

    server.advance(Duration::from_secs(31));
    assert_over(&app, &first).await;
    assert_over(&app, second.refresh_token()).await;
    assert_eq!(
        app.userinfo(second.access_token()).await.status,
        401,
        "immediately, before its expiry"
    );
    assert_eq!(app.refreshes(&other_terminal).await.status, 200);
    alice.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    alice.auth_response();
    server.stop().await;
    assert!(server.log().contains("refresh_reused"), "the event is logged:\n{}", server.log());
}

/// D 54.
#[tokio::test]
async fn a_retry_after_a_lost_response_gets_the_same_successor() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (first, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;
    let lost = app.refreshes(&first).await;
    let again = app.refreshes(&first).await;
    assert_eq!(again.status, 200, "{}", again.page.body);
    assert_eq!(again.refresh_token(), lost.refresh_token(), "one successor, not two");
    assert_ne!(again.refresh_token(), first);
    assert_ne!(again.access_token(), lost.access_token(), "new access tokens, not stored ones");
    assert_eq!(claims(again.id_token())["sub"], claims(lost.id_token())["sub"]);

    let third = app.refreshes(again.refresh_token()).await;
    assert_eq!(third.status, 200, "{}", third.page.body);
    // A token two generations old is always reuse.
    assert_over(&app, &first).await;
    assert_over(&app, third.refresh_token()).await;
}

#[tokio::test]
async fn without_a_reuse_interval_the_second_use_ends_the_grant() {
    let world = World::new().with(SKIP);
    let world = world.with("expiry:\n  refreshTokens:\n    reuseInterval: 0s");
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (first, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;
    let second = app.refreshes(&first).await;
    assert_eq!(second.status, 200, "{}", second.page.body);
    assert_over(&app, &first).await;
    assert_over(&app, second.refresh_token()).await;
}

/// D 55; CVE-2026-1035 (Keycloak): two concurrent refreshes created two token families.
#[tokio::test]
async fn twenty_concurrent_refreshes_have_one_successor() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().with(SKIP).start().await;
    let other = one.replica().await;
    let (mut alice, app) = (one.browser(), one.relying_party("example-app"));
    let (first, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;

    let mut requests = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (mut app, first) = (one.relying_party("example-app"), first.clone());
        app.via_replica(if n % 2 == 0 { &one } else { &other });
        requests.spawn(async move { app.refreshes(&first).await });
    }
    let responses = requests.join_all().await;
    let successor = responses[0].refresh_token();
    for response in &responses {
        assert_eq!(response.status, 200, "{}", response.page.body);
        assert_eq!(response.refresh_token(), successor);
        assert_eq!(app.userinfo(response.access_token()).await.status, 200);
    }
    assert_ne!(successor, first);
    assert_eq!(app.refreshes(successor).await.status, 200);
}

/// D 56; CVE-2026-9802 (Keycloak): used tokens were remembered in a cache.
#[tokio::test]
async fn rotation_and_retry_survive_a_restart() {
    if Need::Clock.is_missing() {
        return;
    }
    let mut server = World::with_clock().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (first, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;
    let (other, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;
    let successor = app.refreshes(&first).await.refresh_token().to_owned();
    let other_successor = app.refreshes(&other).await.refresh_token().to_owned();
    server.restart().await;
    // The restart may have taken longer than the reuse interval, so only a definite case is checked.
    assert_eq!(app.refreshes(&successor).await.status, 200);
    server.advance(Duration::from_secs(31));
    server.kill();
    server.restart().await;
    assert_over(&app, &other).await;
    assert_over(&app, &other_successor).await;
}

/// D 54 and RFC 6749 section 6: "bound to the client to which it was issued".
#[tokio::test]
async fn a_refresh_token_of_another_client_is_refused() {
    let server = World::new().with(SKIP).client(Client::new("wiki")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (token, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;
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
    assert_eq!(refreshed.status, 200, "the attempts did not use it: {}", refreshed.page.body);
}

/// C 50; RFC 6749 section 6.
#[tokio::test]
async fn a_refresh_may_narrow_the_scope_and_never_widen_it() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (token, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;
    let ask = async |token: &str, scope: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
        app.exchange(&fields).await
    };
    for more in ["openid groups", "openid email profile offline_access", "groups"] {
        let refused = ask(&token, more).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_scope"), "{more}");
    }
    let less = ask(&token, "openid").await;
    assert_eq!(less.status, 200, "a refused request does not use the token: {}", less.page.body);
    assert_eq!(less.json["scope"], "openid");
    assert!(claims(less.id_token()).get("email").is_none());
    let userinfo = app.userinfo(less.access_token()).await.json;
    assert!(userinfo.get("email").is_none(), "{userinfo}");

    // The narrowed scope applies to this response only.
    let whole = app.refreshes(less.refresh_token()).await;
    assert_eq!(claims(whole.id_token())["email"], ALICE);
}

/// `disableRotation`: for programs that keep their first token.
#[tokio::test]
async fn with_rotation_disabled_the_refresh_token_stays_the_same() {
    if Need::Clock.is_missing() {
        return;
    }
    let world = World::with_clock().with(SKIP);
    let world = world.with("expiry:\n  refreshTokens:\n    disableRotation: true");
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (token, _) = tokens_of_new_login(&mut alice, &app, OFFLINE).await;
    for _ in 0..3 {
        let response = app.refreshes(&token).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        assert_eq!(response.refresh_token(), token);
        server.advance(Duration::from_hours(1));
    }
}

/// Grants are independent of each other.
#[tokio::test]
async fn two_sessions_of_one_person_are_independent() {
    let server = World::new().with(SKIP).start().await;
    let app = server.relying_party("example-app");
    let (mut one, mut other, mut bob) = (server.browser(), server.browser(), server.browser());
    let (of_one, _) = tokens_of_new_login(&mut one, &app, OFFLINE).await;
    let (at_work, _) = tokens_of_new_login(&mut other, &app, OFFLINE).await;
    let request = app.auth_request(OFFLINE);
    let auth_response = bob.logs_in(&request, BOB, BOB_PASSWORD).await;
    let bobs = app.redeems(&request, &auth_response).await;
    for token in [&of_one, &at_work, bobs.refresh_token()] {
        assert_eq!(app.refreshes(token).await.status, 200);
    }
    for browser in [&mut one, &mut other, &mut bob] {
        browser.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
        browser.auth_response();
    }
}
