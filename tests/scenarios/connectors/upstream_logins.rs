//! Upstream logins: the callback is accepted once, from the browser that was redirected, from the same
//! upstream; and other sites cannot submit our forms (threats B 32 and 33, GHSA-c9rq-mvr5-3w32).

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use serde_json::json;

use crate::world::fakes::provider::{CLIENT, Provider, SECRET};
use crate::world::{ALICE, ALICE_PASSWORD, Browser, Need, Page, Server, World};

const TWO_UPSTREAMS: &str = "connectors:\n\
    - type: mockCallback\n  id: mock\n  name: Mock\n\
    - type: mockCallback\n  id: other\n  name: Other\n";

async fn two_upstreams() -> Server {
    World::new().with(TWO_UPSTREAMS).with("oauth2:\n  skipApprovalScreen: true").start().await
}

/// Follows the login to an upstream; returns the callback URL.
async fn callback_url(browser: &mut Browser, server: &Server, upstream: &str) -> reqwest::Url {
    let app = server.relying_party("example-app");
    let url = app.auth_request_with("openid", &[("connector_id", upstream)]).url;
    let mut response = browser.get(url).await;
    loop {
        let next =
            response.location().unwrap_or_else(|| panic!("no callback: {}", response.text()));
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

fn assert_refused(page: &Page, browser: &Browser) {
    assert!((400..500).contains(&page.status), "{}: {}", page.status, page.text());
    assert!(page.header("location").is_none() && !is_signed_in(browser));
}

#[tokio::test]
async fn a_person_returning_from_an_upstream_is_signed_in() {
    let server = two_upstreams().await;
    let mut alice = server.browser();
    let back = callback_url(&mut alice, &server, "mock").await;
    alice.opens(back).await;
    alice.auth_response();
    // Also at the callback path that names the connector.
    let mut alice = server.browser();
    let back = callback_url(&mut alice, &server, "other").await;
    let (state, code) = (parameter(&back, "state"), parameter(&back, "code"));
    alice.opens(callback(&server, "/callback/other", &state, &code)).await;
    alice.auth_response();
}

/// B 32; RFC 9700 section 4.4: mix-up.
#[tokio::test]
async fn the_response_of_one_upstream_is_refused_for_another() {
    let server = two_upstreams().await;
    let mut alice = server.browser();
    let back = callback_url(&mut alice, &server, "mock").await;
    let (state, code) = (parameter(&back, "state"), parameter(&back, "code"));
    for path in ["/callback/other", "/callback/local", "/callback/nobody"] {
        let mut alice = server.browser();
        let back = callback_url(&mut alice, &server, "mock").await;
        let (state, code) = (parameter(&back, "state"), parameter(&back, "code"));
        let page = alice.opens(callback(&server, path, &state, &code)).await.clone();
        assert_refused(&page, &alice);
    }
    // The code of one login with the state of the other, in one browser with both pending.
    let second = callback_url(&mut alice, &server, "other").await;
    let mixed = callback(&server, "/callback", &parameter(&second, "state"), &code);
    let page = alice.opens(mixed).await.clone();
    assert_refused(&page, &alice);
    // The first login is not affected.
    alice.opens(callback(&server, "/callback", &state, &code)).await;
    alice.auth_response();
}

/// B 33: login CSRF.
#[tokio::test]
async fn a_callback_url_of_mallory_is_refused_in_alices_browser() {
    let server = two_upstreams().await;
    let (mut mallory, mut alice) = (server.browser(), server.browser());
    let lure = callback_url(&mut mallory, &server, "mock").await;
    // A browser without a pending login, and one with its own.
    let page = alice.opens(&lure).await.clone();
    assert_refused(&page, &alice);
    let own = callback_url(&mut alice, &server, "mock").await;
    let page = alice.opens(&lure).await.clone();
    assert_refused(&page, &alice);
    alice.opens(own).await;
    alice.auth_response();
}

/// B 32: an unknown, a used and a missing state.
#[tokio::test]
async fn an_upstream_login_completes_once_and_only_with_its_own_state() {
    let server = two_upstreams().await;
    let mut alice = server.browser();
    let back = callback_url(&mut alice, &server, "mock").await;
    let (state, code) = (parameter(&back, "state"), parameter(&back, "code"));
    let (upper, endless) = (state.to_uppercase(), "A".repeat(60_000));
    for wrong in
        ["", "x", &state[1..], &upper, &"A".repeat(32), "../../etc", "a;b=c", "\0", &endless]
    {
        let page = alice.opens(callback(&server, "/callback", wrong, &code)).await.clone();
        assert_refused(&page, &alice);
    }
    alice.opens(&back).await;
    alice.auth_response();
    let again = alice.opens(&back).await.clone();
    assert_eq!(again.status, 400, "{}", again.text());
    assert!(again.header("location").is_none());
}

/// B 32: an error response of the upstream ends the login with an error page.
#[tokio::test]
async fn an_error_response_of_the_upstream_is_shown_and_ends_the_login() {
    let server = two_upstreams().await;
    let mut alice = server.browser();
    let back = callback_url(&mut alice, &server, "mock").await;
    let state = parameter(&back, "state");
    let pairs = [("state", state.as_str()), ("error", "access_denied\"><script>alert(1)</script>")];
    let no = reqwest::Url::parse_with_params(&server.url("/callback"), pairs).unwrap();
    let page = alice.opens(no).await.clone();
    assert_refused(&page, &alice);
    assert!(!page.body.contains("<script"), "{}", page.body);
    let page = alice.opens(back).await.clone();
    assert_refused(&page, &alice);
}

/// B 33: another site's page submits Mallory's name and password from Alice's browser. The cookies are
/// `SameSite=Lax`; this browser sends them nevertheless.
#[tokio::test]
async fn another_site_cannot_submit_our_forms() {
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
    // Without the cookies there is no pending login.
    let response = post(origin, server.origin(), false).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.headers().get(SET_COOKIE).is_none());
    // From our own page it is accepted.
    let response = post(origin, server.origin(), true).send().await.unwrap();
    assert_eq!(response.status(), 303);
    assert!(response.headers()[LOCATION].to_str().unwrap().starts_with("/dex/continue?"));
}

/// Issue 9, item 25: `connectors[].grantTypes` without `authorization_code`. The connector is for other grants alone; it
/// is neither offered nor accepted by name, and its callback signs nobody in.
#[tokio::test]
async fn a_connector_without_authorization_code_signs_nobody_in() {
    let connectors = "connectors:\n\
        - type: mockCallback\n  id: mock\n  name: Mock\n\
        - type: mockCallback\n  id: machines\n  name: Machines\n  grantTypes: [refresh_token]\n";
    let server = World::new().with(connectors).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let page = alice.opens(app.auth_request("openid").url).await;
    assert_eq!(page.all("a.way"), ["Email", "Mock"]);
    // Named by the client, and by the address that its button would have.
    let request = app.auth_request_with("openid", &[("connector_id", "machines")]);
    let query = reqwest::Url::parse(&request.url).unwrap().query().unwrap().to_owned();
    let query = query.replace("connector_id=machines", "acr_values=");
    for url in [request.url.clone(), server.url(&format!("/auth/machines?{query}"))] {
        alice.opens(url).await;
        assert_eq!(alice.auth_error(), "invalid_request");
        assert!(!is_signed_in(&alice));
    }
}

/// The shortest limits of `sessions`, and a provider that signs Jane in without showing her a page.
fn world_of_a_silent_provider(world: World, provider: &Provider) -> World {
    let connector = format!(
        "connectors:\n- type: oidc\n  id: corp\n  name: Corp\n  config:\n    issuer: {}\n    clientID: \
         {CLIENT}\n    clientSecret: \"{SECRET}\"\n    insecureEnableGroups: true\n    \
         allowedGroups: [staff]\n",
        provider.web.url
    );
    let sessions = "sessions:\n  upstreamRefreshInterval: 0s\n  maxSnapshotAge: 1s";
    world.with(&connector).with(sessions)
}

const AT_CORP: &[(&str, &str)] = &[("connector_id", "corp")];

/// Threat 168; issue 9, item 16: the provider returned no refresh token, so it cannot be asked again. The login just made
/// counts while she reads the approval page; one that has become too old meanwhile is made again, once.
#[tokio::test]
async fn threat_168_a_login_just_made_is_fresh_at_an_upstream_that_cannot_refresh() {
    if Need::Clock.is_missing() {
        return;
    }
    let provider = Provider::start().await;
    provider.set(|behaviour| behaviour.without_refresh_token = true);
    let server = world_of_a_silent_provider(World::with_clock(), &provider).start().await;
    for (reading, logins) in [(30, 1), (90, 2)] {
        let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
        let before = provider.web.requests("/authorize").len();
        let scopes = "openid groups offline_access";
        let request =
            app.auth_request_with(scopes, &[("connector_id", "corp"), ("prompt", "consent")]);
        jane.opens(&request.url).await;
        jane.continues_to_fake_upstream().await;
        server.advance(Duration::from_secs(reading));
        jane.approves().await;
        if logins == 2 {
            jane.continues_to_fake_upstream().await;
            jane.approves().await;
        }
        let response = app.redeems(&request, &jane.auth_response()).await;
        assert_eq!(response.status, 200, "{reading} s: {}", response.page.body);
        assert_eq!(provider.web.requests("/authorize").len() - before, logins, "{reading} s");
    }
}

/// Threat 168: the provider accepts each login and refuses the user as soon as it is asked again, which is at once.
#[tokio::test]
async fn threat_168_an_upstream_that_accepts_a_login_and_then_refuses_the_user_ends_it() {
    let provider = Provider::start().await;
    provider.claims(|claims| {
        // A refreshed ID token has no nonce.
        if !claims.contains_key("nonce") {
            claims.insert("groups".to_owned(), json!(["left"]));
        }
    });
    let world = world_of_a_silent_provider(World::new(), &provider);
    let server = world.with("oauth2:\n  skipApprovalScreen: true").start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    jane.opens(app.auth_request_with("openid groups offline_access", AT_CORP).url).await;
    jane.continues_to_fake_upstream().await;
    assert_eq!(jane.auth_error(), "access_denied");
    assert_eq!(
        provider.web.requests("/authorize").len(),
        1,
        "it is not asked to sign her in again"
    );
}
