//! A login belongs to the browser that began it (design.md, promise 2).

use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, World};

#[tokio::test]
async fn mallory_cannot_finish_the_login_that_alice_began() {
    let server = World::new().start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.opens(app.asks("openid").url).await;
    let form = alice.page().form_with("password").unwrap();

    let page = mallory.submits(form.fill("login", BOB).fill("password", BOB_PASSWORD)).await;
    assert!(page.status >= 400, "{}", page.text());
    assert!(page.location().is_none());
}

#[tokio::test]
async fn mallory_cannot_approve_in_the_name_of_alice() {
    let server = World::new().start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.opens(app.asks("openid").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let form = alice.page().form_with("approval").unwrap();

    let page = mallory.submits(form.press("approval", "approve")).await;
    assert!(page.status >= 400 && page.location().is_none(), "{}", page.text());
}

#[tokio::test]
async fn a_stolen_session_cookie_does_not_finish_a_login_begun_elsewhere() {
    let server = World::new().start().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    alice.opens(app.asks("openid").url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    mallory.opens(app.asks("openid").url).await;
    let begun = mallory.page().form_with("password").unwrap();
    mallory.steals_cookies_of(&alice);
    let page = mallory.submits(begun.fill("login", BOB).fill("password", BOB_PASSWORD)).await;
    assert!(page.status >= 400 && page.location().is_none(), "{}", page.text());
}
