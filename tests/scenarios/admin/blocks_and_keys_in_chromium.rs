//! Blocking a user, dropping a key and withdrawing a consent in Chromium, on a desktop, in the dark theme and on a phone
//! without scripts. Writes pictures to target/screenshots.

use crate::scenarios::admin::pages::ADMINS;
use crate::scenarios::admin::pages_in_chromium::checks_layout;
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Chromium, Display, Need, Server, World,
};

async fn start() -> Server {
    let server = World::new().with(ADMINS).start().await;
    let app = server.relying_party("example-app");
    for (name, password) in [(ALICE, ALICE_PASSWORD), (BOB, BOB_PASSWORD)] {
        let request = app.auth_request("openid email groups offline_access");
        server.browser().logs_in(&request, name, password).await;
    }
    server
}

/// Bob opens his own pages and sees why he may not sign in.
async fn bob_sees_the_block(server: &Server, look: Display, name: &str) {
    let bob = Chromium::with(look).await;
    bob.opens(server.url("/sign-in")).await;
    bob.signs_in(BOB, BOB_PASSWORD).await;
    bob.sees("h1").await;
    let text = bob.text().await;
    assert!(text.contains("This account is blocked"), "{text}");
    assert!(text.contains("Sign in as somebody else"), "another way on: {text}");
    assert!(!text.contains("Try again"), "it does not help: {text}");
    bob.screenshot(&format!("blocked-{name}")).await;
    assert!(!bob.overflows().await, "wider than the screen");
}

async fn tours_blocks_keys_and_consents(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let server = start().await;
    let picture = |page: &str| format!("admin-{page}-{name}");
    let alice = Chromium::with(look).await;
    alice.opens(server.url("/admin/block?connector=local&user_id=id-of-bob")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.sees("[name=reason]").await;
    checks_layout(&alice, &picture("block")).await;
    alice.types("[name=reason]", "Laptop stolen on the train, see ticket 4711").await;
    alice.presses("form:has([name=reason]) button").await;
    alice.waits_for_url(&server.url("/admin/blocked-users")).await;
    alice.sees("[role=status]").await;
    checks_layout(&alice, &picture("blocked-users")).await;
    let text = alice.text().await;
    assert!(text.contains("ticket 4711") && text.contains("alice"), "why, and by whom: {text}");
    assert!(!text.contains("id-of-alice"), "a name, not an id: {text}");
    bob_sees_the_block(&server, look, name).await;

    alice.opens(server.url("/admin/keys")).await;
    alice.sees("table").await;
    alice.opens(server.url("/admin/keys/1")).await;
    alice.sees("h1").await;
    checks_layout(&alice, &picture("key-drop")).await;

    alice.opens(server.url("/consents")).await;
    alice.sees(".places").await;
    alice.screenshot(&format!("own-consents-{name}")).await;
    assert!(!alice.overflows().await, "wider than the screen");
}

#[tokio::test]
async fn browser_on_a_desktop_shows_blocks_dropped_keys_and_consents() {
    tours_blocks_keys_and_consents(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_in_the_dark_theme_shows_blocks_dropped_keys_and_consents() {
    tours_blocks_keys_and_consents(Display::DESKTOP.dark(), "desktop-dark").await;
}

#[tokio::test]
async fn browser_on_a_phone_without_scripts_shows_blocks_dropped_keys_and_consents() {
    tours_blocks_keys_and_consents(Display::PHONE.without_scripts(), "phone").await;
}
