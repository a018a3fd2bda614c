//! A pending login is bound to the browser that began it and to one person, and is completed once (threats B
//! 27, 28 and 38; CVE-2022-39222, CVE-2023-6787, CVE-2025-12390).

use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Page, Server, World, claims,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

/// No code, and no redirect to a client.
fn assert_no_code(page: &Page) {
    assert!(!page.body.contains("code="), "{}", page.body);
    if let Some(location) = page.location() {
        assert!(!location.host_str().unwrap().contains("example.com"), "{location}");
        assert!(location.query_pairs().all(|(name, _)| name != "code"), "{location}");
    }
}

/// Alice has signed in and is at the approval page.
async fn alice_at_approval(server: &Server) -> Browser {
    let mut alice = server.browser();
    alice.opens(server.relying_party("example-app").auth_request("openid email").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice
}

/// B 27: Mallory begins a login and lures Alice to complete it.
#[tokio::test]
async fn a_login_begun_by_mallory_cannot_be_completed_by_alice() {
    let server = World::new().start().await;
    let (mut mallory, mut alice) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    mallory.opens(app.auth_request("openid").url).await;
    let lure = mallory.page().url.clone();
    let req = lure.query_pairs().find(|(name, _)| name == "req").unwrap().1.into_owned();

    // Alice without a session, then with one.
    assert_eq!(alice.opens(&lure).await.status, 400);
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    for path in ["/auth/local/login", "/auth/local", "/continue", "/approval"] {
        let url = reqwest::Url::parse_with_params(&server.url(path), [("req", &req)]).unwrap();
        let page = alice.opens(&url).await.clone();
        assert_eq!(page.status, 400, "{path}: {}", page.text());
        assert_no_code(&page);
        // Mallory's own browser is still at the login form.
        let page = mallory.opens(&url).await.clone();
        assert!(page.form_with("password").is_some(), "{path}: {}", page.text());
        assert_no_code(&page);
    }
}

/// B 28: the same approval submitted twice, before and after the code exchange.
#[tokio::test]
async fn a_repeated_approval_returns_the_same_code_until_it_is_exchanged() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email");
    alice.opens(&request.url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let form = alice.page().form_with("approval").unwrap().press("approval", "approve");
    let req = form.fields.iter().find(|(name, _)| name == "req").unwrap().1.clone();
    alice.submits(form.clone()).await;
    let auth_response = alice.auth_response();
    // A double click: the browser follows the second response.
    alice.submits(form.clone()).await;
    assert_eq!(alice.auth_response().code, auth_response.code);
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);

    let page = alice.submits(form).await.clone();
    assert_eq!(page.status, 400, "{}", page.text());
    assert_no_code(&page);
    // The same at the step before.
    let url = reqwest::Url::parse_with_params(&server.url("/continue"), [("req", req)]).unwrap();
    let page = alice.opens(url).await.clone();
    assert_eq!(page.status, 400, "{}", page.text());
    // The tokens of the first exchange stay valid.
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
}

/// Threat 162: a double click on the button of the password form, where no approval page follows. The browser follows the
/// second response; the first request may have been completed up to the code meanwhile.
#[tokio::test]
async fn a_password_form_submitted_twice_returns_one_code() {
    let server = World::new().with("oauth2:\n  skipApprovalScreen: true").start().await;
    for is_first_followed in [false, true] {
        let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
        let request = app.auth_request("openid email");
        alice.opens(&request.url).await;
        // Both requests carry the cookies of the page.
        let mut first_click = server.browser();
        first_click.steals_cookies_of(&alice);
        let form = alice.page().form_with("password").unwrap();
        let form = form.fill("login", ALICE).fill("password", ALICE_PASSWORD);
        let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let first = first_click.post_form(&form.action, &fields).await;
        assert_eq!(first.status, 303, "{}", first.text());
        if is_first_followed {
            first_click.follow(first).await;
        }
        alice.submits(form).await;
        let auth_response = alice.auth_response();
        if is_first_followed {
            assert_eq!(first_click.auth_response().code, auth_response.code);
        }
        let tokens = app.redeems(&request, &auth_response).await;
        assert_eq!(tokens.status, 200, "{}", tokens.page.body);
        assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
    }
}

/// Threat 163: thirty restored tabs wait at the password page. Alice signs in on each, and approves afterwards, the oldest
/// first; on a tab from before another sign-in the approval page may come once more.
#[tokio::test]
async fn thirty_tabs_sign_in_and_are_approved_afterwards() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let mut tabs = Vec::new();
    for _ in 0..30 {
        let request = app.auth_request("openid email");
        alice.opens(&request.url).await;
        tabs.push((request, alice.page().form_with("password").unwrap()));
    }
    for (_, form) in &mut tabs {
        let filled = form.clone().fill("login", ALICE).fill("password", ALICE_PASSWORD);
        alice.submits(filled).await;
        *form = alice.page().form_with("approval").unwrap();
    }
    for (n, (request, form)) in tabs.into_iter().enumerate() {
        alice.submits(form.press("approval", "approve")).await;
        if alice.page().form_with("approval").is_some() {
            alice.approves().await;
        }
        let tokens = app.redeems(&request, &alice.auth_response()).await;
        assert_eq!(tokens.status, 200, "tab {n}: {}", tokens.page.body);
    }
}

/// Issue 9, item 6: thirty restored tabs with the password form finish in any order, with headers that every server and
/// proxy accepts (8 KiB).
#[tokio::test]
async fn thirty_tabs_with_the_password_form_finish_in_any_order() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let mut tabs = Vec::new();
    for _ in 0..30 {
        let request = app.auth_request("openid");
        alice.opens(&request.url).await;
        tabs.push((request, alice.page().form_with("password").unwrap()));
    }
    for n in 0..30 {
        let (request, form) = &tabs[n * 7 % 30];
        let form = form.clone().fill("login", ALICE).fill("password", ALICE_PASSWORD);
        alice.submits(form).await;
        let tokens = app.redeems(request, &alice.auth_response()).await;
        assert_eq!(tokens.status, 200, "tab {n}: {}", tokens.page.body);
        let sizes = alice.cookies().iter().map(|cookie| cookie.name.len() + cookie.value.len() + 3);
        let cookies: usize = sizes.sum();
        assert!(cookies < 7 * 1024, "{cookies} bytes of cookies, and 1 KiB for the other headers");
    }
}

/// A rejection completes the login, so going back cannot approve it.
#[tokio::test]
async fn an_approval_after_a_rejection_is_refused() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.opens(&app.auth_request("openid email").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let form = alice.page().form_with("approval").unwrap();
    alice.rejects().await;
    assert_eq!(alice.auth_error(), "access_denied");
    let page = alice.submits(form.press("approval", "approve")).await.clone();
    assert_eq!(page.status, 400, "{}", page.text());
    assert_no_code(&page);
}

/// B 28: an approval before anybody signed in.
#[tokio::test]
async fn an_approval_before_the_login_leads_to_the_login_form() {
    let server = World::new().start().await;
    let mut mallory = server.browser();
    mallory.opens(server.relying_party("example-app").auth_request("openid").url).await;
    let form = mallory.page().form_with("password").unwrap();
    let req = form.fields.iter().find(|(name, _)| name == "req").unwrap().1.clone();
    let yes = [("req", req.as_str()), ("approval", "approve")];
    let response = mallory.post_form(server.url("/approval"), &yes).await;
    assert_no_code(&response);
    let page = mallory.follow(response).await;
    assert!(page.form_with("password").is_some(), "{}", page.text());
}

/// B 28: the sealed state cannot be altered.
#[tokio::test]
async fn an_altered_pending_login_is_refused() {
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
        assert_no_code(&page);
    }
    for word in ["", "yes", "APPROVE", "approve "] {
        let fields = [("req", req.as_str()), ("approval", word)];
        let page = alice.post_form(server.url("/approval"), &fields).await;
        assert_eq!(page.status, 400, "{word:?}");
        assert_no_code(&page);
    }
    alice.submits(form).await;
    alice.auth_response();
}

/// B 28: the approval page of one session cannot be used by another session in the same browser.
#[tokio::test]
async fn bob_cannot_approve_on_the_page_shown_to_alice() {
    let server = World::new().start().await;
    let mut browser = alice_at_approval(&server).await;
    let form = browser.page().form_with("approval").unwrap().press("approval", "approve");
    // In another tab of the same browser, Bob signs in.
    let app = server.relying_party("example-app");
    browser.opens(app.auth_request_with("openid", &[("prompt", "login")]).url).await;
    browser.signs_in(BOB, BOB_PASSWORD).await;
    let page = browser.submits(form).await.clone();
    assert_no_code(&page);
    assert!(!page.text().contains(ALICE), "{}", page.text());
}

/// B 38: Alice is signed in, Bob signs in at the next login; session and tokens must be Bob's only.
#[tokio::test]
async fn after_a_login_by_another_person_session_and_tokens_are_theirs() {
    let server = World::new().start().await;
    let (mut browser, app) = (server.browser(), server.relying_party("example-app"));
    let first = app.auth_request("openid email groups offline_access");
    let auth_response = browser.logs_in(&first, ALICE, ALICE_PASSWORD).await;
    let hers = app.redeems(&first, &auth_response).await;
    let again = app.auth_request_with("openid email groups offline_access", &[("prompt", "login")]);
    browser.opens(&again.url).await;
    browser.signs_in(BOB, BOB_PASSWORD).await;
    let requested = browser.page().text();
    assert!(requested.contains(BOB) && !requested.contains(ALICE), "{requested}");
    browser.approves().await;
    let his = app.redeems(&again, &browser.auth_response()).await;

    let (alice, bob) = (claims(hers.id_token()), claims(his.id_token()));
    assert_eq!((&bob["email"], bob.get("groups")), (&BOB.into(), None));
    assert_ne!(alice["sub"], bob["sub"]);
    assert_ne!(alice["sid"], bob["sid"]);
    for (response, who) in [(&hers, &alice), (&his, &bob)] {
        let received = app.refreshes(response.refresh_token()).await;
        assert_eq!(received.status, 200, "{}", received.page.body);
        let received = claims(received.id_token());
        for claim in ["sub", "sid", "email", "auth_time"] {
            assert_eq!(received[claim], who[claim], "{claim}");
        }
    }
    // The next client sees Bob.
    let next = app.auth_request_with("openid email", &[("prompt", "none")]);
    browser.opens(&next.url).await;
    let received = app.redeems(&next, &browser.auth_response()).await;
    assert_eq!(claims(received.id_token())["sub"], bob["sub"]);
}

/// B 38: an unfinished login does not change the session.
#[tokio::test]
async fn an_unfinished_login_keeps_the_existing_session() {
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

/// "Not you?" on the approval page leads to the login form.
#[tokio::test]
async fn another_person_can_sign_in_from_the_approval_page() {
    let server = World::new().start().await;
    let mut browser = alice_at_approval(&server).await;
    let form = browser.page().form_with("approval").unwrap().press("approval", "switch");
    browser.submits(form).await;
    assert!(browser.page().form_with("password").is_some(), "{}", browser.page().text());
    browser.signs_in(BOB, BOB_PASSWORD).await;
    let requested = browser.page().text();
    assert!(requested.contains(BOB) && !requested.contains(ALICE), "{requested}");
}

#[tokio::test]
async fn mallory_cannot_complete_the_login_that_alice_began() {
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
async fn mallory_cannot_approve_for_alice() {
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
async fn a_stolen_session_cookie_does_not_complete_a_login_of_another_browser() {
    let server = World::new().start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.opens(app.auth_request("openid").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    mallory.opens(app.auth_request("openid").url).await;
    let login_form = mallory.page().form_with("password").unwrap();
    mallory.steals_cookies_of(&alice);
    let page = mallory.submits(login_form.fill("login", BOB).fill("password", BOB_PASSWORD)).await;
    assert!(page.status >= 400 && page.location().is_none(), "{}", page.text());
}
