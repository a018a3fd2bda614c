//! Attacks on sessions (threats D 56, 59, 60, 61, 64, 65): replicas that crash, pages kept by a browser,
//! cookies that are planted, copied or damaged.

use std::time::Duration;

use crate::world::http::{bare_client, send};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Need, RelyingParty, Server, World,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const MINUTE: Duration = Duration::from_mins(1);

async fn signs_in_at(browser: &mut Browser, page: &str, who: (&str, &str)) {
    browser.opens(page).await;
    browser.signs_in(who.0, who.1).await;
}

async fn is_signed_in(browser: &mut Browser, app: &RelyingParty) -> bool {
    browser.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    let location = browser.page().location().unwrap();
    let is_in = location.query_pairs().any(|(name, _)| name == "code");
    assert!(is_in || location.query().unwrap().contains("login_required"), "{location}");
    is_in
}

/// The URLs of the account pages, including that of the current session.
async fn account_pages(browser: &mut Browser, server: &Server) -> Vec<String> {
    let home = browser.opens(server.url("/")).await;
    let session = home.attributes(".place a", "href").remove(0);
    let session = home.url.join(&session).unwrap().to_string();
    let named = ["/", "/sessions", "/groups", "/logout"].map(|path| server.url(path));
    named.into_iter().chain([session]).collect()
}

/// D 56; CVE-2026-9802 (Keycloak): reuse was known only on the replica that issued the token.
#[tokio::test]
async fn reuse_of_a_refresh_token_is_detected_by_another_replica_after_a_crash() {
    if Need::Postgres.is_missing() {
        return;
    }
    let rules = "expiry:\n  refreshTokens:\n    reuseInterval: 0s";
    let mut one = World::with_postgres().with(SKIP).with(rules).start().await;
    let other = one.replica().await;
    let mut app = one.relying_party("example-app");
    let request = app.auth_request("openid offline_access");
    let auth_response = one.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let first = app.redeems(&request, &auth_response).await.refresh_token().to_owned();
    let second = app.refreshes(&first).await.refresh_token().to_owned();
    one.kill();
    app.via_replica(&other);
    for used in [&first, &second] {
        let refused = app.refreshes(used).await;
        assert_eq!(
            (refused.status, refused.error()),
            (400, "invalid_grant"),
            "reuse ends the grant"
        );
    }
}

/// D 64.
#[tokio::test]
async fn signing_out_at_one_replica_is_effective_at_all() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().with(SKIP).start().await;
    let other = one.replica().await;
    let (mut alice, mut app) = (one.browser(), one.relying_party("example-app"));
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let access = app.redeems(&request, &auth_response).await.access_token().to_owned();
    // The copy keeps the cookies that the logout deletes in her browser.
    let mut copy = one.browser();
    copy.steals_cookies_of(&alice);
    assert!(is_signed_in(&mut copy, &app).await);

    alice.via_replica(&other).opens(one.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    assert_eq!(alice.submits(form).await.status, 200);
    for replica in [&one, &other] {
        app.via_replica(replica);
        copy.via_replica(replica);
        assert_eq!(app.userinfo(&access).await.status, 401);
        assert!(!is_signed_in(&mut copy, &app).await);
        assert!(!copy.opens(one.url("/sessions")).await.body.contains(ALICE));
    }
}

/// D 64: pages are not stored, so the back button shows nothing; forms still open in another tab have no
/// effect.
#[tokio::test]
async fn after_signing_out_pages_are_not_cached_and_old_forms_do_nothing() {
    let server = World::new().with(SKIP).start().await;
    let app = server.relying_party("example-app");
    let (mut alice, mut client) = (server.browser(), server.browser());
    let sign_in = server.url("/sign-in");
    signs_in_at(&mut alice, &sign_in, (ALICE, ALICE_PASSWORD)).await;
    signs_in_at(&mut client, &sign_in, (ALICE, ALICE_PASSWORD)).await;
    let pages = account_pages(&mut alice, &server).await;
    for url in &pages {
        let page = alice.opens(url).await;
        assert!(page.status == 200 && !page.all("h1").is_empty(), "{url}: {}", page.text());
        assert!(page.form_with("password").is_none(), "{url} is her page: {}", page.text());
        assert_eq!(page.header("cache-control"), Some("no-store"), "{url}");
        assert_eq!(page.header("pragma"), Some("no-cache"), "{url}");
    }
    let before = alice
        .opens(server.url("/"))
        .await
        .form_with("others")
        .expect("a button for the other session");
    let one = alice.page().form_with("session").unwrap();
    let id = alice.page().attributes("button[name=session]", "value").remove(0);

    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    alice.submits(form).await;
    for url in &pages {
        let page = alice.opens(url).await;
        for hers in ["alice", "developers", "This browser"] {
            assert!(!page.body.contains(hers), "{url} {hers}: {}", page.text());
        }
    }
    for form in [before.press("others", "all"), one.press("session", &id)] {
        let page = alice.submits(form).await;
        assert!(!page.text().contains("ended"), "{}", page.text());
    }
    assert!(is_signed_in(&mut client, &app).await, "an old form ends nothing");
}

/// D 65: a replaced cookie does not extend the idle time of the session.
#[tokio::test]
async fn a_replaced_cookie_does_not_extend_the_idle_time() {
    if Need::Clock.is_missing() {
        return;
    }
    let idle = "sessions:\n  validIfNotUsedFor: 20m";
    let server = World::with_clock().with(SKIP).with(idle).start().await;
    let app = server.relying_party("example-app");
    let (mut alice, mut thief, mut bob) = (server.browser(), server.browser(), server.browser());
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    thief.steals_cookies_of(&alice);
    let again = app.auth_request_with("openid", &[("prompt", "login")]);
    alice.logs_in(&again, ALICE, ALICE_PASSWORD).await;
    bob.logs_in(&app.auth_request("openid"), BOB, BOB_PASSWORD).await;

    server.advance(15 * MINUTE);
    assert!(!is_signed_in(&mut thief, &app).await);
    assert!(!thief.opens(server.url("/")).await.body.contains(ALICE));
    assert!(is_signed_in(&mut bob, &app).await);
    server.advance(6 * MINUTE);
    assert!(!is_signed_in(&mut alice, &app).await, "idle for 21 minutes");
    assert!(is_signed_in(&mut bob, &app).await, "not idle");
}

/// D 60: Mallory leaves his own session in her browser.
#[tokio::test]
async fn a_planted_session_does_not_become_alices_on_the_account_pages() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    signs_in_at(&mut mallory, &server.url("/sign-in"), (BOB, BOB_PASSWORD)).await;
    alice.steals_cookies_of(&mallory);
    signs_in_at(&mut alice, &server.url("/sign-in?to=/&fresh=1"), (ALICE, ALICE_PASSWORD)).await;
    assert!(alice.opens(server.url("/")).await.body.contains(ALICE), "{}", alice.page().text());
    for path in ["/", "/sessions", "/groups"] {
        let page = mallory.opens(server.url(path)).await;
        assert!(!page.body.contains(ALICE), "{path}: {}", page.text());
    }
    // Signing out of one session does not end the other.
    let form = mallory.opens(server.url("/logout")).await.form_with("csrf");
    if let Some(form) = form {
        mallory.submits(form).await;
    }
    assert!(alice.opens(server.url("/")).await.body.contains(ALICE));
}

/// D 61, on the account pages.
#[tokio::test]
async fn a_damaged_cookie_shows_no_account_pages() {
    let server = World::new().with(SKIP).start().await;
    let mut alice = server.browser();
    signs_in_at(&mut alice, &server.url("/sign-in"), (ALICE, ALICE_PASSWORD)).await;
    let pages = account_pages(&mut alice, &server).await;
    let csrf = alice.page().attributes("input[name=csrf]", "value").remove(0);
    let cookies = alice.cookies();
    let session = cookies.iter().find(|cookie| cookie.name.ends_with("-session")).unwrap();
    let (name, valid) = (session.name.clone(), session.value.clone());
    for damaged in [
        String::new(),
        valid[1..].to_owned(),
        format!("{valid}A"),
        valid.to_lowercase(),
        "' OR 1=1 --".to_owned(),
        "ä".to_owned(),
        "a".repeat(8_000),
    ] {
        let binding = name.replace("-session", "-binding");
        let header = format!("{name}={damaged}; {binding}={damaged}");
        for url in &pages {
            let page = send(bare_client().get(url).header("cookie", header.as_bytes())).await;
            assert!([200, 303].contains(&page.status), "{url} {damaged:.20}: {}", page.status);
            assert!(!page.body.contains("alice"), "{url} {damaged:.20}");
        }
        let fields = [("csrf", csrf.as_str()), ("others", "all")];
        let request = bare_client().post(server.url("/sessions")).form(&fields);
        let page = send(request.header("cookie", header.as_bytes())).await;
        assert!((300..500).contains(&page.status), "{damaged:.20}: {}", page.status);
    }
    assert!(
        alice.opens(server.url("/")).await.body.contains(ALICE),
        "the undamaged cookie is accepted"
    );
}
