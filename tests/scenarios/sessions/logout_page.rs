//! Signing out (threats D 62 and 64, design.md 2 "the ways of ending"): only on her own word, and then
//! for good: the browser's half, and everything that was given without `offline_access`.

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
    let form = browser.page().form_with("csrf").expect("a form that asks");
    let page = browser.submits(form).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

async fn is_signed_in(browser: &mut Browser, app: &RelyingParty) -> bool {
    browser.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    let place = browser.page().location().unwrap();
    let is_in = place.query_pairs().any(|(name, _)| name == "code");
    assert!(is_in || place.query().unwrap().contains("login_required"), "{place}");
    is_in
}

/// D 62: a picture on somebody's page must not sign her out.
#[tokio::test]
async fn a_link_to_logout_asks_and_does_nothing() {
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
async fn another_site_cannot_sign_her_out() {
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
    // Even one who knows the word of her form does not post it from elsewhere.
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
async fn whoever_signs_out_is_a_stranger() {
    let (server, mut alice, app) = start().await;
    let mut thief = server.browser();
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    thief.steals_cookies_of(&alice);
    let begun =
        alice.opens(app.auth_request_with("openid", &[("prompt", "consent")]).url).await.clone();
    signs_out(&mut alice, &server).await;
    assert!(!alice.cookies().iter().any(|cookie| cookie.name.ends_with("-session")));
    assert!(!is_signed_in(&mut alice, &app).await);
    assert!(!is_signed_in(&mut thief, &app).await, "nor is a copy of her cookie good for more");
    let home = thief.opens(server.url("/")).await;
    assert!(!home.body.contains(ALICE), "{}", home.text());

    // The back button shows her the page; its buttons are of no use.
    let form = begun.form_with("approval").unwrap().press("approval", "approve");
    let page = alice.submits(form).await;
    let code = page.location().filter(|to| to.query().is_some_and(|q| q.contains("code=")));
    assert_eq!(code, None);
    assert!(page.form_with("password").is_some() || page.status >= 400, "{}", page.text());
    // And signing out once more is no error.
    let page = alice.opens(server.url("/logout")).await;
    assert!(page.status == 200 && page.form_with("csrf").is_none(), "{}", page.text());
}

/// D 64; design.md 2: what works without her goes on, what worked beside her ends.
#[tokio::test]
async fn signing_out_ends_what_was_given_for_while_she_is_there() {
    let (server, mut alice, app) = start().await;
    let (here, away, unused) = (
        app.auth_request("openid"),
        app.auth_request("openid offline_access"),
        app.auth_request("openid offline_access"),
    );
    let auth_response = alice.logs_in(&here, ALICE, ALICE_PASSWORD).await;
    let while_here = app.redeems(&here, &auth_response).await;
    let auth_response = alice.logs_in(&away, ALICE, ALICE_PASSWORD).await;
    let while_away = app.redeems(&away, &auth_response).await;
    let not_redeemed = alice.logs_in(&unused, ALICE, ALICE_PASSWORD).await;
    assert!(while_here.json.get("refresh_token").is_none());
    for tokens in [&while_here, &while_away] {
        assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
    }

    signs_out(&mut alice, &server).await;
    let refused = app.userinfo(while_here.access_token()).await;
    assert_eq!(refused.status, 401);
    let challenge = refused.page.header("www-authenticate").unwrap();
    assert!(challenge.contains("invalid_token"), "RFC 6750 section 3.1: {challenge}");
    let late = app.redeems(&unused, &not_redeemed).await;
    assert_eq!((late.status, late.error()), (400, "invalid_grant"), "a code still on its way");
    assert_eq!(app.userinfo(while_away.access_token()).await.status, 200);
    let refreshed = app.refreshes(while_away.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    assert_eq!(app.userinfo(refreshed.access_token()).await.status, 200);
}

#[tokio::test]
async fn signing_out_of_one_laptop_leaves_the_other_alone() {
    let (server, mut home, app) = start().await;
    let mut work = server.browser();
    let mut tokens = Vec::new();
    for browser in [&mut home, &mut work] {
        let (brief, long) = (app.auth_request("openid"), app.auth_request("openid offline_access"));
        let auth_response = browser.logs_in(&brief, ALICE, ALICE_PASSWORD).await;
        let brief = app.redeems(&brief, &auth_response).await;
        let auth_response = browser.logs_in(&long, ALICE, ALICE_PASSWORD).await;
        tokens.push((brief, app.redeems(&long, &auth_response).await));
    }
    signs_out(&mut home, &server).await;
    assert!(!is_signed_in(&mut home, &app).await);
    assert!(is_signed_in(&mut work, &app).await);
    let (brief, long) = &tokens[1];
    assert_eq!(app.userinfo(brief.access_token()).await.status, 200);
    assert_eq!(app.refreshes(long.refresh_token()).await.status, 200);
}
