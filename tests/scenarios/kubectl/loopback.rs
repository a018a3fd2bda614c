//! The redirect to a loopback port (RFC 8252): only the response to this login's request is taken.

use crate::world::{Client, World};

async fn world() -> crate::world::Server {
    World::new().client(Client::public("kubectl")).start().await
}

#[tokio::test]
async fn forged_callbacks_are_ignored_and_the_login_goes_on() {
    let server = world().await;
    let alice = server.workstation();
    let running = alice.starts(&alice.get_token());
    let mut browser = server.browser();
    let url = reqwest::Url::parse(&alice.opens(1).await).unwrap();
    let redirect = url.query_pairs().find(|(key, _)| key == "redirect_uri").unwrap().1.into_owned();
    for (forged, status) in [
        ("/?code=stolen-code-1&state=another-state", 400),
        ("/?code=stolen-code-2", 400),
        ("/?error=access_denied&state=another-state", 400),
        ("/elsewhere?code=stolen-code-3", 404),
    ] {
        let page = browser.get(format!("{redirect}{forged}")).await;
        assert_eq!(page.status, status, "{forged}");
    }
    let page = alice.signs_in(1, &mut browser).await;
    assert_eq!(page.all("h1"), ["You are signed in"]);
    running.ends().token();
    // The listener has been closed.
    let address = redirect.trim_start_matches("http://").to_owned();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn a_refusal_is_shown_in_the_browser_and_on_the_terminal() {
    let server = world().await;
    let alice = server.workstation();
    let running = alice.starts(&alice.get_token());
    let mut browser = server.browser();
    browser.opens(alice.opens(1).await).await;
    browser.signs_in(crate::world::ALICE, crate::world::ALICE_PASSWORD).await;
    browser.rejects().await;
    let destination = browser.page().location().unwrap();
    let page = browser.get(&destination).await;
    assert_eq!(page.all("h1"), ["You are not signed in"]);
    let printed = running.ends();
    assert!(printed.failure().contains("access_denied"), "{}", printed.stderr);
    assert!(page.text().contains("access_denied"), "{}", page.text());
}

#[tokio::test]
async fn markup_in_a_description_is_text() {
    let server = world().await;
    let alice = server.workstation();
    let running = alice.starts(&alice.get_token());
    let url = reqwest::Url::parse(&alice.opens(1).await).unwrap();
    let of = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let mut callback = reqwest::Url::parse(&of("redirect_uri")).unwrap();
    callback
        .query_pairs_mut()
        .append_pair("state", &of("state"))
        .append_pair("error", "access_denied")
        .append_pair("error_description", "<script>alert(1)</script>\u{1b}[2J");
    let page = server.browser().get(&callback).await;
    assert!(!page.body.contains("<script>"), "{}", page.body);
    assert!(page.text().contains("<script>alert(1)</script>"), "{}", page.text());
    let printed = running.ends();
    assert!(!printed.failure().contains('\u{1b}'), "{:?}", printed.stderr);
}
