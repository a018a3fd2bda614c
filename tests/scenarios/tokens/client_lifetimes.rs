//! Lifetimes configured for one client (issue 4): they apply to its tokens, codes, logins and sessions, and
//! to no other client's. Keys are kept for the longest.

use std::time::Duration;

use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Client, Need, RelyingParty, Server, World, claims, verified,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// The client `usual` has the global lifetimes, `own` these besides.
async fn start(all: &str, own: &[&str]) -> (Server, Browser, RelyingParty, RelyingParty) {
    let own = own.iter().fold(Client::new("own"), |client, yaml| client.with(yaml));
    let world = World::with_clock().with(SKIP).with(all).client(own).client(Client::new("usual"));
    let server = world.start().await;
    let (alice, own) = (server.browser(), server.relying_party("own"));
    let usual = server.relying_party("usual");
    (server, alice, own, usual)
}

async fn refresh_token(alice: &mut Browser, app: &RelyingParty) -> String {
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    app.redeems(&request, &auth_response).await.refresh_token().to_owned()
}

async fn is_signed_in(alice: &mut Browser, app: &RelyingParty) -> bool {
    alice.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    let place = alice.page().location().unwrap();
    let is_in = place.query_pairs().any(|(name, _)| name == "code");
    assert!(is_in || place.query().unwrap().contains("login_required"), "{place}");
    is_in
}

/// ID token, access token, the expiry in responses, and their actual end.
#[tokio::test]
async fn tokens_and_codes_have_the_clients_lifetimes() {
    if Need::Clock.is_missing() {
        return;
    }
    let all = "expiry:\n  idTokens: 1h\n  codes: 30s";
    let (server, mut alice, own, usual) = start(all, &["expiry: {idTokens: 5m, codes: 3m}"]).await;
    let mut tokens = Vec::new();
    for (app, seconds) in [(&own, 300), (&usual, 3600)] {
        let request = app.auth_request("openid offline_access");
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let response = app.redeems(&request, &auth_response).await;
        // A busy machine may take some seconds.
        let assert_lifetimes = |response: &serde_json::Value| {
            let left = response["expires_in"].as_i64().unwrap();
            assert!((seconds - 30..=seconds).contains(&left), "{}: {left}", app.id);
        };
        assert_lifetimes(&response.json);
        for token in [response.id_token(), response.access_token()] {
            let claims = claims(token);
            let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
            assert_eq!(lifetime, seconds, "{}", app.id);
        }
        let refreshed = app.refreshes(response.refresh_token()).await;
        assert_lifetimes(&refreshed.json);
        tokens.push(response.access_token().to_owned());
    }
    let (late_own, late_usual) = (own.auth_request("openid"), usual.auth_request("openid"));
    let own_arrival = alice.logs_in(&late_own, ALICE, ALICE_PASSWORD).await;
    let usual_arrival = alice.logs_in(&late_usual, ALICE, ALICE_PASSWORD).await;
    server.advance(2 * MINUTE);
    assert_eq!(own.redeems(&late_own, &own_arrival).await.status, 200);
    assert_eq!(usual.redeems(&late_usual, &usual_arrival).await.error(), "invalid_grant");
    server.advance(4 * MINUTE);
    assert_eq!(own.userinfo(&tokens[0]).await.status, 401);
    assert_eq!(usual.userinfo(&tokens[1]).await.status, 200);
}

/// A cluster with short-lived tokens gets no longer ones through a trusted peer.
#[tokio::test]
async fn a_token_with_the_client_as_audience_has_its_lifetime_at_most() {
    let cluster = Client::new("cluster").with("expiry: {idTokens: 5m}").with("trustedPeers: [app]");
    let all = World::new().with(SKIP).with("expiry:\n  idTokens: 1h");
    let server = all.client(cluster).client(Client::new("app")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("app"));
    let peer = "openid offline_access audience:server:client_id:cluster";
    for (scopes, seconds) in [(peer, 300), ("openid offline_access", 3600)] {
        let request = app.auth_request(scopes);
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let first = app.redeems(&request, &auth_response).await;
        let next = app.refreshes(first.refresh_token()).await;
        for token in [first.id_token(), first.access_token(), next.id_token()] {
            let claims = claims(token);
            let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
            assert_eq!(lifetime, seconds, "{scopes}");
        }
    }
}

#[tokio::test]
async fn a_pending_login_has_the_clients_lifetime() {
    if Need::Clock.is_missing() {
        return;
    }
    let all = "expiry:\n  idTokens: 10m\n  authRequests: 1h";
    let (server, mut alice, own, usual) = start(all, &["expiry: {authRequests: 5m}"]).await;
    let mut other = server.browser();
    alice.opens(own.auth_request("openid").url).await;
    other.opens(usual.auth_request("openid").url).await;
    server.advance(6 * MINUTE);
    assert!((400..500).contains(&alice.signs_in(ALICE, ALICE_PASSWORD).await.status));
    other.signs_in(ALICE, ALICE_PASSWORD).await;
    other.auth_response();
}

#[tokio::test]
async fn refresh_tokens_expire_as_the_client_is_configured() {
    if Need::Clock.is_missing() {
        return;
    }
    let all = "expiry:\n  idTokens: 10m\n  refreshTokens:\n    absoluteLifetime: 24h\n    validIfNotUsedFor: 2h";
    let own = "expiry: {refreshTokens: {absoluteLifetime: 3h, validIfNotUsedFor: 0s}}";
    let (server, mut alice, own, usual) = start(all, &[own]).await;
    let (mut short, unused) =
        (refresh_token(&mut alice, &own).await, refresh_token(&mut alice, &usual).await);
    let introspected = own.posts("/token/introspect", &[("token", &short)]).await.json;
    let left = introspected["exp"].as_i64().unwrap() - introspected["iat"].as_i64().unwrap();
    assert_eq!((&introspected["active"], left), (&true.into(), 3 * 3600), "{introspected}");
    // Its idle time equals its lifetime; the others' is shorter.
    server.advance(2 * HOUR + MINUTE);
    let kept = own.refreshes(&short).await;
    assert_eq!(kept.status, 200, "{}", kept.page.body);
    short = kept.refresh_token().to_owned();
    assert_eq!(usual.refreshes(&unused).await.error(), "invalid_grant");
    let long = refresh_token(&mut alice, &usual).await;
    server.advance(HOUR);
    assert_eq!(own.refreshes(&short).await.error(), "invalid_grant");
    let introspected = own.posts("/token/introspect", &[("token", &short)]).await.json;
    assert_eq!(introspected, serde_json::json!({ "active": false }));
    assert_eq!(usual.refreshes(&long).await.status, 200);
}

/// Rotation and reuse interval.
#[tokio::test]
async fn refresh_tokens_rotate_as_the_client_is_configured() {
    if Need::Clock.is_missing() {
        return;
    }
    let all = "expiry:\n  idTokens: 10m";
    let own = "expiry: {refreshTokens: {reuseInterval: 30m}}";
    let (server, mut alice, own, usual) = start(all, &[own]).await;
    for (app, status) in [(&own, 200), (&usual, 400)] {
        let first = refresh_token(&mut alice, app).await;
        let next = app.refreshes(&first).await.refresh_token().to_owned();
        server.advance(10 * MINUTE);
        let again = app.refreshes(&first).await;
        assert_eq!(again.status, status, "{}: {}", app.id, again.page.body);
        if status == 200 {
            assert_eq!(again.refresh_token(), next, "the same successor");
        }
    }
    let own = "expiry: {refreshTokens: {disableRotation: true}}";
    let (server, mut alice, own, usual) = start(all, &[own]).await;
    for (app, stays) in [(&own, true), (&usual, false)] {
        let first = refresh_token(&mut alice, app).await;
        server.advance(SECOND);
        assert_eq!(app.refreshes(&first).await.refresh_token() == first, stays, "{}", app.id);
    }
}

#[tokio::test]
async fn single_sign_on_ends_as_the_client_is_configured() {
    if Need::Clock.is_missing() {
        return;
    }
    let all =
        "expiry:\n  idTokens: 10m\nsessions:\n  absoluteLifetime: 8h\n  validIfNotUsedFor: 8h";
    let own = "sessions: {absoluteLifetime: 2h, validIfNotUsedFor: 30m}";
    let (server, mut alice, own, usual) = start(all, &[own]).await;
    refresh_token(&mut alice, &usual).await;
    server.advance(29 * MINUTE);
    assert!(is_signed_in(&mut alice, &own).await);
    server.advance(31 * MINUTE);
    assert!(!is_signed_in(&mut alice, &own).await, "idle for too long");
    assert!(is_signed_in(&mut alice, &usual).await);
    assert!(is_signed_in(&mut alice, &own).await, "not idle");
    for _ in 0..4 {
        server.advance(20 * MINUTE);
        assert!(is_signed_in(&mut alice, &usual).await);
    }
    assert!(!is_signed_in(&mut alice, &own).await, "over two hours old");
    // After a new login she is signed in again, without a loop.
    let auth_response = alice.logs_in(&own.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    assert!(!auth_response.code.is_empty());
    assert!(is_signed_in(&mut alice, &own).await && is_signed_in(&mut alice, &usual).await);
}

/// The cookie is valid as long as the longest lifetime of any client; the other clients refuse it earlier.
#[tokio::test]
async fn single_sign_on_may_last_longer_for_one_client() {
    if Need::Clock.is_missing() {
        return;
    }
    let all =
        "expiry:\n  idTokens: 10m\nsessions:\n  absoluteLifetime: 1h\n  validIfNotUsedFor: 1h";
    let own = "sessions: {absoluteLifetime: 48h, validIfNotUsedFor: 24h}";
    let (server, mut alice, own, usual) = start(all, &[own]).await;
    refresh_token(&mut alice, &usual).await;
    server.advance(2 * HOUR);
    assert!(!is_signed_in(&mut alice, &usual).await);
    assert!(is_signed_in(&mut alice, &own).await);
    assert!(!is_signed_in(&mut alice, &usual).await);
    let page = alice.opens(server.url("/")).await;
    assert!(
        !page.body.contains(ALICE),
        "the account pages use the global lifetimes: {}",
        page.text()
    );
    let page = alice.opens(server.url("/logout")).await;
    assert!(page.form_with("csrf").is_some(), "logout is still possible: {}", page.text());
    server.advance(47 * HOUR);
    assert!(!is_signed_in(&mut alice, &own).await);
}

/// A session that only one client still accepts is listed and can be ended.
#[tokio::test]
async fn a_session_that_only_one_client_accepts_is_listed_and_can_be_ended() {
    if Need::Clock.is_missing() {
        return;
    }
    let all =
        "expiry:\n  idTokens: 10m\nsessions:\n  absoluteLifetime: 1h\n  validIfNotUsedFor: 1h";
    let own = "sessions: {absoluteLifetime: 48h, validIfNotUsedFor: 24h}";
    let (server, mut lost, own, _) = start(all, &[own]).await;
    lost.opens(server.url("/sign-in")).await;
    lost.signs_in(ALICE, ALICE_PASSWORD).await;
    server.advance(2 * HOUR);
    let mut new = server.browser();
    new.opens(server.url("/sign-in?to=/sessions")).await;
    let page = new.signs_in(ALICE, ALICE_PASSWORD).await;
    let form = page.form_with("others").unwrap_or_else(|| panic!("only one: {}", page.text()));
    new.submits(form.press("others", "all")).await;
    assert!(!is_signed_in(&mut lost, &own).await);
    assert!(is_signed_in(&mut new, &own).await);
}

/// Threat 71: a key stays published as long as the longest-lived token it may have signed.
#[tokio::test]
async fn keys_are_published_for_the_longest_client_lifetime() {
    if Need::Clock.is_missing() {
        return;
    }
    let all = "expiry:\n  idTokens: 10m\n  signingKeys: 2h";
    let (mut server, mut alice, own, _) = start(all, &["expiry: {idTokens: 12h}"]).await;
    let request = own.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let token = own.redeems(&request, &auth_response).await.id_token().to_owned();
    for _ in 0..5 {
        server.advance(2 * HOUR);
        server.restart().await;
    }
    verified(&token, &own.gets("/keys").await.json);
}
