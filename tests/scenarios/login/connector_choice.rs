//! The connector choice page: one button for each connector, with its provider's logo, the last used one
//! first, and a note at a connector that is down.

use crate::scenarios::connectors::ldap::connector;
use crate::world::{ALICE, ALICE_PASSWORD, Chromium, Display, Need, Page, World, slapd};

/// Further connectors of different types.
const MORE: &str = "- type: mockCallback\n  id: corp\n  name: Example Corp\n\
    - type: google\n  id: google\n  name: Sign in with Google\n  config:\n    \
    clientID: 1234.apps.googleusercontent.com\n    clientSecret: a-secret-for-google-1\n    \
    redirectURI: http://127.0.0.1:5556/dex/callback\n    timeout: 2s\n\
    - type: oidc\n  id: partner\n  name: Partners\n  config:\n    \
    issuer: http://127.0.0.1:9/nobody\n    clientID: countersign\n    \
    clientSecret: a-secret-for-partners-1\n    \
    redirectURI: http://127.0.0.1:5556/dex/callback\n    insecureEnableGroups: true\n";

fn connectors(directory: &slapd::Slapd) -> String {
    format!("{}{MORE}", connector(directory))
}

/// The texts of the buttons, top to bottom.
fn buttons(page: &Page) -> Vec<String> {
    page.all("a.way")
}

#[tokio::test]
async fn ldap_a_connector_that_is_down_is_marked_and_stays_selectable() {
    let Some(mut directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connectors(&directory)).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let note = "Not answering right now";
    let page = jane.opens(app.auth_request("openid").url).await;
    assert_eq!(
        buttons(page),
        ["Directory", "Email", "Example Corp", "Partners", "Sign in with Google"]
    );

    directory.stop();
    jane.clicks("Directory").await;
    assert_eq!(jane.signs_in("jane", slapd::PASSWORD).await.status, 503);
    let mut alice = server.browser();
    let page = alice.opens(app.auth_request("openid").url).await;
    let texts = buttons(page);
    assert!(texts[0].starts_with("Directory") && texts[0].ends_with(note), "{texts:?}");
    assert_eq!(texts.iter().filter(|button| button.contains(note)).count(), 1, "{texts:?}");
    let metrics = alice.get(format!("{}/metrics", server.telemetry())).await.body;
    assert!(metrics.contains("countersign_connector_up{connector=\"ldap\"} 0"), "{metrics}");
    assert!(metrics.contains("countersign_connector_up{connector=\"corp\"} 1"), "{metrics}");

    // The directory is up again: a login there succeeds and the note disappears.
    directory.start_again();
    alice.clicks("Directory").await;
    alice.signs_in("jane", slapd::PASSWORD).await;
    alice.approves().await;
    alice.auth_response();
    let page = jane.opens(app.auth_request("openid").url).await;
    assert!(!page.text().contains(note), "{}", page.text());
    let again = alice.opens(app.auth_request_with("openid", &[("prompt", "login")]).url).await;
    assert_eq!(buttons(again)[0], "Directory Last used", "the last used one is first");
}

/// An OpenID Connect provider whose discovery fails: a page names it and offers other connectors.
#[tokio::test]
async fn an_upstream_that_is_down_is_named_and_other_connectors_are_offered() {
    let only = MORE.split("- type: oidc").nth(1).unwrap();
    // Without `redirectURI`, which would not be this server's.
    let only = only.replace("    redirectURI: http://127.0.0.1:5556/dex/callback\n", "");
    let yaml = format!("connectors:\n- type: oidc{only}");
    let server = World::new().with(&yaml).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.opens(app.auth_request("openid").url).await;
    let page = alice.clicks("Partners").await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert_eq!(page.all(".chips li"), ["Partners"]);
    assert!(!page.body.contains("127.0.0.1:9"), "its address is not shown");
    assert_eq!(page.all("#reference").len(), 1);
    assert!(page.header("retry-after").is_some());

    let page = alice.clicks("Other ways to sign in").await;
    assert!(buttons(page)[1].starts_with("Partners Not answering"), "{:?}", buttons(page));
    alice.clicks("Email").await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    alice.auth_response();
}

async fn checks_the_choice_page(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let Some(mut directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connectors(&directory)).start().await;
    let app = server.relying_party("example-app");
    let alice = Chromium::with(look).await;
    // Alice used the mock connector once; the directory is down now.
    alice.opens(app.auth_request("openid").url).await;
    alice.presses("#connector-corp").await;
    alice.sees("button[name=approval]").await;
    directory.stop();
    let mut jane = server.browser();
    jane.opens(app.auth_request("openid").url).await;
    jane.clicks("Directory").await;
    jane.signs_in("jane", slapd::PASSWORD).await;

    alice.opens(app.auth_request_with("openid", &[("prompt", "login")]).url).await;
    alice.sees("#connector-google svg.brand path").await;
    alice.screenshot(&format!("choosing-{name}")).await;
    assert!(!alice.overflows().await, "{name} is wider than the screen");
    let output = alice.console().await.join("\n");
    assert!(!output.contains("Content Security Policy"), "{output}");
    let text = alice.text().await;
    assert!(text.contains("Last used") && text.contains("Not answering right now"), "{text}");
    alice.presses("#connector-partner").await;
    alice.sees("#reference").await;
    alice.screenshot(&format!("choosing-down-{name}")).await;
    assert!(!alice.overflows().await, "{name}: the page about it is wider than the screen");
}

#[tokio::test]
async fn browser_shows_the_choice_on_a_desktop() {
    checks_the_choice_page(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_shows_the_choice_in_the_dark() {
    checks_the_choice_page(Display::DESKTOP.dark(), "dark").await;
}

#[tokio::test]
async fn browser_shows_the_choice_on_a_phone() {
    checks_the_choice_page(Display::PHONE, "phone").await;
}
