//! `texts.yaml` of `frontend.dir`: the organisation's own texts on the pages, replaced by a reload.

use std::path::Path;

use super::in_chromium::checks_page;
use crate::world::{ALICE, ALICE_PASSWORD, Chromium, Display, Need, Server, World};

const TEXTS: &str = "signIn:\n  title: Example account for {application}\n  introduction: <b>Your</b> notebook's account\n\
    password:\n  label: Pass phrase\nconsent:\n  allow: Agree\n\
    help:\n  text: Cannot sign in?\n  link: {text: Service desk, url: 'mailto:help@example.com'}\n\
    error:\n  contact: Call 4711 and give the reference.\n\
    footer:\n  links:\n  - {text: Privacy, url: 'https://www.example.com/privacy'}\n";
const RELOADED: &str = "configuration_reloaded";

fn write(dir: &Path, texts: &str) {
    std::fs::create_dir_all(dir.join("web")).unwrap();
    // Renamed into place, so that a reload never reads a part of it.
    std::fs::write(dir.join("web/new"), texts).unwrap();
    std::fs::rename(dir.join("web/new"), dir.join("web/texts.yaml")).unwrap();
}

fn world_with(texts: &str) -> World {
    let world = World::new();
    write(world.dir(), texts);
    let dir = world.dir().join("web");
    world.with(&format!("frontend:\n  dir: {}", dir.display()))
}

async fn heading(server: &Server) -> String {
    let url = server.relying_party("example-app").auth_request("openid").url;
    server.browser().opens(url).await.all("h1").concat()
}

#[tokio::test]
async fn alice_sees_the_texts_of_her_organisation_from_login_to_consent() {
    let server = world_with(TEXTS).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let page = alice.opens(app.auth_request("openid email").url).await;
    assert!(page.title().starts_with("Example account for "), "{}", page.title());
    assert_eq!(page.all("label[for=password]"), ["Pass phrase"]);
    assert_eq!(page.all(".introduction"), ["<b>Your</b> notebook's account"], "it is text");
    assert_eq!(page.all("#help"), ["Cannot sign in? Service desk"]);
    assert_eq!(page.attributes("#help a", "href"), ["mailto:help@example.com"]);
    assert_eq!(page.attributes("footer a", "href"), ["https://www.example.com/privacy"]);
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(page.all("button[value=approve]"), ["Agree"]);
    assert_eq!(page.attributes("footer a", "href"), ["https://www.example.com/privacy"]);
    let page = alice.opens(server.url("/auth?client_id=nobody")).await;
    assert_eq!(
        (page.status, page.all("#help")),
        (400, vec!["Call 4711 and give the reference. Service desk".to_owned()])
    );
}

#[tokio::test]
async fn a_reload_replaces_the_texts_and_an_invalid_file_keeps_them() {
    let server = world_with(TEXTS).start().await;
    assert_eq!(heading(&server).await, "Example account for The example-app");
    let dir = server.file("web").parent().unwrap().to_owned();
    write(&dir, "signIn:\n  titel: Wrong");
    server.sends_signal("HUP");
    server.waits_for_log(1, "configuration_reload_failed").await;
    assert!(
        server.count_in_log("texts.yaml:2:3: signIn.titel: is not a known key") > 0,
        "{}",
        server.log()
    );
    assert_eq!(heading(&server).await, "Example account for The example-app");
    write(&dir, "signIn:\n  title: Welcome to {application}");
    server.sends_signal("HUP");
    server.waits_for_log(1, RELOADED).await;
    assert_eq!(heading(&server).await, "Welcome to The example-app");
    assert!(server.count_in_log("frontend.dir/texts.yaml") > 0, "{}", server.log());
}

/// The file is also noticed when it changes, and when it appears.
#[tokio::test]
async fn a_new_file_of_texts_is_used_without_a_signal() {
    let world = world_with("");
    std::fs::remove_file(world.dir().join("web/texts.yaml")).unwrap();
    let server = world.start().await;
    assert_eq!(heading(&server).await, "Sign in to The example-app");
    write(server.file("web").parent().unwrap(), TEXTS);
    server.waits_for_log(1, RELOADED).await;
    assert_eq!(heading(&server).await, "Example account for The example-app");
}

#[tokio::test]
async fn an_invalid_file_of_texts_is_found_by_check_and_refused_at_start() {
    let world = world_with("consent:\n  title: Continue?");
    let expected = "texts.yaml:2:10: consent.title: must contain {application} once";
    let output = world.runs_before_start(&["check", "CONFIG"]);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && printed.contains(expected), "{printed}");
    let printed = world.refuses_to_start().await;
    assert!(printed.contains(expected), "{printed}");
}

const STYLES: &str = ":root { --act: #7a1fa2; --act-2: #5c1580; --glow: #7a1fa2; }\n\
    @media (prefers-color-scheme: dark) { :root.auto { --act: #d7a6f0; --act-2: #e8c9f8; --glow: #d7a6f0; } }\n";

/// The pages of a login with a theme and texts, as a user sees them.
async fn tours(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let world = world_with(TEXTS);
    let dir = world.dir().join("web");
    std::fs::create_dir_all(dir.join("themes/company")).unwrap();
    std::fs::write(dir.join("themes/company/styles.css"), STYLES).unwrap();
    let frontend = format!("frontend:\n  dir: {}\n  theme: company", dir.display());
    let mock = "connectors:\n- type: mockCallback\n  id: corp\n  name: Example Corp";
    let server = world.with(&frontend).with(mock).start().await;
    let alice = Chromium::with(look).await;
    alice.opens(server.relying_party("example-app").auth_request("openid email").url).await;
    checks_page(&alice, &format!("own-texts-choose-{name}")).await;
    alice.presses("#connector-local").await;
    alice.sees("#submit-login").await;
    checks_page(&alice, &format!("own-texts-password-{name}")).await;
    let button = alice.sees("#submit-login").await.css_value("background-color").await.unwrap();
    let is_own = button.contains("122, 31, 162") || button.contains("215, 166, 240");
    assert!(is_own, "the colour of the theme: {button}");
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.sees("button[value=approve]").await;
    checks_page(&alice, &format!("own-texts-consent-{name}")).await;
    alice.opens(server.url("/auth?client_id=nobody")).await;
    checks_page(&alice, &format!("own-texts-error-{name}")).await;
}

#[tokio::test]
async fn browser_shows_own_texts_on_a_desktop() {
    tours(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_shows_own_texts_in_the_dark() {
    tours(Display::DESKTOP.dark(), "dark").await;
}

#[tokio::test]
async fn browser_shows_own_texts_on_a_phone() {
    tours(Display::PHONE, "phone").await;
}

/// As when a volume is mounted after the start.
#[tokio::test]
async fn a_directory_that_appears_after_the_start_is_used() {
    let world = World::new();
    let dir = world.dir().to_owned();
    let yaml = format!("frontend:\n  dir: {}", dir.join("web").display());
    let server = world.with(&yaml).start().await;
    write(&dir, "signIn:\n  title: Mounted account for {application}");
    server.waits_for_log(1, RELOADED).await;
    assert_eq!(heading(&server).await, "Mounted account for The example-app");
}
