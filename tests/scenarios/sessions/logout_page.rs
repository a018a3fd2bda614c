//! Signing out (threats D 62 and 64): it needs a confirmation by the person, and ends the browser's session
//! and every grant without `offline_access`.

use crate::world::http::{bare_client, send};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, RelyingParty, Server, World,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

async fn start() -> (Server, Browser, RelyingParty) {
    let server = World::new().with(SKIP).start().await;
    let (alice, app) = (server.browser(), server.relying_party("example-app"));
    (server, alice, app)
}

async fn signs_out(browser: &mut Browser, server: &Server) {
    browser.opens(server.url("/logout")).await;
    let form = browser.page().form_with("csrf").expect("a confirmation form");
    let page = browser.submits(form).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

async fn is_signed_in(browser: &mut Browser, app: &RelyingParty) -> bool {
    browser.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    let location = browser.page().location().unwrap();
    let is_in = location.query_pairs().any(|(name, _)| name == "code");
    assert!(is_in || location.query().unwrap().contains("login_required"), "{location}");
    is_in
}

/// D 62: an image URL on another site must not sign her out.
#[tokio::test]
async fn get_logout_shows_a_confirmation_and_ends_nothing() {
    let (server, mut alice, app) = start().await;
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    let page = alice.opens(server.url("/logout?confirm=yes&csrf=x")).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains(ALICE) && page.form_with("csrf").is_some(), "{}", page.text());
    assert!(page.headers.get("set-cookie").is_none());
    assert!(is_signed_in(&mut alice, &app).await);
}

/// D 62.
#[tokio::test]
async fn another_site_cannot_sign_alice_out() {
    let (server, mut alice, app) = start().await;
    let mut bob = server.browser();
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    bob.logs_in(&app.auth_request("openid"), BOB, BOB_PASSWORD).await;
    let bobs = bob.opens(server.url("/logout")).await.form_with("csrf").unwrap();
    let bobs = bobs.fields[0].1.clone();
    for fields in [vec![], vec![("csrf", "")], vec![("csrf", "guess")], vec![("csrf", &bobs)]] {
        let page = alice.post_form(server.url("/logout"), &fields).await;
        assert!((400..500).contains(&page.status), "{fields:?}: {}", page.status);
        assert!(page.headers.get("set-cookie").is_none(), "{fields:?}");
    }
    // Even with the right CSRF token, a request from another origin is refused.
    let hers = alice.opens(server.url("/logout")).await.form_with("csrf").unwrap();
    let cookies = alice.cookies().iter().map(|c| format!("{}={}", c.name, c.value));
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    for (name, value) in [
        ("origin", "https://evil.example.com"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let request = bare_client().post(&*hers.action.as_str().to_owned()).form(&hers.fields);
        let page = send(request.header("cookie", &cookies).header(name, value)).await;
        assert!((400..500).contains(&page.status), "{name}: {value}: {}", page.status);
    }
    assert!(is_signed_in(&mut alice, &app).await);
}

/// D 64.
#[tokio::test]
async fn after_signing_out_the_session_cookie_and_its_copies_are_refused() {
    let (server, mut alice, app) = start().await;
    let mut thief = server.browser();
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    thief.steals_cookies_of(&alice);
    let approval_page =
        alice.opens(app.auth_request_with("openid", &[("prompt", "consent")]).url).await.clone();
    signs_out(&mut alice, &server).await;
    assert!(!alice.cookies().iter().any(|cookie| cookie.name.ends_with("-session")));
    assert!(!is_signed_in(&mut alice, &app).await);
    assert!(!is_signed_in(&mut thief, &app).await, "a copy of her cookie is refused too");
    let home = thief.opens(server.url("/")).await;
    assert!(!home.body.contains(ALICE), "{}", home.text());

    // The back button shows the approval page again; its buttons have no effect.
    let form = approval_page.form_with("approval").unwrap().press("approval", "approve");
    let page = alice.submits(form).await;
    let code = page.location().filter(|to| to.query().is_some_and(|q| q.contains("code=")));
    assert_eq!(code, None);
    assert!(page.form_with("password").is_some() || page.status >= 400, "{}", page.text());
    // Signing out again is no error.
    let page = alice.opens(server.url("/logout")).await;
    assert!(page.status == 200 && page.form_with("csrf").is_none(), "{}", page.text());
}

/// D 64: grants with `offline_access` stay, the others end.
#[tokio::test]
async fn signing_out_ends_grants_without_offline_access_only() {
    let (server, mut alice, app) = start().await;
    let (online, offline, unused) = (
        app.auth_request("openid"),
        app.auth_request("openid offline_access"),
        app.auth_request("openid offline_access"),
    );
    let auth_response = alice.logs_in(&online, ALICE, ALICE_PASSWORD).await;
    let online_tokens = app.redeems(&online, &auth_response).await;
    let auth_response = alice.logs_in(&offline, ALICE, ALICE_PASSWORD).await;
    let offline_tokens = app.redeems(&offline, &auth_response).await;
    let not_redeemed = alice.logs_in(&unused, ALICE, ALICE_PASSWORD).await;
    assert!(online_tokens.json.get("refresh_token").is_none());
    for tokens in [&online_tokens, &offline_tokens] {
        assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
    }

    signs_out(&mut alice, &server).await;
    let refused = app.userinfo(online_tokens.access_token()).await;
    assert_eq!(refused.status, 401);
    let challenge = refused.page.header("www-authenticate").unwrap();
    assert!(challenge.contains("invalid_token"), "RFC 6750 section 3.1: {challenge}");
    let late = app.redeems(&unused, &not_redeemed).await;
    assert_eq!(
        (late.status, late.error()),
        (400, "invalid_grant"),
        "a code that was not exchanged yet"
    );
    assert_eq!(app.userinfo(offline_tokens.access_token()).await.status, 200);
    let refreshed = app.refreshes(offline_tokens.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    assert_eq!(app.userinfo(refreshed.access_token()).await.status, 200);
}

#[tokio::test]
async fn signing_out_of_one_browser_leaves_the_other_signed_in() {
    let (server, mut one, app) = start().await;
    let mut other = server.browser();
    let mut tokens = Vec::new();
    for browser in [&mut one, &mut other] {
        let (online, offline) =
            (app.auth_request("openid"), app.auth_request("openid offline_access"));
        let auth_response = browser.logs_in(&online, ALICE, ALICE_PASSWORD).await;
        let online = app.redeems(&online, &auth_response).await;
        let auth_response = browser.logs_in(&offline, ALICE, ALICE_PASSWORD).await;
        tokens.push((online, app.redeems(&offline, &auth_response).await));
    }
    signs_out(&mut one, &server).await;
    assert!(!is_signed_in(&mut one, &app).await);
    assert!(is_signed_in(&mut other, &app).await);
    let (online, offline) = &tokens[1];
    assert_eq!(app.userinfo(online.access_token()).await.status, 200);
    assert_eq!(app.refreshes(offline.refresh_token()).await.status, 200);
}
