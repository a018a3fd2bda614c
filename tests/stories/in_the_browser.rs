//! The pages in a real browser: they work without scripts, on a phone, in the dark, and break no
//! policy of their own.

use crate::world::{ALICE, ALICE_PASSWORD, Chromium, Client, Look, Need, OtherOrigin, World};

/// One login from the first page to the application, which sends everybody on to a third origin, as
/// real applications do. A browser applies `form-action` to every one of these hops.
async fn signs_in_with(look: Look, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let dashboard = OtherOrigin::listening();
    let back_end = OtherOrigin::redirecting_to(&format!("{}/dashboard", dashboard.url));
    let callback = format!("{}/callback", back_end.url);
    let app = Client::new("example-app").redirects_to(&[&callback]);
    let server = World::new().client(app).start().await;
    let request = server.relying_party("example-app").asks("openid email groups");

    let alice = Chromium::with(look).await;
    alice.opens(&request.url).await;
    alice.sees("#submit-login").await;
    assert!(!alice.overflows().await, "{}", alice.text().await);
    alice.screenshot(&format!("password-{name}")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.sees("button[name=approval]").await;
    assert!(!alice.overflows().await, "{}", alice.text().await);
    alice.screenshot(&format!("approval-{name}")).await;
    alice.approves().await;
    alice.comes_to(&dashboard.url).await;

    assert!(back_end.heard().iter().any(|heard| heard.target.contains("code=")));
    let console = alice.console().await;
    let severe: Vec<_> = console.iter().filter(|line| line.starts_with("SEVERE")).collect();
    // The small web server of the workshop has no icon; nothing else may fail.
    assert!(severe.iter().all(|line| line.contains("favicon")), "{severe:?}");
}

#[tokio::test]
async fn browser_on_a_desk_signs_in() {
    signs_in_with(Look::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_on_a_dark_phone_without_scripts_signs_in() {
    signs_in_with(Look::PHONE.dark().without_scripts(), "phone-dark").await;
}
