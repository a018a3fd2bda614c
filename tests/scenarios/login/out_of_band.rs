//! Codes shown for copying by hand (`urn:ietf:wg:oauth:2.0:oob`), for programs that a browser cannot redirect
//! to (threat A 6).

use std::time::Duration;

use crate::world::{ALICE, ALICE_PASSWORD, AuthRequest, Browser, Client, Need, Server, World};

const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

fn world(base: World) -> World {
    base.client(Client::public("cli")).with("oauth2:\n  skipApprovalScreen: true")
}

async fn shown_code(server: &Server) -> (Browser, AuthRequest, String) {
    let (mut alice, cli) = (server.browser(), server.relying_party("cli"));
    let request = cli.auth_request_with("openid offline_access", &[("redirect_uri", OUT_OF_BAND)]);
    alice.opens(&request.url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    let code = alice.page().attributes("#code", "value").pop().expect("a code is shown");
    (alice, request, code)
}

async fn status_for(server: &Server, request: &AuthRequest, code: &str, uri: &str) -> u16 {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", uri),
        ("code_verifier", request.verifier.as_str()),
    ];
    server.relying_party("cli").exchange(&fields).await.status
}

#[tokio::test]
async fn alice_copies_the_code_from_a_page() {
    let server = world(World::new()).start().await;
    let (alice, request, code) = shown_code(&server).await;
    let page = alice.page();
    assert_eq!(page.status, 200);
    assert!(page.location().is_none() && page.forms().is_empty());
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(!page.url.as_str().contains(&code), "not in the browser's history");
    assert!(page.text().contains("The cli"), "{}", page.text());
    server.assert_no_secret_in_log(&[&code]);
    assert_eq!(status_for(&server, &request, &code, "http://127.0.0.1:8000/callback").await, 400);
    assert_eq!(status_for(&server, &request, &code, OUT_OF_BAND).await, 200);
    assert_eq!(status_for(&server, &request, &code, OUT_OF_BAND).await, 400);
}

/// The code is valid for longer than usual, because a person copies it.
#[tokio::test]
async fn an_out_of_band_code_lives_ten_minutes() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = world(World::with_clock()).start().await;
    let (_, request, code) = shown_code(&server).await;
    server.advance(Duration::from_mins(9));
    assert_eq!(status_for(&server, &request, &code, OUT_OF_BAND).await, 200);
    let (_, request, code) = shown_code(&server).await;
    server.advance(Duration::from_secs(10 * 60 + 2));
    assert_eq!(status_for(&server, &request, &code, OUT_OF_BAND).await, 400);
}

/// Phishing asks people for such codes, so the approval page always appears and names the client.
#[tokio::test]
async fn no_code_is_shown_without_the_approval_page() {
    let server = world(World::new()).start().await;
    let (mut alice, _, _) = shown_code(&server).await;
    let cli = server.relying_party("cli");
    let page =
        alice.opens(cli.auth_request_with("openid", &[("redirect_uri", OUT_OF_BAND)]).url).await;
    assert!(page.form_with("approval").is_some(), "{}", page.text());
    assert!(page.attributes("#code", "value").is_empty(), "{}", page.body);
    let silent = [("redirect_uri", OUT_OF_BAND), ("prompt", "none")];
    let page = alice.get(cli.auth_request_with("openid", &silent).url).await;
    assert!((400..500).contains(&page.status), "{}", page.status);
    assert!(page.attributes("#code", "value").is_empty(), "{}", page.body);
}

/// There is no redirect URI to send an error to.
#[tokio::test]
async fn an_out_of_band_error_is_a_page() {
    let server = world(World::new()).start().await;
    let cli = server.relying_party("cli");
    for more in [("prompt", "none"), ("response_type", "token"), ("scope", "email")] {
        let url = cli.auth_request_with("openid", &[("redirect_uri", OUT_OF_BAND), more]).url;
        let page = server.browser().get(url).await;
        assert!((400..500).contains(&page.status), "{more:?}: {}", page.status);
        assert!(page.location().is_none() && page.all("h1").len() == 1, "{}", page.text());
    }
    // form_post is not possible either.
    let more = [("redirect_uri", OUT_OF_BAND), ("response_mode", "form_post")];
    let page = server.browser().get(cli.auth_request_with("openid", &more).url).await;
    assert!((400..500).contains(&page.status) && page.forms().is_empty(), "{}", page.body);
}
