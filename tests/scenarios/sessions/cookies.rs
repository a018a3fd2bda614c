//! The cookies (threats D 60 and 61, design.md 6): what was planted before a login is worthless after
//! it, no script and no other site sees them, and a damaged one makes a stranger.

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Page, Server, World};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

/// The value of the cookie whose name ends so.
fn value(browser: &Browser, name: &str) -> Option<String> {
    let cookie = browser.cookies().iter().find(|cookie| cookie.name.ends_with(name));
    cookie.map(|cookie| cookie.value.clone())
}

/// Who the start page says is signed in.
async fn with_user_agent(browser: &mut Browser, server: &Server, who: &str) -> bool {
    let home = browser.opens(server.url("/")).await;
    assert_eq!(home.status, 200);
    home.body.contains(who)
}

/// D 60: CVE-2026-7507 (Keycloak), CVE-2024-28197 (ZITADEL).
#[tokio::test]
async fn a_browser_that_mallory_prepared_is_alices_alone_after_her_login() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    mallory.opens(app.auth_request("openid").url).await;
    let planted = value(&mallory, "-binding").unwrap();
    alice.steals_cookies_of(&mallory);
    alice.opens(app.auth_request("openid").url).await;
    assert_eq!(
        value(&alice, "-binding").as_ref(),
        Some(&planted),
        "it is the one that was planted"
    );
    let begun = alice.page().form_with("password").unwrap();

    let form = begun.clone().fill("login", ALICE).fill("password", ALICE_PASSWORD);
    let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let proven = alice.post_form(&form.action, &fields).await;
    let renewed = value(&alice, "-binding").unwrap();
    assert!(!renewed.starts_with(&planted), "a new one, at sign-in");
    let on = proven.location().unwrap();
    let followed = mallory.get(&on).await;
    assert!(
        followed.status >= 400,
        "with the planted cookie the login does not go on: {followed:?}"
    );
    assert!(!with_user_agent(&mut mallory, &server, ALICE).await);
    alice.follow(proven).await;
    alice.auth_response();
    mallory.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    assert_eq!(mallory.auth_error(), "login_required");
}

/// D 60: the session is of one person. Mallory signs in as himself in Alice's browser and waits.
#[tokio::test]
async fn a_planted_session_never_becomes_hers() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    mallory.logs_in(&app.auth_request("openid"), BOB, BOB_PASSWORD).await;
    let planted = value(&mallory, "-session").unwrap();
    alice.steals_cookies_of(&mallory);
    let request = app.auth_request_with("openid", &[("prompt", "login")]);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(app.redeems(&request, &auth_response).await.status, 200);
    assert_ne!(value(&alice, "-session"), Some(planted));
    assert!(with_user_agent(&mut alice, &server, ALICE).await);
    assert!(!with_user_agent(&mut mallory, &server, ALICE).await);
}

/// D 60 and 65: who signs in again renews the cookie, and a copy of the old one is worth nothing.
#[tokio::test]
async fn a_copied_session_cookie_ends_when_she_signs_in_again() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, mut thief) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    thief.steals_cookies_of(&alice);
    assert!(with_user_agent(&mut thief, &server, ALICE).await, "until then it is as good as hers");

    let again = app.auth_request_with("openid", &[("prompt", "login")]);
    alice.logs_in(&again, ALICE, ALICE_PASSWORD).await;
    assert!(!with_user_agent(&mut thief, &server, ALICE).await);
    thief.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    assert_eq!(thief.auth_error(), "login_required");
    assert!(with_user_agent(&mut alice, &server, ALICE).await);
}

/// The `Set-Cookie` headers of an answer.
fn set(page: &Page) -> Vec<String> {
    let headers = page.headers.get_all("set-cookie").iter();
    headers.map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// All cookies of a login by password and of one by an upstream.
async fn all_cookies(world: World) -> Vec<String> {
    let upstream = "connectors:\n- type: mockCallback\n  id: mock\n  name: Mock\n";
    let server = world.with(SKIP).with(upstream).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let mut cookies = Vec::new();
    for (connector, name) in [("local", ALICE), ("mock", "")] {
        let request = app.auth_request_with("openid", &[("connector_id", connector)]);
        let mut response = alice.get(&request.url).await;
        while response.location().is_none_or(|to| to.as_str().starts_with(&server.issuer())) {
            cookies.extend(set(&response));
            response = match response.form_with("password") {
                Some(form) => {
                    let form = form.fill("login", name).fill("password", ALICE_PASSWORD);
                    let fields: Vec<_> =
                        form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                    alice.post_form(&form.action, &fields).await
                }
                None => alice.get(response.location().unwrap()).await,
            };
        }
        cookies.extend(set(&response));
    }
    cookies
}

/// D 61.
#[tokio::test]
async fn no_script_and_no_other_site_sees_a_cookie() {
    for (world, host, trip, is_https) in
        [(World::new(), "cs-", "cs-", false), (World::https(), "__Host-cs-", "__Secure-cs-", true)]
    {
        let cookies = all_cookies(world).await;
        for name in ["-binding=", "-session=", "-last=", "-cb-", "-logins="] {
            assert!(cookies.iter().any(|c| c.contains(name)), "no cookie {name}: {cookies:?}");
        }
        for cookie in &cookies {
            let is_trip = cookie.contains("-cb-");
            let (prefix, path) = if is_trip { (trip, "/dex/callback") } else { (host, "/") };
            assert!(cookie.starts_with(prefix), "{cookie}");
            let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
            let has = |attribute: &str| attributes.contains(&attribute);
            assert!(has("HttpOnly") && has("SameSite=Lax"), "{cookie}");
            assert!(has(&format!("Path={path}")), "{cookie}");
            assert_eq!(has("Secure"), is_https, "{cookie}");
            assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
        }
    }
}

/// D 61: whatever stands in it, a cookie that is not ours makes a stranger and no error of the server.
#[tokio::test]
async fn a_damaged_cookie_makes_a_stranger() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    let cookies = alice.cookies();
    let session = cookies.iter().find(|cookie| cookie.name.ends_with("-session")).unwrap();
    let (name, good) = (session.name.clone(), session.value.clone());
    let flipped = if good.starts_with('A') { "B" } else { "A" };
    for odd in [
        String::new(),
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        format!("{flipped}{}", &good[1..]),
        good.to_uppercase(),
        format!("\"{good}\""),
        format!("{good}, {good}"),
        "' OR 1=1 --".to_owned(),
        "%00".to_owned(),
        "ä".to_owned(),
        "a".repeat(8_000),
    ] {
        let binding = name.replace("-session", "-binding");
        let header = format!("{name}={odd}; {binding}={odd}; {binding}.1={odd}");
        let ask =
            |path: &str| bare_client().get(server.url(path)).header("cookie", header.as_bytes());
        let home = send(ask("/")).await;
        assert_eq!(home.status, 200, "{odd}");
        assert!(!home.body.contains(ALICE), "{odd}");
        assert_eq!(send(ask("/logout")).await.status, 200, "{odd}");
        let none = app.auth_request_with("openid", &[("prompt", "none")]).url;
        let asked = send(bare_client().get(none).header("cookie", header.as_bytes())).await;
        let location = asked.header("location").unwrap_or_default();
        assert!(location.contains("error=login_required"), "{odd}: {location}");
        let begun = send(
            bare_client().get(app.auth_request("openid").url).header("cookie", header.as_bytes()),
        );
        assert_eq!(begun.await.status, 303, "{odd}");
    }
    let header = format!("{name}={good}");
    let home = send(bare_client().get(server.url("/")).header("cookie", header)).await;
    assert!(home.body.contains(ALICE), "undamaged it is hers");
}
