//! Signing in to Countersign's own pages, without a client (threats D 60, 61, 66): the same steps as every
//! login, and back to the requested page.

use std::time::Duration;

use reqwest::Url;

use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, Browser, Client, Page, RelyingParty, Server, World,
};

const OURS: &str = "countersign-own-pages";

fn sign_in(server: &Server, to: &str, more: &str) -> String {
    let to = Url::parse_with_params("http://x/", [("to", to)]).unwrap();
    server.url(&format!("/sign-in?{}{more}", to.query().unwrap()))
}

fn shows_password_form(page: &Page) -> bool {
    page.form_with("password").is_some()
}

/// The value of the session cookie.
fn cookie(browser: &Browser) -> String {
    let found = browser.cookies().iter().find(|cookie| cookie.name.ends_with("-session"));
    found.map(|cookie| cookie.value.clone()).unwrap_or_default()
}

#[tokio::test]
async fn alice_signs_in_to_her_account_page_without_a_client() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let page = alice.opens(server.url("/")).await;
    assert!(page.text().contains("You are not signed in"), "{}", page.text());
    let page = alice.clicks("Sign in").await;
    assert!(page.title().starts_with("Sign in to Countersign"), "{}", page.title());
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!((page.status, page.url.path()), (200, "/dex/"), "no approval page");
    assert_eq!(page.url.query(), None, "no code in a URL");
    for shown in [ALICE, "You are signed in", "developers", "From Email"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
}

/// A session from either side serves both.
#[tokio::test]
async fn one_session_serves_the_account_pages_and_clients() {
    let skip = "oauth2:\n  skipApprovalScreen: true";
    let server = World::new().with(skip).start().await;
    let (mut alice, mut again) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.opens(sign_in(&server, "/", "")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let request = app.auth_request("openid groups");
    alice.opens(&request.url).await;
    assert_eq!(app.redeems(&request, &alice.auth_response()).await.status, 200);

    again.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    let page = again.opens(sign_in(&server, "/sessions?page=0", "")).await;
    assert_eq!(page.url.as_str(), server.url("/sessions?page=0"), "{}", page.text());
}

/// Threat 66: open redirects.
#[tokio::test]
async fn an_external_return_path_leads_to_the_start_page() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    alice.opens(sign_in(&server, "/", "")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    for evil in [
        "//evil.example.com",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "/\t/evil.example.com",
        "/%09/evil.example.com",
        "/%2fevil.example.com",
        "/..//evil.example.com",
        "/../../evil",
        "https:evil.example.com",
        "https://evil.example.com/",
        "javascript:alert(1)",
        "/sessions\r\nSet-Cookie: a=b",
        "/@evil.example.com/../..",
        "",
    ] {
        let response = alice.get(sign_in(&server, evil, "")).await;
        assert_eq!(response.location().unwrap().as_str(), server.url("/"), "{evil:?}");
    }
    let twice = alice.get(server.url("/sign-in?to=/sessions&to=/groups")).await;
    assert_eq!(twice.location().unwrap().as_str(), server.url("/"));
    // The same when a login comes first.
    let mut bob = server.browser();
    bob.opens(sign_in(&server, "//evil.example.com", "")).await;
    let page = bob.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(page.url.as_str(), server.url("/"));
}

/// Pages that change something require a recent authentication, once.
#[tokio::test]
async fn a_fresh_login_is_required_once_and_replaces_the_cookie() {
    let server = World::with_clock().start().await;
    let mut alice = server.browser();
    alice.opens(sign_in(&server, "/", "")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let before = cookie(&alice);
    server.advance(Duration::from_hours(3));
    let page = alice.opens(server.url("/")).await;
    assert!(page.text().contains("Signed in 3 hours ago"), "{}", page.text());

    let page = alice.opens(sign_in(&server, "/", "&fresh=1")).await;
    assert!(shows_password_form(page), "{}", page.text());
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(page.url.as_str(), server.url("/"), "{}", page.text());
    assert!(page.text().contains("Signed in now"), "{}", page.text());
    assert_eq!(page.all(".places > li").len(), 1, "the same sign-in: {}", page.text());
    assert!(!before.is_empty() && cookie(&alice) != before, "threat 60");
}

/// The internal client id of our pages cannot be used from outside.
#[tokio::test]
async fn the_client_id_of_the_account_pages_is_refused_from_outside() {
    let server = World::new().client(Client::new("wiki")).start().await;
    let mut alice = server.browser();
    alice.opens(sign_in(&server, "/", "")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let app = server.relying_party("example-app");
    for redirect in ["", "http://127.0.0.1:8000/callback", "urn:ietf:wg:oauth:2.0:oob", "/"] {
        let parameters = [("client_id", OURS), ("redirect_uri", redirect)];
        let page = alice.get(app.auth_request_with("openid", &parameters).url).await;
        assert_eq!((page.status, page.location()), (400, None), "{redirect}: {}", page.text());
    }
    let peer = app.auth_request(&format!("openid audience:server:client_id:{OURS}"));
    alice.opens(&peer.url).await;
    assert_eq!(alice.auth_error(), "invalid_scope");
    for secret in [None, Some(""), Some("guess")] {
        let fields = [("grant_type", "client_credentials"), ("client_id", OURS)];
        let fields: Vec<_> =
            fields.into_iter().chain(secret.map(|secret| ("client_secret", secret))).collect();
        let response = alice.post_form(server.url("/token"), &fields).await;
        assert_eq!(response.status, 401, "{secret:?}: {}", response.body);
        assert!(response.body.contains("invalid_client"), "{}", response.body);
    }
    let output = World::new().client(Client::new(OURS)).refuses_to_start().await;
    assert!(output.contains("is what our own pages are called"), "{output}");
}

/// The pending login of our pages is refused at other steps and in other browsers.
#[tokio::test]
async fn a_login_to_the_account_pages_issues_no_code_at_any_step() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let form = alice.opens(sign_in(&server, "/sessions", "")).await.form_with("password").unwrap();
    let form = form.fill("login", ALICE).fill("password", ALICE_PASSWORD);
    let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let next = alice.post_form(&form.action, &fields).await.location().unwrap();
    let (_, req) = next.query_pairs().find(|(name, _)| name == "req").unwrap();
    for approval in ["approve", "rejected", "switch"] {
        let fields = [("req", &*req), ("approval", approval)];
        let response = alice.post_form(server.url("/approval"), &fields).await;
        let to = response.location().unwrap();
        assert_eq!(to.as_str(), server.url("/sessions"), "{approval}");
    }
    // Another browser cannot open it.
    let mut mallory = server.browser();
    mallory.opens(server.url("/sign-in?to=/")).await;
    let stolen = mallory.get(next.as_str()).await;
    assert_eq!(stolen.status, 400, "{}", stolen.text());
    assert_eq!(cookie(&mallory), "");
}

/// The account pages require a login and return to the requested page.
#[tokio::test]
async fn account_pages_redirect_to_the_login_and_back() {
    let server = World::new().start().await;
    for path in ["/sessions", "/groups"] {
        let mut alice = server.browser();
        let page = alice.opens(server.url(path)).await;
        assert!(shows_password_form(page), "{path}: {}", page.text());
        let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
        assert_eq!(page.url.as_str(), server.url(path));
    }
}

/// The session of a login without the scope `groups` has no groups to show.
#[tokio::test]
async fn groups_not_requested_at_login_are_requested_from_the_account_page() {
    let upstream = "connectors:\n- type: mockCallback\n  id: corp\n  name: Example Corp\n\
                    oauth2:\n  skipApprovalScreen: true";
    let world = World::empty().client(Client::new("example-app"));
    let server = world.with(upstream).start().await;
    let (mut user, app): (Browser, RelyingParty) =
        (server.browser(), server.relying_party("example-app"));
    let request: AuthRequest = app.auth_request("openid email");
    user.opens(&request.url).await;
    user.auth_response();
    let page = user.opens(server.url("/")).await;
    assert!(page.text().contains("did not ask for your groups"), "{}", page.text());
    assert!(!page.text().contains("authors"), "{}", page.text());
    let page = user.clicks("Sign in again to see them").await;
    assert_eq!(page.url.as_str(), server.url("/"));
    assert!(page.text().contains("authors"), "{}", page.text());
}
