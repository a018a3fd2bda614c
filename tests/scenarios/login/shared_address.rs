//! Threat 157: guessing from the address that everybody shares, behind a proxy that is not trusted or a NAT. It delays the
//! guesser; people who signed in before from their browser get in at once.

use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Need, Server, World};

const WRONG: &str = "not-the-password-at-all";
const OTHER_CONNECTOR: &str = "connectors:\n- type: mockPassword\n  id: second\n  name: Contractors\n  config:\n    \
    username: carl\n    password: so-it-goes-1969";

/// The status after this password was typed at the local connector, by somebody who must type it.
async fn types_password(browser: &mut Browser, server: &Server, who: (&str, &str)) -> u16 {
    let app = server.relying_party("example-app");
    let parameters = [("connector_id", "local"), ("prompt", "login")];
    browser.opens(app.auth_request_with("openid", &parameters).url).await;
    browser.signs_in(who.0, who.1).await.status
}

#[tokio::test]
async fn threat_157_known_browsers_get_in_while_a_stranger_guesses_from_their_address() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_stopped_clock().with(OTHER_CONNECTOR).start().await;
    // Bob's browser has a device cookie, Alice has never been here.
    let (mut bob, mut alice) = (server.browser(), server.browser());
    assert_eq!(types_password(&mut bob, &server, (BOB, BOB_PASSWORD)).await, 200);

    // Mallory tries Bob's account, then one account after another.
    let mut mallory = server.browser();
    for _ in 0..10 {
        assert_eq!(types_password(&mut mallory, &server, (BOB, WRONG)).await, 401);
    }
    assert_eq!(types_password(&mut mallory, &server, (BOB, WRONG)).await, 429);
    let mut refused = 0;
    for n in 0..205 {
        let login = format!("user{n}@example.com");
        refused += usize::from(types_password(&mut mallory, &server, (&login, "")).await == 429);
    }
    assert!(refused > 0, "the address has a limit");
    assert!(server.count_in_log("web.clientRemoteIP.trustedProxies") > 0, "{}", server.log());

    for _ in 0..5 {
        assert_eq!(types_password(&mut bob, &server, (BOB, BOB_PASSWORD)).await, 200);
    }
    // Somebody new waits as long as is documented, and no longer.
    let page_status = types_password(&mut alice, &server, (ALICE, ALICE_PASSWORD)).await;
    assert_eq!(page_status, 429);
    let seconds: u64 = alice.page().header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    server.advance(std::time::Duration::from_secs(seconds + 1));
    assert_eq!(types_password(&mut alice, &server, (ALICE, ALICE_PASSWORD)).await, 200);
}

/// There is no common counter for all connectors.
#[tokio::test]
async fn threat_157_guessing_at_one_connector_delays_nobody_at_another() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_stopped_clock().with(OTHER_CONNECTOR).start().await;
    let app = server.relying_party("example-app");
    let mut mallory = server.browser();
    let url = app.auth_request_with("openid", &[("connector_id", "second")]).url;
    mallory.opens(url).await;
    let mut last = 0;
    for n in 0..120 {
        last = mallory.signs_in(&format!("user{n}"), WRONG).await.status;
    }
    assert_eq!(last, 429, "there his address is delayed");
    let mut alice = server.browser();
    assert_eq!(types_password(&mut alice, &server, (ALICE, ALICE_PASSWORD)).await, 200);
}
