//! Consent: what the approval page shows, and when it appears again.

use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Client, Server, World};

fn shows_approval_page(browser: &Browser) -> bool {
    browser.page().form_with("approval").is_some()
}

/// Opens a request in a signed-in browser; true if the approval page appears.
async fn requires_consent(
    browser: &mut Browser,
    server: &Server,
    scope: &str,
    more: &[(&str, &str)],
) -> bool {
    browser.opens(server.relying_party("example-app").auth_request_with(scope, more).url).await;
    let requested = shows_approval_page(browser);
    assert_eq!(browser.page().location().is_none(), requested, "{}", browser.page().text());
    requested
}

async fn alice_consented(server: &Server, scope: &str) -> Browser {
    let mut alice = server.browser();
    let request = server.relying_party("example-app").auth_request(scope);
    alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    alice
}

#[tokio::test]
async fn the_approval_page_shows_client_person_and_claims() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let scope = "openid email groups offline_access";
    alice.opens(server.relying_party("example-app").auth_request(scope).url).await;
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let text = page.text();
    for received in ["The example-app", "example-app.example.com", ALICE, "admins", "developers"] {
        assert!(text.contains(received), "{received}: {text}");
    }
    assert!(page.title().contains("The example-app"), "{}", page.title());
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    // Groups are shown only if the scope is requested.
    let mut alice = server.browser();
    alice.opens(server.relying_party("example-app").auth_request("openid").url).await;
    let text = alice.signs_in(ALICE, ALICE_PASSWORD).await.text();
    assert!(!text.contains("developers"), "{text}");
}

/// A 8; RUSTSEC-2024-0421: a look-alike host name is shown in its ASCII form.
#[tokio::test]
async fn an_internationalized_host_is_shown_in_punycode() {
    let lookalike = "https://xn--exmple-app-r7i.example.com/callback";
    let server = World::new().client(Client::new("twin").redirects_to(&[lookalike])).start().await;
    let mut alice = server.browser();
    alice.opens(server.relying_party("twin").auth_request("openid").url).await;
    let text = alice.signs_in(ALICE, ALICE_PASSWORD).await.text();
    assert!(text.contains("xn--exmple-app-r7i.example.com"), "{text}");
}

#[tokio::test]
async fn consent_covers_the_same_client_person_and_scopes_only() {
    let server = World::new().client(Client::new("wiki")).start().await;
    let mut alice = alice_consented(&server, "openid email groups").await;
    assert!(!requires_consent(&mut alice, &server, "openid email groups", &[]).await);
    assert!(!requires_consent(&mut alice, &server, "groups openid", &[]).await, "fewer scopes");
    assert!(!requires_consent(&mut alice, &server, "openid", &[]).await);
    assert!(requires_consent(&mut alice, &server, "openid email groups profile", &[]).await);
    assert!(requires_consent(&mut alice, &server, "openid offline_access", &[]).await);
    // Consent is stored for person and client, so it holds in other browsers.
    alice.opens(server.relying_party("wiki").auth_request("openid").url).await;
    assert!(shows_approval_page(&alice), "{}", alice.page().text());
    let mut other_browser = server.browser();
    other_browser.opens(server.relying_party("example-app").auth_request("openid email").url).await;
    other_browser.signs_in(ALICE, ALICE_PASSWORD).await;
    other_browser.auth_response();
    let mut bob = server.browser();
    bob.opens(server.relying_party("example-app").auth_request("openid").url).await;
    bob.signs_in(BOB, BOB_PASSWORD).await;
    assert!(shows_approval_page(&bob), "{}", bob.page().text());
}

#[tokio::test]
async fn a_rejection_is_sent_to_the_client_and_not_stored_as_consent() {
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
    assert!(requires_consent(&mut alice, &server, "openid", &[]).await);
}

/// OpenID Connect Core 3.1.2.1 `prompt=consent`, and Dex's `approval_prompt=force`.
#[tokio::test]
async fn a_client_can_require_the_approval_page() {
    for yaml in ["", "oauth2:\n  skipApprovalScreen: true"] {
        let server = World::new().with(yaml).start().await;
        let mut alice = alice_consented(&server, "openid email").await;
        for more in [("prompt", "consent"), ("approval_prompt", "force")] {
            assert!(
                requires_consent(&mut alice, &server, "openid", &[more]).await,
                "{yaml}: {more:?}"
            );
            alice.approves().await;
            alice.auth_response();
        }
        assert!(
            !requires_consent(&mut alice, &server, "openid", &[("approval_prompt", "auto")]).await
        );
        assert!(!requires_consent(&mut alice, &server, "openid", &[("prompt", "none")]).await);
    }
}

#[tokio::test]
async fn with_skip_approval_screen_no_approval_page_appears() {
    let server = World::new().with("oauth2:\n  skipApprovalScreen: true").start().await;
    let mut alice = server.browser();
    let app = server.relying_party("example-app");
    alice.opens(app.auth_request("openid email groups offline_access").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.auth_response();
}

/// Issue 9, item 24: RFC 8252 section 8.6 would show the page each time. Here PKCE is required, so that another program at
/// that address cannot use the code (docs/dex.md).
#[tokio::test]
async fn consent_of_a_public_client_at_a_loopback_address_is_remembered() {
    let server = World::new().client(Client::public("cli")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("cli"));
    alice.opens(app.auth_request("openid").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert!(shows_approval_page(&alice));
    alice.approves().await;
    alice.auth_response();
    alice.opens(app.auth_request("openid").url).await;
    alice.auth_response();
}

/// A further audience needs consent of its own.
#[tokio::test]
async fn another_audience_requires_consent() {
    let peer = Client::new("kubernetes").with("trustedPeers: [example-app]");
    let server = World::new().client(peer).start().await;
    let mut alice = alice_consented(&server, "openid").await;
    let wider = "openid audience:server:client_id:kubernetes";
    assert!(requires_consent(&mut alice, &server, wider, &[]).await);
    assert!(alice.page().text().contains("The kubernetes"), "{}", alice.page().text());
}

/// Consent is stored in the database.
#[tokio::test]
async fn consent_survives_a_restart() {
    let mut server = World::new().start().await;
    let mut alice = alice_consented(&server, "openid email").await;
    server.kill();
    server.restart().await;
    assert!(!requires_consent(&mut alice, &server, "openid email", &[]).await);
}
