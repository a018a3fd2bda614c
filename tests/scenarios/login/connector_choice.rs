//! The page that asks which account to use (design.md 5 and 6): a button for each, with the mark its owner
//! allows, the last one used first, and one that does not answer saying so.

use crate::scenarios::connectors::ldap::connector;
use crate::world::{ALICE, ALICE_PASSWORD, Chromium, Display, Need, Page, World, slapd};

/// Behind the company's directory; each is another kind.
const MORE: &str = "- type: mockCallback\n  id: corp\n  name: Example Corp\n\
    - type: google\n  id: google\n  name: Sign in with Google\n  config:\n    \
    clientID: 1234.apps.googleusercontent.com\n    clientSecret: a-secret-for-google-1\n    \
    redirectURI: http://127.0.0.1:5556/dex/callback\n    timeout: 2s\n\
    - type: oidc\n  id: partner\n  name: Partners\n  config:\n    \
    issuer: http://127.0.0.1:9/nobody\n    clientID: countersign\n    \
    clientSecret: a-secret-for-partners-1\n    \
    redirectURI: http://127.0.0.1:5556/dex/callback\n    insecureEnableGroups: true\n";

fn ways(directory: &slapd::Slapd) -> String {
    format!("{}{MORE}", connector(directory))
}

/// Names of the buttons from top to bottom, with what stands below them.
fn buttons(page: &Page) -> Vec<String> {
    page.all("a.way")
}

#[tokio::test]
async fn ldap_a_way_in_that_does_not_answer_says_so_and_stays_a_link() {
    let Some(mut directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&ways(&directory)).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let says_so = "Not answering right now";
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
    let told = buttons(page);
    assert!(told[0].starts_with("Directory") && told[0].ends_with(says_so), "{told:?}");
    assert_eq!(told.iter().filter(|button| button.contains(says_so)).count(), 1, "{told:?}");
    let metrics = alice.get(format!("{}/metrics", server.telemetry())).await.body;
    assert!(metrics.contains("countersign_connector_up{connector=\"ldap\"} 0"), "{metrics}");
    assert!(metrics.contains("countersign_connector_up{connector=\"corp\"} 1"), "{metrics}");

    // It is back: whoever pressed the button all the same is in, and everybody sees it.
    directory.start_again();
    alice.clicks("Directory").await;
    alice.signs_in("jane", slapd::PASSWORD).await;
    alice.approves().await;
    alice.auth_response();
    let page = jane.opens(app.auth_request("openid").url).await;
    assert!(!page.text().contains(says_so), "{}", page.text());
    let again = alice.opens(app.auth_request_with("openid", &[("prompt", "login")]).url).await;
    assert_eq!(buttons(again)[0], "Directory Last used", "her own is the first");
}

/// An upstream that cannot even be asked where to send people: a page that names it, and a way on.
#[tokio::test]
async fn an_upstream_that_is_down_is_named_and_other_ways_are_offered() {
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
    assert!(!page.body.contains("127.0.0.1:9"), "where it stands is not for everybody");
    assert_eq!(page.all("#reference").len(), 1);
    assert!(page.header("retry-after").is_some());

    let page = alice.clicks("Other ways").await;
    assert!(buttons(page)[1].starts_with("Partners Not answering"), "{:?}", buttons(page));
    alice.clicks("Email").await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    alice.auth_response();
}

async fn looks_at_the_choice(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let Some(mut directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&ways(&directory)).start().await;
    let app = server.relying_party("example-app");
    let alice = Chromium::with(look).await;
    // She came by her company once, and the directory is down today.
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
    let said = alice.console().await.join("\n");
    assert!(!said.contains("Content Security Policy"), "{said}");
    let text = alice.text().await;
    assert!(text.contains("Last used") && text.contains("Not answering right now"), "{text}");
    alice.presses("#connector-partner").await;
    alice.sees("#reference").await;
    alice.screenshot(&format!("choosing-down-{name}")).await;
    assert!(!alice.overflows().await, "{name}: the page about it is wider than the screen");
}

#[tokio::test]
async fn browser_shows_the_choice_on_a_desktop() {
    looks_at_the_choice(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_shows_the_choice_in_the_dark() {
    looks_at_the_choice(Display::DESKTOP.dark(), "dark").await;
}

#[tokio::test]
async fn browser_shows_the_choice_on_a_phone() {
    looks_at_the_choice(Display::PHONE, "phone").await;
}
