//! The trip to an upstream and back: whoever comes back is who left, from where they went, once; and
//! no other site can send somebody through our forms (threats B 32 and 33, GHSA-c9rq-mvr5-3w32).

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};

use crate::world::{ALICE, ALICE_PASSWORD, Browser, Page, Server, World};

const TWO_UPSTREAMS: &str = "connectors:\n\
    - type: mockCallback\n  id: mock\n  name: Mock\n\
    - type: mockCallback\n  id: other\n  name: Other\n";

async fn two_upstreams() -> Server {
    World::new().with(TWO_UPSTREAMS).with("oauth2:\n  skipApprovalScreen: true").start().await
}

/// Leaves for an upstream and returns the address that it sends the browser back to.
async fn leaves(browser: &mut Browser, server: &Server, upstream: &str) -> reqwest::Url {
    let app = server.relying_party("example-app");
    let url = app.auth_request_with("openid", &[("connector_id", upstream)]).url;
    let mut response = browser.get(url).await;
    loop {
        let next = response.location().unwrap_or_else(|| panic!("no trip: {}", response.text()));
        if next.path().ends_with("/callback") {
            return next;
        }
        response = browser.get(&next).await;
    }
}

fn parameter(url: &reqwest::Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
}

fn callback(server: &Server, path: &str, state: &str, code: &str) -> reqwest::Url {
    let pairs = [("state", state), ("code", code)];
    reqwest::Url::parse_with_params(&server.url(path), pairs).unwrap()
}

fn is_signed_in(browser: &Browser) -> bool {
    browser.cookies().iter().any(|cookie| cookie.name.ends_with("-session"))
}

fn refused(page: &Page, browser: &Browser) {
    assert!((400..500).contains(&page.status), "{}: {}", page.status, page.text());
    assert!(page.header("location").is_none() && !is_signed_in(browser));
}

#[tokio::test]
async fn who_left_for_an_upstream_comes_back_signed_in() {
    let server = two_upstreams().await;
    let mut alice = server.browser();
    let back = leaves(&mut alice, &server, "mock").await;
    alice.opens(back).await;
    alice.auth_response();
    // By the address that names the upstream, too.
    let mut alice = server.browser();
    let back = leaves(&mut alice, &server, "other").await;
    let (state, code) = (parameter(&back, "state"), parameter(&back, "code"));
    alice.opens(callback(&server, "/callback/other", &state, &code)).await;
    alice.auth_response();
}

/// B 32; RFC 9700 section 4.4: what one upstream answered is not another's answer.
#[tokio::test]
async fn the_answer_of_one_upstream_is_not_taken_for_that_of_another() {
    let server = two_upstreams().await;
    let mut alice = server.browser();
    let back = leaves(&mut alice, &server, "mock").await;
    let (state, code) = (parameter(&back, "state"), parameter(&back, "code"));
    for path in ["/callback/other", "/callback/local", "/callback/nobody"] {
        let mut alice = server.browser();
        let back = leaves(&mut alice, &server, "mock").await;
        let (state, code) = (parameter(&back, "state"), parameter(&back, "code"));
        let page = alice.opens(callback(&server, path, &state, &code)).await.clone();
        refused(&page, &alice);
    }
    // The code of one trip with the state of the other, in one browser with both under way.
    let second = leaves(&mut alice, &server, "other").await;
    let mixed = callback(&server, "/callback", &parameter(&second, "state"), &code);
    let page = alice.opens(mixed).await.clone();
    refused(&page, &alice);
    // The first trip was not disturbed by it.
    alice.opens(callback(&server, "/callback", &state, &code)).await;
    alice.auth_response();
}

/// B 33: Mallory's finished trip in Alice's browser would sign Alice in as Mallory.
#[tokio::test]
async fn a_trip_that_mallory_made_does_not_end_in_alices_browser() {
    let server = two_upstreams().await;
    let (mut mallory, mut alice) = (server.browser(), server.browser());
    let lure = leaves(&mut mallory, &server, "mock").await;
    // A stranger's browser, and one with a trip of its own under way.
    let page = alice.opens(&lure).await.clone();
    refused(&page, &alice);
    let own = leaves(&mut alice, &server, "mock").await;
    let page = alice.opens(&lure).await.clone();
    refused(&page, &alice);
    alice.opens(own).await;
    alice.auth_response();
}

/// B 32: a state nobody gave, one that is over, and none at all.
#[tokio::test]
async fn a_trip_ends_once_and_only_with_its_own_state() {
    let server = two_upstreams().await;
    let mut alice = server.browser();
    let back = leaves(&mut alice, &server, "mock").await;
    let (state, code) = (parameter(&back, "state"), parameter(&back, "code"));
    let (upper, endless) = (state.to_uppercase(), "A".repeat(60_000));
    for wrong in
        ["", "x", &state[1..], &upper, &"A".repeat(32), "../../etc", "a;b=c", "\0", &endless]
    {
        let page = alice.opens(callback(&server, "/callback", wrong, &code)).await.clone();
        refused(&page, &alice);
    }
    alice.opens(&back).await;
    alice.auth_response();
    let again = alice.opens(&back).await.clone();
    assert_eq!(again.status, 400, "{}", again.text());
    assert!(again.header("location").is_none());
}

/// B 32: the upstream's own "no" ends the trip, with a page and not with a login.
#[tokio::test]
async fn a_refusal_of_the_upstream_is_told_and_ends_the_trip() {
    let server = two_upstreams().await;
    let mut alice = server.browser();
    let back = leaves(&mut alice, &server, "mock").await;
    let state = parameter(&back, "state");
    let pairs = [("state", state.as_str()), ("error", "access_denied\"><script>alert(1)</script>")];
    let no = reqwest::Url::parse_with_params(&server.url("/callback"), pairs).unwrap();
    let page = alice.opens(no).await.clone();
    refused(&page, &alice);
    assert!(!page.body.contains("<script"), "{}", page.body);
    let page = alice.opens(back).await.clone();
    refused(&page, &alice);
}

/// B 33: another site's page posts Mallory's name and password from Alice's browser. Cookies are `Lax`
/// and would stay away; this is a browser that sends them all the same.
#[tokio::test]
async fn another_site_cannot_post_our_forms() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    alice.opens(server.relying_party("example-app").auth_request("openid").url).await;
    let form = alice.page().form_with("password").unwrap();
    let form = form.fill("login", ALICE).fill("password", ALICE_PASSWORD);
    let body = reqwest::Url::parse_with_params("http://x/", &form.fields).unwrap();
    let body = body.query().unwrap().to_owned();
    let cookies: Vec<_> =
        alice.cookies().iter().map(|c| format!("{}={}", c.name, c.value)).collect();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap();
    let post = |name: &'static str, value: String, with_cookies: bool| {
        let request = client.post(form.action.clone()).body(body.clone()).header(name, value);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if with_cookies { request.header(COOKIE, cookies.join("; ")) } else { request }
    };
    let origin = ORIGIN.as_str();
    for (name, value) in [
        (origin, "https://evil.example".to_owned()),
        (origin, format!("{}.evil.example", server.origin())),
        (origin, server.origin().replace("http:", "https:")),
        (origin, server.origin().replace(":5556", ":5557")),
        ("sec-fetch-site", "cross-site".into()),
        ("sec-fetch-site", "same-site".into()),
    ] {
        let response = post(name, value.clone(), true).send().await.unwrap();
        assert_eq!(response.status(), 403, "{name}: {value}");
        assert!(response.headers().get(SET_COOKIE).is_none(), "{name}: {value}");
    }
    // Without the cookies that a browser leaves out, it is nobody's login at all.
    let response = post(origin, server.origin(), false).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.headers().get(SET_COOKIE).is_none());
    // From our own page it is what it should be.
    let response = post(origin, server.origin(), true).send().await.unwrap();
    assert_eq!(response.status(), 303);
    assert!(response.headers()[LOCATION].to_str().unwrap().starts_with("/dex/continue?"));
}
