//! The redirect way in: to an upstream and back, with two tabs, the back button, and somebody else's
//! address (design.md, promise 2; CVE-2023-27490 and its kin).
//!
//! The upstream is `mockCallback`: it sends everybody back at once, so a browser without a screen is
//! used where a test has to stop on the way.

use reqwest::Url;
use thirtyfour::Cookie;

use crate::world::{Browser, Chromium, Client, Display, Need, OtherOrigin, Server, World};

const UPSTREAM: &str = "connectors:\n- type: mockCallback\n  id: corp\n  name: Upstream";
const START_AGAIN: &str = "Please start again";

async fn server() -> Server {
    World::new().client(Client::new("wiki")).with(UPSTREAM).start().await
}

/// Where the upstream would send this browser back to. It has left, and has not come back.
async fn leaves_for_the_upstream(browser: &mut Browser, url: &str) -> Url {
    browser.opens(url).await;
    let link = browser.page().link("Upstream").expect("a choice");
    let response = browser.get(link).await;
    let callback = response.location().expect("off to the upstream");
    assert!(callback.path().ends_with("/callback"), "{callback}");
    callback
}

fn told(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.expect("it is told").1.into_owned()
}

fn is_start_again(browser: &Browser) {
    let page = browser.page();
    assert_eq!((page.status, page.location()), (400, None), "{}", page.text());
    assert_eq!(page.all("h1"), [START_AGAIN]);
    assert_eq!(page.all("#reference").len(), 1, "something to tell an administrator");
}

#[tokio::test]
async fn two_trips_to_the_upstream_come_back_in_any_order() {
    let server = server().await;
    let (app, wiki) = (server.relying_party("example-app"), server.relying_party("wiki"));
    let mut alice = server.browser();
    let (first, second) = (app.auth_request("openid email"), wiki.auth_request("openid"));
    let back_to_first = leaves_for_the_upstream(&mut alice, &first.url).await;
    let back_to_second = leaves_for_the_upstream(&mut alice, &second.url).await;

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

/// A `state` is good once: not from the history, and not from a log in which it was left.
#[tokio::test]
async fn a_finished_trip_does_not_finish_again() {
    let server = server().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let callback = leaves_for_the_upstream(&mut alice, &app.auth_request("openid").url).await;
    let kept = alice.cookies().to_vec();
    alice.opens(&callback).await;
    alice.approves().await;
    alice.auth_response();

    alice.opens(&callback).await;
    is_start_again(&alice);
    let trip = |name: &str| name.contains("-cb-");
    assert!(kept.iter().any(|cookie| trip(&cookie.name)), "{kept:?}");
    assert!(!alice.cookies().iter().any(|cookie| trip(&cookie.name)), "nothing is left of it");
}

#[tokio::test]
async fn a_trip_comes_back_with_its_own_state_and_its_own_code_only() {
    let server = server().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let other = leaves_for_the_upstream(&mut alice, &request.url).await;
    let with = |state: &str, code: &str| {
        let query = [("state", state), ("code", code)];
        Url::parse_with_params(&server.url("/callback"), query).unwrap()
    };

    // A state nobody made, and none.
    alice.opens(with("A".repeat(32).as_str(), &told(&other, "code"))).await;
    is_start_again(&alice);
    alice.opens(server.url("/callback")).await;
    is_start_again(&alice);
    // The code of another trip of the same browser: injected (RFC 9700 section 4.5).
    let own = leaves_for_the_upstream(&mut alice, &request.url).await;
    alice.opens(with(&told(&own, "state"), &told(&other, "code"))).await;
    assert_eq!((alice.page().status, alice.page().location()), (403, None));
    alice.opens(&own).await;
    is_start_again(&alice);
    // None of it was in the way of the first one.
    alice.opens(&other).await;
    alice.approves().await;
    alice.auth_response();
}

/// Login CSRF (RFC 6749 section 10.12): the address is Mallory's, the browser is Alice's.
#[tokio::test]
async fn alice_is_not_signed_in_as_mallory_by_an_address_he_sends_her() {
    let server = server().await;
    let app = server.relying_party("example-app");
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let his = leaves_for_the_upstream(&mut mallory, &app.auth_request("openid").url).await;
    let hers = leaves_for_the_upstream(&mut alice, &app.auth_request("openid").url).await;

    alice.opens(&his).await;
    is_start_again(&alice);
    alice.opens(server.url("/")).await;
    assert!(alice.page().text().contains("You are not signed in"), "{}", alice.page().text());
    // Her own login is as it was, and so is his.
    alice.opens(&hers).await;
    alice.approves().await;
    alice.auth_response();
    // (To this upstream everybody is the same person, who has agreed by now.)
    mallory.opens(&his).await;
    mallory.auth_response();
}

#[tokio::test]
async fn browser_with_two_tabs_finishes_a_login_in_each() {
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

    // In each she gets as far as the question before she answers the first.
    for tab in [&one, &two] {
        alice.driver.switch_to_window(tab.clone()).await.unwrap();
        alice.presses("#connector-corp").await;
        alice.sees("button[value=approve]").await;
    }
    for (tab, callback, request) in [(&one, &app_callback, &first), (&two, &wiki_callback, &second)]
    {
        alice.driver.switch_to_window(tab.clone()).await.unwrap();
        alice.approves().await;
        // The other tab has signed in since the first was asked, and renewed what binds logins to this
        // browser: the first is asked again, and not sent away.
        if tab == &one {
            alice.waits_for_url(&server.url("/approval")).await;
            alice.approves().await;
        }
        let url = alice.waits_for_url(callback).await;
        assert!(url.contains(&format!("state={}", request.state)), "{url}");
    }
    for site in &sites {
        let codes = site.requests().iter().filter(|heard| heard.target.contains("code=")).count();
        assert_eq!(codes, 1);
    }
}

#[tokio::test]
async fn browser_with_the_back_button_does_not_finish_twice() {
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
        ("code", &told(&arrived, "code")),
        ("redirect_uri", &callback),
        ("code_verifier", &request.verifier),
    ];
    assert_eq!(app.exchange(&fields).await.status, 200, "the application took it");

    let goes_back_to = async |path: &str| {
        alice.driver.back().await.unwrap();
        alice.waits_for_url(&server.url(path)).await;
    };
    goes_back_to("/continue").await;
    // Kept pages come back as they were, with their button; others are asked for again.
    if alice.text_of("h1").await != START_AGAIN {
        alice.approves().await;
        alice.waits_for_url(&server.url("/approval")).await;
        assert_eq!(alice.text_of("h1").await, START_AGAIN);
        goes_back_to("/continue").await;
    }
    let codes = || -> Vec<String> {
        let heard = site.requests().into_iter().map(|heard| heard.target);
        heard.filter(|target| target.contains("code=")).collect()
    };
    assert_eq!(codes().len(), 1, "{:?}", codes());
    // Further back is the request itself. It is made anew, by somebody who is signed in and has agreed.
    alice.driver.back().await.unwrap();
    alice.waits_for_url(&callback).await;
    assert_eq!(alice.text_of("h1").await, "Arrived");
    assert!(codes().len() == 2 && codes()[0] != codes()[1], "{:?}", codes());
}

#[tokio::test]
async fn browser_of_mallory_does_nothing_with_the_address_alice_comes_back_to() {
    if Need::Browser.is_missing() {
        return;
    }
    let server = server().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let callback = leaves_for_the_upstream(&mut alice, &app.auth_request("openid").url).await;

    let mallory = Chromium::with(Display::DESKTOP).await;
    mallory.opens(&callback).await;
    assert_eq!(mallory.text_of("h1").await, START_AGAIN);
    // Also not with a login of his own under way.
    mallory.opens(&app.auth_request("openid").url).await;
    mallory.sees("#connector-corp").await;
    mallory.opens(&callback).await;
    assert_eq!(mallory.text_of("h1").await, START_AGAIN);
    mallory.opens(server.url("/")).await;
    assert_eq!(mallory.text_of("h1").await, "You are not signed in");

    // He spoilt nothing: Alice, back with a screen, goes on. Then the address is worth nothing.
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
