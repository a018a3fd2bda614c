//! Authorization responses: a 303 redirect with the client's own `state`, with `iss`, and nothing for third
//! parties (threats A 11-13 and 15-20).

use std::io::{Read, Write};

use crate::world::{ALICE, ALICE_PASSWORD, Browser, Client, Page, RelyingParty, World, claims};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const OTHERS: &str = "connectors:\n- type: mockCallback\n  id: mock\n  name: Mock\n";

/// The parameters of a redirect, in order.
fn response_parameters(page: &Page) -> Vec<(String, String)> {
    let location = page.location().unwrap_or_else(|| panic!("no redirect: {page:?}"));
    location.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
}

fn response_parameter(page: &Page, name: &str) -> Option<String> {
    let mut values =
        response_parameters(page).into_iter().filter(|(key, _)| key == name).map(|(_, v)| v);
    let value = values.next();
    assert!(values.next().is_none(), "{name} is repeated: {page:?}");
    value
}

/// Nobody is signed in and no page may be shown, so the response is an error.
async fn error_for(browser: &mut Browser, app: &RelyingParty, state: &str) -> Page {
    browser.get(app.auth_request_with("openid", &[("prompt", "none"), ("state", state)]).url).await
}

/// A 20; RFC 9207.
#[tokio::test]
async fn every_response_has_the_iss_of_discovery() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    assert_eq!(discovery["authorization_response_iss_parameter_supported"], true);
    let issuer = discovery["issuer"].as_str().unwrap();

    let refused = error_for(&mut alice, &app, "s").await;
    assert_eq!(response_parameter(&refused, "iss").as_deref(), Some(issuer));
    let malformed =
        alice.get(app.auth_request_with("openid", &[("response_type", "token")]).url).await;
    assert_eq!(response_parameter(&malformed, "iss").as_deref(), Some(issuer));
    let auth_response = alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    assert_eq!(auth_response.iss.as_deref(), Some(issuer));
}

/// A 15; RFC 9700 section 4.12: after a 307 the browser would post the password to the client.
#[tokio::test]
async fn a_post_is_always_answered_with_303() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let url = reqwest::Url::parse(&request.url).unwrap();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let fields: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let posted = alice.post_form(server.url("/auth"), &fields).await;
    assert_eq!(posted.status, 303);
    alice.follow(posted).await;

    let form = alice.page().form_with("password").unwrap();
    let form = form.fill("login", ALICE).fill("password", ALICE_PASSWORD);
    let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let proven = alice.post_form(&form.action, &fields).await;
    assert_eq!(proven.status, 303, "{}", proven.text());
    alice.follow(proven).await;
    let page = alice.approves().await;
    assert_eq!((page.status, page.header("cache-control")), (303, Some("no-store")));
    assert_eq!(app.redeems(&request, &alice.auth_response()).await.status, 200);
}

/// A 16: browsers keep a fragment over redirects until one has its own, even an empty one, so the upstream's
/// fragment must not reach the client.
#[tokio::test]
async fn the_fragment_of_an_upstream_does_not_reach_the_client() {
    let server = World::new().with(OTHERS).with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for connector in ["local", "mock"] {
        alice.forgets_cookies();
        let url = app.auth_request_with("openid", &[("connector_id", connector)]).url;
        let mut response = alice.get(url).await;
        let mut fragment = Some("_=_".to_owned());
        while let Some(next) = response.location() {
            let own = next.fragment().map(str::to_owned);
            fragment = own.or(fragment);
            if next.as_str().starts_with(&app.redirect_uri) {
                break;
            }
            response = alice.get(&next).await;
            if let Some(form) = response.form_with("password") {
                let form = form.fill("login", ALICE).fill("password", ALICE_PASSWORD);
                let fields: Vec<_> =
                    form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                response = alice.post_form(&form.action, &fields).await;
            }
        }
        assert_eq!(fragment.as_deref(), Some(""), "{connector}: {response:?}");
    }
}

/// A 17: a state cannot inject headers or parameters.
#[tokio::test]
async fn the_state_is_returned_unchanged() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for state in [
        "a\r\nSet-Cookie: planted=1\r\n\r\n<script>alert(1)</script>",
        "\n\nx-planted: 1",
        "nul\0nul",
        "line\u{2028}separator\u{2029}",
        "caf\u{e9} \u{1f980} \u{202e}",
        "&code=planted&iss=https://evil.example#code=planted",
        "100%25 %0d%0a +plus+ %zz",
        " both ends ",
        "\"quoted\\\"",
    ] {
        let page = error_for(&mut alice, &app, state).await;
        assert_eq!(page.status, 303, "{state:?}: {}", page.text());
        assert_eq!(page.headers.get_all("location").iter().count(), 1);
        assert_eq!(response_parameter(&page, "state").as_deref(), Some(state));
        // NUL is refused, since PostgreSQL cannot store it.
        let error = if state.contains('\0') { "invalid_request" } else { "login_required" };
        assert_eq!(response_parameter(&page, "error").as_deref(), Some(error));
        assert_eq!(response_parameter(&page, "code"), None);
        assert!(page.header("x-planted").is_none() && page.header("set-cookie").is_none());
        assert!(page.location().unwrap().fragment().is_none());
    }
    // An empty state is returned empty, a missing one is not returned.
    let url = app.auth_request_with("openid", &[("prompt", "none"), ("state", "")]).url;
    assert_eq!(response_parameter(&alice.get(&url).await, "state"), None);
    let page = alice.get(format!("{url}&state=")).await;
    assert_eq!(response_parameter(&page, "state").as_deref(), Some(""));
}

/// A 17: the same for the nonce, which is stored between `/auth` and `/token`.
#[tokio::test]
async fn the_nonce_is_returned_unchanged_or_refused() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    for nonce in ["a\r\nb", "\u{2028}", "\u{1f980}\"\\", "' OR 1=1 --", "nul\0nul"] {
        let request = app.auth_request_with("openid", &[("nonce", nonce)]);
        alice.opens(&request.url).await;
        if nonce.contains('\0') {
            assert_eq!(alice.auth_error(), "invalid_request");
            continue;
        }
        let response = app.redeems(&request, &alice.auth_response()).await;
        assert_eq!(response.status, 200, "{nonce:?}: {}", response.page.body);
        assert_eq!(claims(response.id_token())["nonce"], nonce);
    }
}

/// A 18: through the password form, the approval page and an upstream login.
#[tokio::test]
async fn a_state_of_two_kilobytes_is_returned() {
    let server = World::new().with(OTHERS).start().await;
    let app = server.relying_party("example-app");
    for (connector, letter) in [("local", "s"), ("mock", "s"), ("local", "\""), ("mock", "\"")] {
        let mut alice = server.browser();
        let state = letter.repeat(2048);
        let request =
            app.auth_request_with("openid", &[("connector_id", connector), ("state", &state)]);
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        assert_eq!(auth_response.state.as_deref(), Some(state.as_str()), "{connector}");
    }
}

/// A 18: larger requests are refused, not truncated.
#[tokio::test]
async fn more_than_three_kilobytes_of_parameters_are_refused() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for size in [3 * 1024, 8 * 1024] {
        let state = "s".repeat(size);
        let page = alice.get(app.auth_request_with("openid", &[("state", &state)]).url).await;
        assert_eq!(
            response_parameter(&page, "error").as_deref(),
            Some("invalid_request"),
            "{size}"
        );
        assert_eq!(response_parameter(&page, "state"), Some(state));
    }
    let long = "n".repeat(3 * 1024);
    for name in ["nonce", "login_hint", "unknown", "scope"] {
        let page = alice.get(app.auth_request_with("openid", &[(name, &long)]).url).await;
        assert_eq!(
            response_parameter(&page, "error").as_deref(),
            Some("invalid_request"),
            "{name}"
        );
    }
    // The same as a form.
    let state = "s".repeat(8 * 1024);
    let url =
        reqwest::Url::parse(&app.auth_request_with("openid", &[("state", &state)]).url).unwrap();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let fields: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let posted = alice.post_form(server.url("/auth"), &fields).await;
    let page = alice.follow(posted).await;
    assert_eq!(response_parameter(page, "error").as_deref(), Some("invalid_request"));
    assert_eq!(response_parameter(page, "state"), Some(state));
    // Unless the GET it becomes would be too long for the server.
    let state = ("state", "s".repeat(48 * 1024));
    let mut fields = fields;
    fields.retain(|(name, _)| *name != state.0);
    fields.push((state.0, &state.1));
    let page = alice.post_form(server.url("/auth"), &fields).await;
    assert!((400..500).contains(&page.status) && page.location().is_none(), "{}", page.status);
    assert!(alice.cookies().is_empty(), "no login was started");
}

/// A 18: a request above the size limit is not read to its end. The response may be lost with the connection;
/// the next request is served.
#[tokio::test]
async fn a_request_of_64_kilobytes_is_refused_early() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let url = app.auth_request_with("openid", &[("state", &"s".repeat(64 * 1024))]).url;
    let url = reqwest::Url::parse(&url).unwrap();
    let at = (url.host_str().unwrap(), url.port().unwrap());
    let mut stream = std::net::TcpStream::connect(at).unwrap();
    let query = url.query().unwrap();
    let request = format!("GET {}?{query} HTTP/1.1\r\nhost: {}\r\n\r\n", url.path(), at.0);
    stream.write_all(request.as_bytes()).ok();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).ok();
    let response = String::from_utf8_lossy(&response);
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 4"), "{response:.200}");
    assert_eq!(app.gets("/healthz").await.status, 200);
}

/// A 13; RFC 6749 section 4.1.2.1.
#[tokio::test]
async fn error_descriptions_contain_only_the_allowed_characters() {
    let server = World::new().with("oauth2:\n  strictScopes: true").start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let scope = "openid <script>\"alert(1)\\</script>\r\nx\u{2028}";
    let page = alice.get(app.auth_request_with(scope, &[]).url).await;
    assert_eq!(response_parameter(&page, "error").as_deref(), Some("invalid_scope"));
    // RFC 6749 section 4.1.2.1: no quotes, no backslashes, ASCII only.
    let output = response_parameter(&page, "error_description").unwrap();
    assert!(
        output.bytes().all(|b| matches!(b, 0x20..=0x7e) && !b"\"\\".contains(&b)),
        "{output:?}"
    );
}

/// A 19; RFC 9700 section 4.2: pages send no referrer and load nothing from other origins.
#[tokio::test]
async fn no_page_sends_a_referrer_or_loads_external_resources() {
    let server = World::new().client(Client::public("cli")).with(OTHERS).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let mut pages = vec![alice.opens(app.auth_request("openid").url).await.clone()];
    pages.push(alice.clicks("Email").await.clone());
    pages.push(alice.signs_in(ALICE, "not-the-password").await.clone());
    pages.push(alice.signs_in(ALICE, ALICE_PASSWORD).await.clone());
    pages.push(alice.approves().await.clone());
    pages.push(
        alice
            .opens(app.auth_request_with("openid", &[("redirect_uri", "https://x")]).url)
            .await
            .clone(),
    );
    pages.push(
        alice
            .opens(app.auth_request_with("openid", &[("response_mode", "form_post")]).url)
            .await
            .clone(),
    );
    let cli = server.relying_party("cli");
    let by_hand = cli.auth_request_with("openid", &[("redirect_uri", "urn:ietf:wg:oauth:2.0:oob")]);
    alice.opens(&by_hand.url).await;
    pages.push(alice.approves().await.clone());
    pages.push(alice.opens(server.url("/")).await.clone());
    let statuses: Vec<_> = pages.iter().map(|page| page.status).collect();
    assert_eq!(statuses, [200, 200, 401, 200, 303, 400, 200, 200, 200]);
    for page in &pages {
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{}", page.text());
        assert_eq!(page.header("cache-control"), Some("no-store"), "{}", page.text());
        for (element, link) in [("[src]", "src"), ("link", "href"), ("object", "data")] {
            for found in page.attributes(element, link) {
                assert!(found.starts_with("/dex/static/"), "{found} on {}", page.text());
            }
        }
    }
}
