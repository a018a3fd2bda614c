//! Cookies (threats D 60 and 61): cookies planted before a login are useless after it, scripts and other
//! sites cannot read them, and a damaged one means not signed in.

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Page, Server, World};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

/// The value of the cookie whose name ends with `name`.
fn value(browser: &Browser, name: &str) -> Option<String> {
    let cookie = browser.cookies().iter().find(|cookie| cookie.name.ends_with(name));
    cookie.map(|cookie| cookie.value.clone())
}

/// Whether the start page shows this person as signed in.
async fn shows_signed_in(browser: &mut Browser, server: &Server, who: &str) -> bool {
    let home = browser.opens(server.url("/")).await;
    assert_eq!(home.status, 200);
    home.body.contains(who)
}

/// D 60: CVE-2026-7507 (Keycloak), CVE-2024-28197 (ZITADEL).
#[tokio::test]
async fn a_planted_binding_cookie_is_replaced_at_login() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    mallory.opens(app.auth_request("openid").url).await;
    let planted = value(&mallory, "-binding").unwrap();
    alice.steals_cookies_of(&mallory);
    alice.opens(app.auth_request("openid").url).await;
    assert_eq!(value(&alice, "-binding").as_ref(), Some(&planted), "the planted cookie is in use");
    let login_page = alice.page().form_with("password").unwrap();

    let form = login_page.clone().fill("login", ALICE).fill("password", ALICE_PASSWORD);
    let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let signed_in = alice.post_form(&form.action, &fields).await;
    let renewed = value(&alice, "-binding").unwrap();
    assert!(!renewed.starts_with(&planted), "replaced at sign-in");
    let next = signed_in.location().unwrap();
    let followed = mallory.get(&next).await;
    assert!(
        followed.status >= 400,
        "the login does not continue with the planted cookie: {followed:?}"
    );
    assert!(!shows_signed_in(&mut mallory, &server, ALICE).await);
    alice.follow(signed_in).await;
    alice.auth_response();
    mallory.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    assert_eq!(mallory.auth_error(), "login_required");
}

/// D 60: a session belongs to one person. Mallory signs in as himself in Alice's browser.
#[tokio::test]
async fn a_planted_session_does_not_become_alices() {
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
    assert!(shows_signed_in(&mut alice, &server, ALICE).await);
    assert!(!shows_signed_in(&mut mallory, &server, ALICE).await);
}

/// D 60 and 65: signing in again replaces the cookie; a copy of the old one is refused.
#[tokio::test]
async fn a_copied_session_cookie_is_refused_after_alice_signs_in_again() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, mut thief) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    thief.steals_cookies_of(&alice);
    assert!(shows_signed_in(&mut thief, &server, ALICE).await, "the copy is accepted until then");

    let again = app.auth_request_with("openid", &[("prompt", "login")]);
    alice.logs_in(&again, ALICE, ALICE_PASSWORD).await;
    assert!(!shows_signed_in(&mut thief, &server, ALICE).await);
    thief.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    assert_eq!(thief.auth_error(), "login_required");
    assert!(shows_signed_in(&mut alice, &server, ALICE).await);
}

/// The `Set-Cookie` headers of a response.
fn set(page: &Page) -> Vec<String> {
    let headers = page.headers.get_all("set-cookie").iter();
    headers.map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// All cookies set by a login by password and one at an upstream.
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
async fn cookies_have_the_prefix_and_attributes_that_protect_them() {
    for (world, host, callback, is_https) in
        [(World::new(), "cs-", "cs-", false), (World::https(), "__Host-cs-", "__Secure-cs-", true)]
    {
        let cookies = all_cookies(world).await;
        for name in ["-binding=", "-session=", "-last=", "-cb-", "-logins="] {
            assert!(cookies.iter().any(|c| c.contains(name)), "no cookie {name}: {cookies:?}");
        }
        for cookie in &cookies {
            let is_callback = cookie.contains("-cb-");
            let (prefix, path) =
                if is_callback { (callback, "/dex/callback") } else { (host, "/") };
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

/// D 61: a value that is not ours means not signed in, and never a server error.
#[tokio::test]
async fn a_damaged_cookie_means_not_signed_in() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    let cookies = alice.cookies();
    let session = cookies.iter().find(|cookie| cookie.name.ends_with("-session")).unwrap();
    let (name, valid) = (session.name.clone(), session.value.clone());
    let flipped = if valid.starts_with('A') { "B" } else { "A" };
    for damaged in [
        String::new(),
        valid[..valid.len() - 1].to_owned(),
        format!("{valid}A"),
        format!("{flipped}{}", &valid[1..]),
        valid.to_uppercase(),
        format!("\"{valid}\""),
        format!("{valid}, {valid}"),
        "' OR 1=1 --".to_owned(),
        "%00".to_owned(),
        "ä".to_owned(),
        "a".repeat(8_000),
    ] {
        let binding = name.replace("-session", "-binding");
        let header = format!("{name}={damaged}; {binding}={damaged}; {binding}.1={damaged}");
        let get =
            |path: &str| bare_client().get(server.url(path)).header("cookie", header.as_bytes());
        let home = send(get("/")).await;
        assert_eq!(home.status, 200, "{damaged}");
        assert!(!home.body.contains(ALICE), "{damaged}");
        assert_eq!(send(get("/logout")).await.status, 200, "{damaged}");
        let none = app.auth_request_with("openid", &[("prompt", "none")]).url;
        let response = send(bare_client().get(none).header("cookie", header.as_bytes())).await;
        let location = response.header("location").unwrap_or_default();
        assert!(location.contains("error=login_required"), "{damaged}: {location}");
        let started = send(
            bare_client().get(app.auth_request("openid").url).header("cookie", header.as_bytes()),
        );
        assert_eq!(started.await.status, 303, "{damaged}");
    }
    let header = format!("{name}={valid}");
    let home = send(bare_client().get(server.url("/")).header("cookie", header)).await;
    assert!(home.body.contains(ALICE), "the undamaged cookie is accepted");
}
