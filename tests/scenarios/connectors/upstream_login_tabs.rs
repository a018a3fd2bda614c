//! Redirects to an upstream and back with several tabs, the back button, and somebody else's callback URL
//! (CVE-2023-27490 and similar). The upstream is `mockCallback`, which redirects back at once, so a browser
//! without a screen is used where a test has to stop in between.

use reqwest::Url;
use thirtyfour::Cookie;

use super::google::{BY_CLOUD, connector};
use crate::world::fakes::google::Google;
use crate::world::http::{bare_client, send};
use crate::world::{Browser, Chromium, Client, Display, Need, OtherOrigin, Server, World};

const UPSTREAM: &str = "connectors:\n- type: mockCallback\n  id: corp\n  name: Upstream";
const START_AGAIN: &str = "Please start again";

async fn server() -> Server {
    World::new().client(Client::new("wiki")).with(UPSTREAM).start().await
}

/// The callback URL of a started upstream login.
async fn callback_url(browser: &mut Browser, url: &str) -> Url {
    browser.opens(url).await;
    let link = browser.page().link("Upstream").expect("a choice");
    let response = browser.get(link).await;
    let callback = response.location().expect("a redirect to the upstream");
    assert!(callback.path().ends_with("/callback"), "{callback}");
    callback
}

fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.expect("the parameter is there").1.into_owned()
}

fn assert_start_again_page(browser: &Browser) {
    let page = browser.page();
    assert_eq!((page.status, page.location()), (400, None), "{}", page.text());
    assert_eq!(page.all("h1"), [START_AGAIN]);
    assert_eq!(page.all("#reference").len(), 1, "a reference for the administrator");
}

#[tokio::test]
async fn two_upstream_logins_complete_in_any_order() {
    let server = server().await;
    let (app, wiki) = (server.relying_party("example-app"), server.relying_party("wiki"));
    let mut alice = server.browser();
    let (first, second) = (app.auth_request("openid email"), wiki.auth_request("openid"));
    let back_to_first = callback_url(&mut alice, &first.url).await;
    let back_to_second = callback_url(&mut alice, &second.url).await;

    for (callback, party, request) in
        [(back_to_second, &wiki, &second), (back_to_first, &app, &first)]
    {
        alice.opens(callback).await;
        alice.approves().await;
        let response = party.redeems(request, &alice.auth_response()).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        assert_eq!(crate::world::claims(response.id_token())["nonce"], request.nonce);
    }
}

/// Bytes of the Cookie header that this browser sends to the callback.
fn callback_cookie_bytes(browser: &Browser) -> usize {
    let sent = browser.cookies().iter().filter(|cookie| "/dex/callback".starts_with(&cookie.path));
    sent.map(|cookie| cookie.name.len() + cookie.value.len() + "=; ".len()).sum()
}

/// A restored browser session: thirty tabs wait at an upstream and finish in any order, with headers that every server
/// and proxy accepts (8 KiB), and a `state` that every upstream keeps.
#[tokio::test]
async fn thirty_tabs_at_an_upstream_finish_in_any_order() {
    let google = Google::start().await;
    let connectors = format!("connectors:\n{}", connector("google", &google, BY_CLOUD));
    let rules = "oauth2:\n  skipApprovalScreen: true";
    let server = World::new().with(&connectors).with(rules).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let mut tabs = Vec::new();
    for _ in 0..30 {
        let request = app.auth_request("openid email profile groups offline_access");
        jane.opens(&request.url).await;
        let link = jane.page().link("Google").expect("a choice");
        let upstream = jane.get(link).await.location().expect("a redirect to Google");
        let state = parameter(&upstream, "state");
        assert!(state.len() < 512, "{} characters of state", state.len());
        tabs.push((request, upstream));
    }
    let cookies = callback_cookie_bytes(&jane);
    assert!(cookies < 7 * 1024, "{cookies} bytes of cookies, and 1 KiB for the other headers");
    for n in 0..30 {
        let (request, upstream) = &tabs[n * 7 % 30];
        let at_google = send(bare_client().get(upstream.clone())).await;
        jane.opens(at_google.location().expect("back to the callback")).await;
        let response = app.redeems(request, &jane.auth_response()).await;
        assert_eq!(response.status, 200, "tab {n}: {}", response.page.body);
        assert_eq!(crate::world::claims(response.id_token())["nonce"], request.nonce);
    }
    let left = jane.cookies().iter().filter(|cookie| cookie.name.contains("-cb-")).count();
    assert_eq!(left, 0, "every finished login removed its cookie");
}

/// Beyond the limit the oldest tab must start again; the newest ones are not affected.
#[tokio::test]
async fn a_hundred_tabs_keep_the_newest_and_the_headers_small() {
    let server = server().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let mut callbacks = Vec::new();
    for _ in 0..100 {
        callbacks.push(callback_url(&mut alice, &app.auth_request("openid").url).await);
        assert!(callback_cookie_bytes(&alice) < 7 * 1024, "{}", callback_cookie_bytes(&alice));
    }
    alice.opens(&callbacks[0]).await;
    assert_start_again_page(&alice);
    alice.opens(&callbacks[99]).await;
    alice.approves().await;
    alice.auth_response();
}

/// A `state` is used once, whether it is repeated from the history or from a log.
#[tokio::test]
async fn a_completed_upstream_login_cannot_be_completed_again() {
    let server = server().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let callback = callback_url(&mut alice, &app.auth_request("openid").url).await;
    let kept = alice.cookies().to_vec();
    alice.opens(&callback).await;
    alice.approves().await;
    alice.auth_response();

    alice.opens(&callback).await;
    assert_start_again_page(&alice);
    let is_callback_cookie = |name: &str| name.contains("-cb-");
    assert!(kept.iter().any(|cookie| is_callback_cookie(&cookie.name)), "{kept:?}");
    assert!(
        !alice.cookies().iter().any(|cookie| is_callback_cookie(&cookie.name)),
        "the cookie is deleted"
    );
}

#[tokio::test]
async fn an_upstream_login_accepts_only_its_own_state_and_code() {
    let server = server().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let other = callback_url(&mut alice, &request.url).await;
    let with = |state: &str, code: &str| {
        let query = [("state", state), ("code", code)];
        Url::parse_with_params(&server.url("/callback"), query).unwrap()
    };

    // An unknown state, and none.
    alice.opens(with("A".repeat(32).as_str(), &parameter(&other, "code"))).await;
    assert_start_again_page(&alice);
    alice.opens(server.url("/callback")).await;
    assert_start_again_page(&alice);
    // The code of another login of the same browser: code injection (RFC 9700 section 4.5).
    let own = callback_url(&mut alice, &request.url).await;
    alice.opens(with(&parameter(&own, "state"), &parameter(&other, "code"))).await;
    assert_eq!((alice.page().status, alice.page().location()), (403, None));
    alice.opens(&own).await;
    assert_start_again_page(&alice);
    // The first login is not affected.
    alice.opens(&other).await;
    alice.approves().await;
    alice.auth_response();
}

/// Login CSRF (RFC 6749 section 10.12): Mallory's callback URL in Alice's browser.
#[tokio::test]
async fn mallorys_callback_url_does_not_sign_alice_in() {
    let server = server().await;
    let app = server.relying_party("example-app");
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let his = callback_url(&mut mallory, &app.auth_request("openid").url).await;
    let hers = callback_url(&mut alice, &app.auth_request("openid").url).await;

    alice.opens(&his).await;
    assert_start_again_page(&alice);
    alice.opens(server.url("/")).await;
    assert!(alice.page().text().contains("You are not signed in"), "{}", alice.page().text());
    // Both pending logins still work.
    alice.opens(&hers).await;
    alice.approves().await;
    alice.auth_response();
    // (At this upstream everybody is the same person, who has consented by now.)
    mallory.opens(&his).await;
    mallory.auth_response();
}

#[tokio::test]
async fn browser_with_two_tabs_completes_a_login_in_each() {
    if Need::Browser.is_missing() {
        return;
    }
    let sites = [OtherOrigin::start(), OtherOrigin::start()];
    let [app_callback, wiki_callback] = sites.each_ref().map(|site| format!("{}/cb", site.url));
    let server = World::new()
        .client(Client::new("example-app").redirects_to(&[&app_callback]))
        .client(Client::new("wiki").redirects_to(&[&wiki_callback]))
        .with(UPSTREAM)
        .start()
        .await;
    let (app, wiki) = (server.relying_party("example-app"), server.relying_party("wiki"));
    let (first, second) = (app.auth_request("openid"), wiki.auth_request("openid"));

    let alice = Chromium::with(Display::DESKTOP).await;
    let one = alice.driver.window().await.unwrap();
    alice.opens(&first.url).await;
    let two = alice.driver.new_tab().await.unwrap();
    alice.driver.switch_to_window(two.clone()).await.unwrap();
    alice.opens(&second.url).await;

    // Both tabs reach the approval page before the first is approved.
    for tab in [&one, &two] {
        alice.driver.switch_to_window(tab.clone()).await.unwrap();
        alice.presses("#connector-corp").await;
        alice.sees("button[value=approve]").await;
    }
    for (tab, callback, request) in [(&one, &app_callback, &first), (&two, &wiki_callback, &second)]
    {
        alice.driver.switch_to_window(tab.clone()).await.unwrap();
        alice.approves().await;
        // The other tab signed in meanwhile and replaced the binding cookie: the first tab must approve
        // again, and is not refused.
        if tab == &one {
            alice.waits_for_url(&server.url("/approval")).await;
            alice.approves().await;
        }
        let url = alice.waits_for_url(callback).await;
        assert!(url.contains(&format!("state={}", request.state)), "{url}");
    }
    for site in &sites {
        let codes =
            site.requests().iter().filter(|request| request.target.contains("code=")).count();
        assert_eq!(codes, 1);
    }
}

#[tokio::test]
async fn browser_with_the_back_button_does_not_complete_a_login_twice() {
    if Need::Browser.is_missing() {
        return;
    }
    let site = OtherOrigin::start();
    let callback = format!("{}/cb", site.url);
    let app = Client::new("example-app").redirects_to(&[&callback]);
    let server = World::new().client(app).with(UPSTREAM).start().await;
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid");
    let alice = Chromium::with(Display::DESKTOP).await;
    alice.opens(&request.url).await;
    alice.presses("#connector-corp").await;
    alice.approves().await;
    let arrived = Url::parse(&alice.waits_for_url(&callback).await).unwrap();
    assert_eq!(alice.text_of("h1").await, "Arrived");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &parameter(&arrived, "code")),
        ("redirect_uri", &callback),
        ("code_verifier", &request.verifier),
    ];
    assert_eq!(app.exchange(&fields).await.status, 200, "the code is exchanged");

    let goes_back_to = async |path: &str| {
        alice.driver.back().await.unwrap();
        alice.waits_for_url(&server.url(path)).await;
    };
    goes_back_to("/approval").await;
    // A cached page comes back with its button; others are requested again.
    if alice.text_of("h1").await != START_AGAIN {
        alice.approves().await;
        alice.waits_for_url(&server.url("/approval")).await;
        assert_eq!(alice.text_of("h1").await, START_AGAIN);
        goes_back_to("/approval").await;
    }
    let codes = || -> Vec<String> {
        let targets = site.requests().into_iter().map(|request| request.target);
        targets.filter(|target| target.contains("code=")).collect()
    };
    assert_eq!(codes().len(), 1, "{:?}", codes());
    // Further back is the authorization request, which is repeated by a signed-in person with consent.
    alice.driver.back().await.unwrap();
    alice.waits_for_url(&callback).await;
    assert_eq!(alice.text_of("h1").await, "Arrived");
    assert!(codes().len() == 2 && codes()[0] != codes()[1], "{:?}", codes());
}

#[tokio::test]
async fn browser_of_mallory_cannot_use_alices_callback_url() {
    if Need::Browser.is_missing() {
        return;
    }
    let server = server().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let callback = callback_url(&mut alice, &app.auth_request("openid").url).await;

    let mallory = Chromium::with(Display::DESKTOP).await;
    mallory.opens(&callback).await;
    assert_eq!(mallory.text_of("h1").await, START_AGAIN);
    // The same with a pending login of his own.
    mallory.opens(&app.auth_request("openid").url).await;
    mallory.sees("#connector-corp").await;
    mallory.opens(&callback).await;
    assert_eq!(mallory.text_of("h1").await, START_AGAIN);
    mallory.opens(server.url("/")).await;
    assert_eq!(mallory.text_of("h1").await, "You are not signed in");

    // Alice can still complete her login; then the URL cannot be used again.
    let screen = Chromium::with(Display::DESKTOP).await;
    screen.opens(server.url("/")).await;
    for kept in alice.cookies() {
        let mut cookie = Cookie::new(&kept.name, &kept.value);
        cookie.set_path(&kept.path);
        cookie.set_http_only(true);
        screen.driver.add_cookie(cookie).await.unwrap();
    }
    screen.opens(&callback).await;
    screen.sees("button[value=approve]").await;
    screen.opens(&callback).await;
    assert_eq!(screen.text_of("h1").await, START_AGAIN);
}
