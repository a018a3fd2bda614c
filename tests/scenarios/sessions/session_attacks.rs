//! Sessions under attack (threats D 56, 59, 60, 61, 64 and 65), where the pages that show and end them are
//! new: replicas that die, browsers that keep, cookies that were planted, copied or damaged.

use std::time::Duration;

use crate::world::http::{bare_client, send};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Need, RelyingParty, Server, World,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const MINUTE: Duration = Duration::from_secs(60);

async fn signs_in_at(browser: &mut Browser, page: &str, who: (&str, &str)) {
    browser.opens(page).await;
    browser.signs_in(who.0, who.1).await;
}

async fn is_signed_in(browser: &mut Browser, app: &RelyingParty) -> bool {
    browser.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    let place = browser.page().location().unwrap();
    let is_in = place.query_pairs().any(|(name, _)| name == "code");
    assert!(is_in || place.query().unwrap().contains("login_required"), "{place}");
    is_in
}

/// Her own pages, the one of this very sign-in among them.
async fn account_pages(browser: &mut Browser, server: &Server) -> Vec<String> {
    let home = browser.opens(server.url("/")).await;
    let place = home.attributes(".place a", "href").remove(0);
    let place = home.url.join(&place).unwrap().to_string();
    let named = ["/", "/sessions", "/groups", "/logout"].map(|path| server.url(path));
    named.into_iter().chain([place]).collect()
}

/// D 56; CVE-2026-9802 (Keycloak): what a token was used for was known only where it was used.
#[tokio::test]
async fn another_replica_knows_a_token_that_was_used_where_all_crashed() {
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
        assert_eq!((refused.status, refused.error()), (400, "invalid_grant"), "a theft ends all");
    }
}

/// D 64: whichever replica she told.
#[tokio::test]
async fn who_signs_out_at_one_replica_is_out_at_the_others() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().with(SKIP).start().await;
    let other = one.replica().await;
    let (mut alice, mut app) = (one.browser(), one.relying_party("example-app"));
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let access = app.redeems(&request, &auth_response).await.access_token().to_owned();
    // A copy keeps her cookies, which her own browser is told to forget.
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

/// D 64: the back button shows what the browser kept, so it keeps nothing; and what is still open in
/// another tab is of no use.
#[tokio::test]
async fn a_browser_that_signed_out_keeps_no_page_of_hers() {
    let server = World::new().with(SKIP).start().await;
    let app = server.relying_party("example-app");
    let (mut alice, mut laptop) = (server.browser(), server.browser());
    let sign_in = server.url("/sign-in");
    signs_in_at(&mut alice, &sign_in, (ALICE, ALICE_PASSWORD)).await;
    signs_in_at(&mut laptop, &sign_in, (ALICE, ALICE_PASSWORD)).await;
    let pages = account_pages(&mut alice, &server).await;
    for url in &pages {
        let page = alice.opens(url).await;
        assert!(page.status == 200 && !page.all("h1").is_empty(), "{url}: {}", page.text());
        assert!(page.form_with("password").is_none(), "{url} is hers: {}", page.text());
        assert_eq!(page.header("cache-control"), Some("no-store"), "{url}");
        assert_eq!(page.header("pragma"), Some("no-cache"), "{url}");
    }
    let before = alice.opens(server.url("/")).await.form_with("others").expect("the other laptop");
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
    assert!(is_signed_in(&mut laptop, &app).await, "a form of yesterday ends nothing");
}

/// D 65: a cookie that was replaced does not keep the session awake that replaced it.
#[tokio::test]
async fn a_copy_of_an_old_cookie_keeps_nothing_awake() {
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
    assert!(!is_signed_in(&mut alice, &app).await, "nobody was there for 21 minutes");
    assert!(is_signed_in(&mut bob, &app).await, "he was");
}

/// D 60, by our own pages: Mallory leaves his session in her browser and waits for hers.
#[tokio::test]
async fn a_session_that_was_planted_does_not_become_hers_by_our_own_pages() {
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
    // Nor does the one that was planted end with hers, or hers with it.
    let form = mallory.opens(server.url("/logout")).await.form_with("csrf");
    if let Some(form) = form {
        mallory.submits(form).await;
    }
    assert!(alice.opens(server.url("/")).await.body.contains(ALICE));
}

/// D 61: also where sessions are shown and ended.
#[tokio::test]
async fn a_damaged_cookie_is_nobodys_on_our_own_pages() {
    let server = World::new().with(SKIP).start().await;
    let mut alice = server.browser();
    signs_in_at(&mut alice, &server.url("/sign-in"), (ALICE, ALICE_PASSWORD)).await;
    let pages = account_pages(&mut alice, &server).await;
    let csrf = alice.page().attributes("input[name=csrf]", "value").remove(0);
    let cookies = alice.cookies();
    let session = cookies.iter().find(|cookie| cookie.name.ends_with("-session")).unwrap();
    let (name, good) = (session.name.clone(), session.value.clone());
    for odd in [
        String::new(),
        good[1..].to_owned(),
        format!("{good}A"),
        good.to_lowercase(),
        "' OR 1=1 --".to_owned(),
        "ä".to_owned(),
        "a".repeat(8_000),
    ] {
        let binding = name.replace("-session", "-binding");
        let header = format!("{name}={odd}; {binding}={odd}");
        for url in &pages {
            let page = send(bare_client().get(url).header("cookie", header.as_bytes())).await;
            assert!([200, 303].contains(&page.status), "{url} {odd:.20}: {}", page.status);
            assert!(!page.body.contains("alice"), "{url} {odd:.20}");
        }
        let fields = [("csrf", csrf.as_str()), ("others", "all")];
        let request = bare_client().post(server.url("/sessions")).form(&fields);
        let page = send(request.header("cookie", header.as_bytes())).await;
        assert!((300..500).contains(&page.status), "{odd:.20}: {}", page.status);
    }
    assert!(alice.opens(server.url("/")).await.body.contains(ALICE), "undamaged it is hers");
}
