//! A pending login belongs to the browser that began it, to one person, and is finished once (design.md,
//! promise 2; threats B 27, 28 and 38, CVE-2022-39222, CVE-2023-6787, CVE-2025-12390).

use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Page, Server, World, claims,
};

/// No code, and nothing that leads to one.
fn gives_nothing(page: &Page) {
    assert!(!page.body.contains("code="), "{}", page.body);
    if let Some(location) = page.location() {
        assert!(!location.host_str().unwrap().contains("example.com"), "{location}");
        assert!(location.query_pairs().all(|(name, _)| name != "code"), "{location}");
    }
}

/// Alice has proved who she is and looks at the page that asks for her consent.
async fn alice_at_approval(server: &Server) -> Browser {
    let mut alice = server.browser();
    alice.opens(server.relying_party("example-app").auth_request("openid email").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice
}

/// B 27: Mallory begins a login, lets Alice finish it, and waits for what falls out.
#[tokio::test]
async fn mallory_gets_nothing_from_a_login_that_alice_is_lured_to_finish() {
    let server = World::new().start().await;
    let (mut mallory, mut alice) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    mallory.opens(app.auth_request("openid").url).await;
    let lure = mallory.page().url.clone();
    let req = lure.query_pairs().find(|(name, _)| name == "req").unwrap().1.into_owned();

    // A stranger, and one with a login and a session of her own.
    assert_eq!(alice.opens(&lure).await.status, 400);
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    for path in ["/auth/local/login", "/auth/local", "/continue", "/approval"] {
        let url = reqwest::Url::parse_with_params(&server.url(path), [("req", &req)]).unwrap();
        let page = alice.opens(&url).await.clone();
        assert_eq!(page.status, 400, "{path}: {}", page.text());
        gives_nothing(&page);
        // And Mallory's own browser is where it was: nobody has signed in there.
        let page = mallory.opens(&url).await.clone();
        assert!(page.form_with("password").is_some(), "{path}: {}", page.text());
        gives_nothing(&page);
    }
}

/// B 28: the same "yes" a second time, before and after the code was used.
#[tokio::test]
async fn a_second_yes_gets_the_same_redirect_until_the_code_is_redeemed() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email");
    alice.opens(&request.url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let form = alice.page().form_with("approval").unwrap().press("approval", "approve");
    let req = form.fields.iter().find(|(name, _)| name == "req").unwrap().1.clone();
    alice.submits(form.clone()).await;
    let auth_response = alice.auth_response();
    // A double click: the browser takes the answer to the second one.
    alice.submits(form.clone()).await;
    assert_eq!(alice.auth_response().code, auth_response.code);
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);

    let page = alice.submits(form).await.clone();
    assert_eq!(page.status, 400, "{}", page.text());
    gives_nothing(&page);
    // Nor by going back one step further.
    let url = reqwest::Url::parse_with_params(&server.url("/continue"), [("req", req)]).unwrap();
    let page = alice.opens(url).await.clone();
    assert_eq!(page.status, 400, "{}", page.text());
    // And nothing of it has ended what the one code gave.
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
}

/// A "no" finishes the login as a "yes" does: going back does not turn it into one.
#[tokio::test]
async fn a_yes_after_a_no_gives_nothing() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.opens(&app.auth_request("openid email").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let form = alice.page().form_with("approval").unwrap();
    alice.rejects().await;
    assert_eq!(alice.auth_error(), "access_denied");
    let page = alice.submits(form.press("approval", "approve")).await.clone();
    assert_eq!(page.status, 400, "{}", page.text());
    gives_nothing(&page);
}

/// B 28: a "yes" that nobody signed in for.
#[tokio::test]
async fn a_yes_before_the_login_only_leads_to_the_login() {
    let server = World::new().start().await;
    let mut mallory = server.browser();
    mallory.opens(server.relying_party("example-app").auth_request("openid").url).await;
    let form = mallory.page().form_with("password").unwrap();
    let req = form.fields.iter().find(|(name, _)| name == "req").unwrap().1.clone();
    let yes = [("req", req.as_str()), ("approval", "approve")];
    let response = mallory.post_form(server.url("/approval"), &yes).await;
    gives_nothing(&response);
    let page = mallory.follow(response).await;
    assert!(page.form_with("password").is_some(), "{}", page.text());
}

/// B 28: what is not sealed by this server, or sealed for something else, is nothing.
#[tokio::test]
async fn an_altered_login_in_flight_is_refused() {
    let server = World::new().start().await;
    let mut alice = alice_at_approval(&server).await;
    let form = alice.page().form_with("approval").unwrap().press("approval", "approve");
    let req = form.fields.iter().find(|(name, _)| name == "req").unwrap().1.clone();
    let last = if req.ends_with('A') { 'B' } else { 'A' };
    for other in [
        String::new(),
        "x".into(),
        req[..req.len() - 1].to_owned(),
        format!("{}{last}", &req[..req.len() - 1]),
        format!("{req}A"),
        format!("{req}="),
        format!(" {req}"),
        format!("0{req}"),
        format!("{req}\0"),
        "9".repeat(70_000),
    ] {
        let fields = [("req", other.as_str()), ("approval", "approve")];
        let page = alice.post_form(server.url("/approval"), &fields).await;
        assert!((400..500).contains(&page.status), "{other:.40}: {}", page.status);
        gives_nothing(&page);
    }
    for word in ["", "yes", "APPROVE", "approve "] {
        let fields = [("req", req.as_str()), ("approval", word)];
        let page = alice.post_form(server.url("/approval"), &fields).await;
        assert_eq!(page.status, 400, "{word:?}");
        gives_nothing(&page);
    }
    alice.submits(form).await;
    alice.auth_response();
}

/// B 28: a login of one session is not approved by another, even with both cookies in one hand.
#[tokio::test]
async fn bob_cannot_say_yes_on_the_page_that_was_shown_to_alice() {
    let server = World::new().start().await;
    let mut browser = alice_at_approval(&server).await;
    let form = browser.page().form_with("approval").unwrap().press("approval", "approve");
    // In another tab of the same browser, Bob signs in.
    let app = server.relying_party("example-app");
    browser.opens(app.auth_request_with("openid", &[("prompt", "login")]).url).await;
    browser.signs_in(BOB, BOB_PASSWORD).await;
    let page = browser.submits(form).await.clone();
    gives_nothing(&page);
    assert!(!page.text().contains(ALICE), "{}", page.text());
}

/// B 38: signed in as Alice, asked again, and answered by Bob: everything is Bob's, nothing a mixture.
#[tokio::test]
async fn after_a_login_by_another_person_session_and_code_are_theirs_alone() {
    let server = World::new().start().await;
    let (mut browser, app) = (server.browser(), server.relying_party("example-app"));
    let first = app.auth_request("openid email groups offline_access");
    let auth_response = browser.logs_in(&first, ALICE, ALICE_PASSWORD).await;
    let hers = app.redeems(&first, &auth_response).await;
    let again = app.auth_request_with("openid email groups offline_access", &[("prompt", "login")]);
    browser.opens(&again.url).await;
    browser.signs_in(BOB, BOB_PASSWORD).await;
    let asked = browser.page().text();
    assert!(asked.contains(BOB) && !asked.contains(ALICE), "{asked}");
    browser.approves().await;
    let his = app.redeems(&again, &browser.auth_response()).await;

    let (alice, bob) = (claims(hers.id_token()), claims(his.id_token()));
    assert_eq!((&bob["email"], bob.get("groups")), (&BOB.into(), None));
    assert_ne!(alice["sub"], bob["sub"]);
    assert_ne!(alice["sid"], bob["sid"]);
    for (response, who) in [(&hers, &alice), (&his, &bob)] {
        let told = app.refreshes(response.refresh_token()).await;
        assert_eq!(told.status, 200, "{}", told.page.body);
        let told = claims(told.id_token());
        for claim in ["sub", "sid", "email", "auth_time"] {
            assert_eq!(told[claim], who[claim], "{claim}");
        }
    }
    // The next application sees Bob.
    let next = app.auth_request_with("openid email", &[("prompt", "none")]);
    browser.opens(&next.url).await;
    let told = app.redeems(&next, &browser.auth_response()).await;
    assert_eq!(claims(told.id_token())["sub"], bob["sub"]);
}

/// B 38: she was asked again, thought better of it, and is still Alice with her old session.
#[tokio::test]
async fn a_login_that_was_not_finished_changes_nothing() {
    let server = World::new().start().await;
    let (mut browser, app) = (server.browser(), server.relying_party("example-app"));
    let first = app.auth_request("openid email");
    let auth_response = browser.logs_in(&first, ALICE, ALICE_PASSWORD).await;
    let before = claims(app.redeems(&first, &auth_response).await.id_token());
    browser.opens(app.auth_request_with("openid email", &[("prompt", "login")]).url).await;
    browser.signs_in(BOB, "not-his-password").await;
    let next = app.auth_request_with("openid email", &[("prompt", "none")]);
    browser.opens(&next.url).await;
    let after = claims(app.redeems(&next, &browser.auth_response()).await.id_token());
    for claim in ["sub", "sid", "email", "auth_time"] {
        assert_eq!(after[claim], before[claim], "{claim}");
    }
}

/// "Not you?" on the approval page leads to a login, and what follows is the other person's.
#[tokio::test]
async fn somebody_else_can_take_over_at_the_approval_page() {
    let server = World::new().start().await;
    let mut browser = alice_at_approval(&server).await;
    let form = browser.page().form_with("approval").unwrap().press("approval", "switch");
    browser.submits(form).await;
    assert!(browser.page().form_with("password").is_some(), "{}", browser.page().text());
    browser.signs_in(BOB, BOB_PASSWORD).await;
    let asked = browser.page().text();
    assert!(asked.contains(BOB) && !asked.contains(ALICE), "{asked}");
}

#[tokio::test]
async fn mallory_cannot_finish_the_login_that_alice_began() {
    let server = World::new().start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.opens(app.auth_request("openid").url).await;
    let form = alice.page().form_with("password").unwrap();

    let page = mallory.submits(form.fill("login", BOB).fill("password", BOB_PASSWORD)).await;
    assert!(page.status >= 400, "{}", page.text());
    assert!(page.location().is_none());
}

#[tokio::test]
async fn mallory_cannot_approve_in_the_name_of_alice() {
    let server = World::new().start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.opens(app.auth_request("openid").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let form = alice.page().form_with("approval").unwrap();

    let page = mallory.submits(form.press("approval", "approve")).await;
    assert!(page.status >= 400 && page.location().is_none(), "{}", page.text());
}

#[tokio::test]
async fn a_stolen_session_cookie_does_not_finish_a_login_begun_elsewhere() {
    let server = World::new().start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.opens(app.auth_request("openid").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    mallory.opens(app.auth_request("openid").url).await;
    let begun = mallory.page().form_with("password").unwrap();
    mallory.steals_cookies_of(&alice);
    let page = mallory.submits(begun.fill("login", BOB).fill("password", BOB_PASSWORD)).await;
    assert!(page.status >= 400 && page.location().is_none(), "{}", page.text());
}
