//! What Alice agrees to, and for how long that counts (design.md 2 and 6; dex.md 2.6).

use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Client, Server, World};

fn asks_for_consent(browser: &Browser) -> bool {
    browser.page().form_with("approval").is_some()
}

/// Opens a request in a browser that is signed in; true if a page asks for consent.
async fn is_asked(
    browser: &mut Browser,
    server: &Server,
    scope: &str,
    more: &[(&str, &str)],
) -> bool {
    browser.opens(server.relying_party("example-app").auth_request_with(scope, more).url).await;
    let asked = asks_for_consent(browser);
    assert_eq!(browser.page().location().is_none(), asked, "{}", browser.page().text());
    asked
}

async fn alice_agreed(server: &Server, scope: &str) -> Browser {
    let mut alice = server.browser();
    let request = server.relying_party("example-app").auth_request(scope);
    alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    alice
}

#[tokio::test]
async fn the_page_says_who_asks_for_what_about_whom() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let scope = "openid email groups offline_access";
    alice.opens(server.relying_party("example-app").auth_request(scope).url).await;
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let text = page.text();
    for told in ["The example-app", "example-app.example.com", ALICE, "admins", "developers"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(page.title().contains("The example-app"), "{}", page.title());
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    // Without the scope her groups are not shown as told.
    let mut alice = server.browser();
    alice.opens(server.relying_party("example-app").auth_request("openid").url).await;
    let text = alice.signs_in(ALICE, ALICE_PASSWORD).await.text();
    assert!(!text.contains("developers"), "{text}");
}

/// A 8; RUSTSEC-2024-0421: a host that would look like another one is shown as it is spelled.
#[tokio::test]
async fn a_host_of_foreign_letters_is_shown_in_its_plain_spelling() {
    let twin = "https://xn--exmple-app-r7i.example.com/callback";
    let server = World::new().client(Client::new("twin").redirects_to(&[twin])).start().await;
    let mut alice = server.browser();
    alice.opens(server.relying_party("twin").auth_request("openid").url).await;
    let text = alice.signs_in(ALICE, ALICE_PASSWORD).await.text();
    assert!(text.contains("xn--exmple-app-r7i.example.com"), "{text}");
}

#[tokio::test]
async fn a_yes_is_remembered_for_what_it_was_said_to() {
    let server = World::new().client(Client::new("wiki")).start().await;
    let mut alice = alice_agreed(&server, "openid email groups").await;
    assert!(!is_asked(&mut alice, &server, "openid email groups", &[]).await);
    assert!(!is_asked(&mut alice, &server, "groups openid", &[]).await, "less than she agreed to");
    assert!(!is_asked(&mut alice, &server, "openid", &[]).await);
    assert!(is_asked(&mut alice, &server, "openid email groups profile", &[]).await);
    assert!(is_asked(&mut alice, &server, "openid offline_access", &[]).await);
    // It is hers, for this application, on whatever computer.
    alice.opens(server.relying_party("wiki").auth_request("openid").url).await;
    assert!(asks_for_consent(&alice), "{}", alice.page().text());
    let mut elsewhere = server.browser();
    elsewhere.opens(server.relying_party("example-app").auth_request("openid email").url).await;
    elsewhere.signs_in(ALICE, ALICE_PASSWORD).await;
    elsewhere.auth_response();
    let mut bob = server.browser();
    bob.opens(server.relying_party("example-app").auth_request("openid").url).await;
    bob.signs_in(BOB, BOB_PASSWORD).await;
    assert!(asks_for_consent(&bob), "{}", bob.page().text());
}

#[tokio::test]
async fn a_no_is_told_and_not_remembered_as_a_yes() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid");
    alice.opens(&request.url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.rejects().await;
    assert_eq!(alice.auth_error(), "access_denied");
    let location = alice.page().location().unwrap();
    assert!(location.query_pairs().any(|(k, v)| k == "state" && v == request.state), "{location}");
    assert!(location.query_pairs().all(|(k, _)| k != "code"), "{location}");
    assert!(is_asked(&mut alice, &server, "openid", &[]).await);
}

/// OpenID Connect Core 3.1.2.1, and Dex's older word for it.
#[tokio::test]
async fn an_application_may_ask_to_ask_again() {
    for yaml in ["", "oauth2:\n  skipApprovalScreen: true"] {
        let server = World::new().with(yaml).start().await;
        let mut alice = alice_agreed(&server, "openid email").await;
        for more in [("prompt", "consent"), ("approval_prompt", "force")] {
            assert!(is_asked(&mut alice, &server, "openid", &[more]).await, "{yaml}: {more:?}");
            alice.approves().await;
            alice.auth_response();
        }
        assert!(!is_asked(&mut alice, &server, "openid", &[("approval_prompt", "auto")]).await);
        assert!(!is_asked(&mut alice, &server, "openid", &[("prompt", "none")]).await);
    }
}

#[tokio::test]
async fn nobody_is_asked_where_the_administrator_said_so() {
    let server = World::new().with("oauth2:\n  skipApprovalScreen: true").start().await;
    let mut alice = server.browser();
    let app = server.relying_party("example-app");
    alice.opens(app.auth_request("openid email groups offline_access").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.auth_response();
}

/// What one application may tell another is a thing of its own to agree to.
#[tokio::test]
async fn another_audience_is_another_question() {
    let peer = Client::new("kubernetes").with("trustedPeers: [example-app]");
    let server = World::new().client(peer).start().await;
    let mut alice = alice_agreed(&server, "openid").await;
    let wider = "openid audience:server:client_id:kubernetes";
    assert!(is_asked(&mut alice, &server, wider, &[]).await);
    assert!(alice.page().text().contains("The kubernetes"), "{}", alice.page().text());
}

/// A restart forgets no decision: it is in the database.
#[tokio::test]
async fn a_yes_outlives_the_process() {
    let mut server = World::new().start().await;
    let mut alice = alice_agreed(&server, "openid email").await;
    server.kill();
    server.restart().await;
    assert!(!is_asked(&mut alice, &server, "openid email", &[]).await);
}
