//! `prompt` and `max_age` (OpenID Connect Core 3.1.2.1 and 3.1.2.3; the certification profile Basic OP; threat B 37).

use std::time::Duration;

use serde_json::Value;

use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, Browser, Need, RelyingParty, Server, World, claims,
};

/// Exchanges the code and returns the claims of the ID token.
async fn exchanges_code(alice: &Browser, app: &RelyingParty, request: &AuthRequest) -> Value {
    let response = app.redeems(request, &alice.auth_response()).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    claims(response.id_token())
}

/// Alice is signed in and has consented; returns her claims too.
async fn signed_in(server: &Server) -> (Browser, RelyingParty, Value) {
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email");
    alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let received = exchanges_code(&alice, &app, &request).await;
    (alice, app, received)
}

fn shows_password_form(browser: &Browser) -> bool {
    browser.page().form_with("password").is_some()
}

#[tokio::test]
async fn prompt_none_without_a_session_is_login_required() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request_with("openid", &[("prompt", "none")]);
    let page = alice.get(&request.url).await;
    assert_eq!(page.status, 303);
    alice.follow(page).await;
    assert_eq!(alice.auth_error(), "login_required");
    let location = alice.page().location().unwrap();
    let state = location.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    assert_eq!(state, request.state);
    // Clients send it from hidden frames continuously, so it must set no cookie.
    assert!(alice.cookies().is_empty(), "{:?}", alice.cookies());
}

#[tokio::test]
async fn prompt_none_with_a_session_shows_no_page() {
    let server = World::new().start().await;
    let (mut alice, app, before) = signed_in(&server).await;
    let request = app.auth_request_with("openid email", &[("prompt", "none")]);
    let page = alice.get(&request.url).await;
    assert!(page.location().unwrap().as_str().starts_with(&app.redirect_uri), "{}", page.text());
    assert!(page.header("set-cookie").is_none());
    alice.follow(page).await;
    let after = exchanges_code(&alice, &app, &request).await;
    for claim in ["sub", "sid", "auth_time", "email"] {
        assert_eq!(after[claim], before[claim], "{claim}");
    }
}

#[tokio::test]
async fn prompt_none_without_consent_is_consent_required() {
    let server = World::new().start().await;
    let (mut alice, app, _) = signed_in(&server).await;
    alice.opens(app.auth_request_with("openid email groups", &[("prompt", "none")]).url).await;
    assert_eq!(alice.auth_error(), "consent_required");
    // The refused request stored no consent.
    alice.opens(app.auth_request_with("openid email groups", &[("prompt", "none")]).url).await;
    assert_eq!(alice.auth_error(), "consent_required");
}

#[tokio::test]
async fn prompt_none_after_signing_out_is_login_required() {
    let server = World::new().start().await;
    let (mut alice, app, _) = signed_in(&server).await;
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    alice.submits(form).await;
    alice.opens(app.auth_request_with("openid email", &[("prompt", "none")]).url).await;
    assert_eq!(alice.auth_error(), "login_required");
}

#[tokio::test]
async fn prompt_login_requires_the_password_and_renews_auth_time() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().start().await;
    let (mut alice, app, before) = signed_in(&server).await;
    server.advance(Duration::from_secs(100));
    let request = app.auth_request_with("openid email", &[("prompt", "login")]);
    alice.opens(&request.url).await;
    assert!(shows_password_form(&alice), "{}", alice.page().text());
    // Skipping the form is not possible.
    let form = alice.page().form_with("password").unwrap();
    let req = form.fields.iter().find(|(name, _)| name == "req").unwrap().1.clone();
    let around =
        reqwest::Url::parse_with_params(&server.url("/continue"), [("req", &req)]).unwrap();
    alice.opens(around).await;
    assert!(shows_password_form(&alice), "{}", alice.page().text());
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let after = exchanges_code(&alice, &app, &request).await;
    assert_eq!((&after["sub"], &after["sid"]), (&before["sub"], &before["sid"]));
    let moved = after["auth_time"].as_u64().unwrap() - before["auth_time"].as_u64().unwrap();
    assert!((100..200).contains(&moved), "moved by {moved}");
    // The same again for the next request.
    alice.opens(app.auth_request_with("openid email", &[("prompt", "login")]).url).await;
    assert!(shows_password_form(&alice));
}

#[tokio::test]
async fn prompt_select_account_shows_the_login_form() {
    let server = World::new().start().await;
    let (mut alice, app, _) = signed_in(&server).await;
    let request = app.auth_request_with("openid email", &[("prompt", "select_account")]);
    alice.opens(&request.url).await;
    assert!(shows_password_form(&alice), "{}", alice.page().text());
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    exchanges_code(&alice, &app, &request).await;
}

#[tokio::test]
async fn prompt_login_consent_requires_both() {
    let server = World::new().start().await;
    let (mut alice, app, _) = signed_in(&server).await;
    let request = app.auth_request_with("openid email", &[("prompt", "login consent")]);
    alice.opens(&request.url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert!(alice.page().form_with("approval").is_some(), "{}", alice.page().text());
    alice.approves().await;
    exchanges_code(&alice, &app, &request).await;
}

#[tokio::test]
async fn a_session_older_than_max_age_requires_the_password() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().start().await;
    let (mut alice, app, before) = signed_in(&server).await;
    server.advance(Duration::from_secs(10));
    alice
        .opens(app.auth_request_with("openid email", &[("max_age", "1"), ("prompt", "none")]).url)
        .await;
    assert_eq!(alice.auth_error(), "login_required");
    let request = app.auth_request_with("openid email", &[("max_age", "1")]);
    alice.opens(&request.url).await;
    assert!(shows_password_form(&alice), "{}", alice.page().text());
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let after = exchanges_code(&alice, &app, &request).await;
    assert!(after["auth_time"].as_u64() > before["auth_time"].as_u64());
    assert_eq!(after["sub"], before["sub"]);
}

#[tokio::test]
async fn a_session_younger_than_max_age_is_accepted() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().start().await;
    let (mut alice, app, before) = signed_in(&server).await;
    server.advance(Duration::from_secs(1000));
    let request = app.auth_request_with("openid email", &[("max_age", "10000")]);
    alice.opens(&request.url).await;
    let after = exchanges_code(&alice, &app, &request).await;
    assert_eq!(after["auth_time"], before["auth_time"]);
}

/// Zero equals `prompt=login`; slow typing must not lead to a loop.
#[tokio::test]
async fn max_age_zero_requires_the_password_exactly_once() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().start().await;
    let (mut alice, app, _) = signed_in(&server).await;
    for age in ["0", "1"] {
        server.advance(Duration::from_secs(5));
        let request = app
            .auth_request_with("openid email groups", &[("max_age", age), ("prompt", "consent")]);
        alice.opens(&request.url).await;
        assert!(shows_password_form(&alice), "{age}: {}", alice.page().text());
        alice.signs_in(ALICE, ALICE_PASSWORD).await;
        server.advance(Duration::from_mins(1));
        alice.approves().await;
        exchanges_code(&alice, &app, &request).await;
    }
}
