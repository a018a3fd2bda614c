//! Names from people, upstreams and links (threats F 83 and K 126): shown as text, without markup,
//! bidirectional control characters or unlimited length.

use crate::world::{ALICE_PASSWORD, Client, Page, World};

const MARKUP: &str = "<img src=x onerror=alert(1)>";
const TEMPLATE: &str = "{{7*7}}${7*7}";
/// With the bidirectional override in effect it would read "eve (gpj.admin)".
const TURNED: &str = "eve \u{202e}(nimda.jpg)\u{202c}\u{200b}";

/// One local account with this name and these groups.
fn world_of(name: &str, groups: &[&str]) -> World {
    let hash = bcrypt::hash(ALICE_PASSWORD, 10).unwrap();
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let groups: Vec<_> = groups.iter().map(|group| quoted(group)).collect();
    World::empty().client(Client::new("example-app")).with(&format!(
        "enablePasswordDB: true\nstaticPasswords:\n- email: eve@example.com\n  hash: {}\n  \
         userID: eve\n  username: {}\n  groups: [{}]",
        quoted(&hash),
        quoted(name),
        groups.join(", ")
    ))
}

/// The pages that show the name of a person.
async fn pages_of(name: &str, groups: &[&str]) -> Vec<Page> {
    let server = world_of(name, groups).start().await;
    let (mut eve, app) = (server.browser(), server.relying_party("example-app"));
    eve.opens(app.auth_request("openid profile groups").url).await;
    let approval = eve.signs_in("eve@example.com", ALICE_PASSWORD).await.clone();
    assert!(approval.form_with("approval").is_some(), "{}", approval.text());
    let start_page = eve.opens(server.url("/")).await.clone();
    let logout = eve.opens(server.url("/logout")).await.clone();
    assert!(logout.form_with("csrf").is_some(), "{}", logout.text());
    vec![approval, start_page, logout]
}

/// F 83: GHSA HTML injection in Kanidm 1.10, CVE-2024-41953 (ZITADEL).
#[tokio::test]
async fn markup_in_a_name_is_escaped() {
    for page in pages_of(MARKUP, &["<script>alert(2)</script>", "\"><b>bold</b>"]).await {
        assert!(page.text().contains(MARKUP), "it is shown: {}", page.text());
        assert!(page.all("img[onerror], script, b b").is_empty(), "{}", page.body);
        assert!(!page.body.contains("<script>") && !page.body.contains("<img src=x"));
    }
    for page in pages_of(TEMPLATE, &[TEMPLATE]).await {
        assert!(page.text().contains(TEMPLATE) && !page.body.contains("49$"), "{}", page.text());
    }
}

#[tokio::test]
async fn control_characters_in_a_name_are_removed() {
    for page in pages_of(TURNED, &["ops\u{202e}nimda", "\u{200b}"]).await {
        let hidden = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{200b}');
        assert!(!page.body.contains(hidden), "{}", page.text());
        assert!(page.text().contains("(nimda.jpg)"), "{}", page.text());
    }
}

/// A page has less than 30 KB.
#[tokio::test]
async fn a_name_of_ten_thousand_letters_is_truncated() {
    let long = "N".repeat(10_000);
    for page in pages_of(&long, &[&long]).await {
        assert!(page.body.len() < 30_000, "{} bytes", page.body.len());
        assert!(page.text().contains("NNNN"), "{}", page.text());
    }
}

/// F 83: also the client's name, which comes from the configuration.
#[tokio::test]
async fn markup_in_a_clients_name_is_escaped() {
    let client = "staticClients:\n- id: example-app\n  secret: the-secret-of-example-app-61616161\n  \
                  name: '<i>Wiki</i>'\n  redirectURIs: ['https://example-app.example.com/callback']";
    let server = World::new().with(client).start().await;
    let app = server.relying_party("example-app");
    let mut alice = server.browser();
    let login = alice.opens(app.auth_request("openid").url).await.clone();
    let approval = alice.signs_in(crate::world::ALICE, ALICE_PASSWORD).await.clone();
    for page in [login, approval] {
        assert!(page.text().contains("<i>Wiki</i>"), "{}", page.text());
        assert!(page.all("i").is_empty() && !page.title().is_empty(), "{}", page.body);
    }
}

/// K 126: the login is shown again as text; the password is not.
#[tokio::test]
async fn input_is_shown_again_as_text() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for typed in [
        "\"><script>alert(1)</script>",
        "' onfocus=alert(1) autofocus='",
        "</title><h1>You won</h1>",
        "a&quot;b&amp;lt;",
        "{{7*7}}",
    ] {
        let mut browser = server.browser();
        browser.opens(app.auth_request("openid").url).await;
        let page = browser.signs_in(typed, "<b>secret-words-0123</b>").await;
        assert_eq!(page.status, 401);
        assert_eq!(page.attributes("input[name=login]", "value"), [typed], "{}", page.body);
        let scripts = page.attributes("script", "src");
        assert!(scripts.len() == 1 && scripts[0].contains("/static/show-password."), "{scripts:?}");
        assert_eq!(page.all("script").concat(), "", "no script is on the page itself");
        assert_eq!(page.all("h1").len(), 1, "{}", page.body);
        assert!(page.attributes("[onfocus]", "onfocus").is_empty(), "{}", page.body);
        assert!(!page.body.contains("secret-words-0123"));
    }
}

/// K 126: CVE-2022-24905 (Argo CD): a link must not be able to put text on our page.
#[tokio::test]
async fn parameters_of_a_link_are_not_shown_as_our_text() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.opens(app.auth_request("openid").url).await;
    let form = alice.page().url.clone();
    let words = "error=Call+0800-MALLORY&error_description=Call+0800-MALLORY&message=0800-MALLORY&\
                 title=0800-MALLORY&login=0800-MALLORY&state=s";
    let mut urls = vec![format!("{form}&{words}")];
    for path in ["/", "/auth", "/callback", "/callback/local", "/logout", "/continue", "/approval"]
    {
        urls.push(server.url(&format!("{path}?{words}")));
    }
    for url in urls {
        let page = alice.get(&url).await;
        assert!(!page.body.contains("MALLORY"), "{url}: {}", page.text());
        let location = page.header("location").unwrap_or_default();
        assert!(!location.contains("MALLORY"), "{url}: {location}");
    }
    let page = alice.get(server.url("/0800-MALLORY/<b>")).await;
    assert!(page.status == 404 && !page.body.contains("MALLORY"), "{}", page.text());
}
