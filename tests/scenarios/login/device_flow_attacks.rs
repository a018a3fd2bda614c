//! Attacks on the device authorization grant (RFC 8628 section 5; threats 51 and 52).

use std::time::Duration;

use super::device::{DEVICE_CODE, Device, confirms_device, types_code, world};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, Need, Server, World,
    http::{bare_client, send},
};

fn behind_a_proxy(base: World) -> World {
    let web = format!(
        "web:\n  http: {}\n  clientRemoteIP:\n    header: X-Forwarded-For\n    trustedProxies: [127.0.0.0/8]",
        base.origin().trim_start_matches("http://")
    );
    world(base).with(&web)
}

async fn approved_by_alice(server: &Server) -> Device {
    let device = Device::requests(server, "openid offline_access").await;
    let mut alice = server.browser();
    types_code(&mut alice, server, &device.user_code).await;
    confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    device
}

/// Threat 51: 20^8 codes; twenty wrong ones per address, then one in 30 seconds.
#[tokio::test]
async fn mallory_cannot_guess_user_codes() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = behind_a_proxy(World::with_stopped_clock()).start().await;
    let device = Device::requests(&server, "openid").await;
    let mut mallory = server.browser();
    mallory.with_forwarded_for("203.0.113.66");
    for guess in 0..20 {
        let page = types_code(&mut mallory, &server, "BBBB-BBBB").await;
        assert_eq!(page.status, 400, "guess {guess}");
    }
    // The right code too, so that the response does not reveal it, and for his whole network.
    let page = types_code(&mut mallory, &server, &device.user_code).await;
    assert_eq!(page.status, 429, "{}", page.text());
    // Counted from the last wrong code, not from this request.
    let retry_after: u64 = page.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&retry_after), "{retry_after}");
    assert!(page.text().contains("Too many attempts"), "{}", page.text());
    let mut other = server.browser();
    other.with_forwarded_for("203.0.113.66");
    assert_eq!(types_code(&mut other, &server, &device.user_code).await.status, 429);

    // Other addresses are not affected, nor are signed-in people in his network.
    let mut bob = server.browser();
    bob.with_forwarded_for("198.51.100.7");
    assert_eq!(types_code(&mut bob, &server, &device.user_code).await.status, 200);
    let mut alice = server.browser();
    alice.with_forwarded_for("203.0.113.66").opens(server.url("/sign-in")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(types_code(&mut alice, &server, &device.user_code).await.status, 200);

    server.advance(Duration::from_secs(31));
    assert_eq!(types_code(&mut mallory, &server, "BBBB-BBBB").await.status, 400, "one more");
    assert_eq!(types_code(&mut mallory, &server, "BBBB-BBBB").await.status, 429);
    // Right codes do not count.
    for _ in 0..25 {
        assert_eq!(types_code(&mut bob, &server, &device.user_code).await.status, 200);
    }
}

/// Threat 52: Mallory sends Alice a link with his code. The link alone has no effect; the page it opens names
/// the client and warns; signing in does not approve anything.
#[tokio::test]
async fn alice_is_warned_of_a_phished_code() {
    let server = world(World::new()).start().await;
    let device = Device::requests(&server, "openid offline_access").await;
    let mut alice = server.browser();
    alice.opens(server.url("/sign-in")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let link = device.response["verification_uri_complete"].as_str().unwrap();
    let page = alice.opens(link).await;
    assert!(page.text().contains("Type only a code from a device of yours"), "{}", page.text());
    assert_eq!(device.polls().await.error(), "authorization_pending");
    let form = alice.page().form_with("user_code").unwrap();
    let page = alice.submits(form).await;
    for shown in ["The cli", &device.user_code, "Go on only if you started this yourself"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    let page = alice.clicks("It is mine").await;
    assert!(page.form_with("approval").is_some(), "asked, although she is signed in");
    assert!(page.text().contains("Go on only if you started this yourself"), "{}", page.text());
    // Another site cannot submit the form for her.
    let page = alice.get(server.url("/device")).await;
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let fields = [("user_code", device.user_code.as_str())];
    let form = bare_client().post(server.url("/device")).form(&fields);
    let cross_site = send(form.header("sec-fetch-site", "cross-site")).await;
    assert_eq!(cross_site.status, 403);
}

/// The pending login of Mallory's confirmation page continues in his browser only.
#[tokio::test]
async fn a_confirmation_belongs_to_one_browser() {
    let server = world(World::new()).start().await;
    let device = Device::requests(&server, "openid").await;
    let mut mallory = server.browser();
    types_code(&mut mallory, &server, &device.user_code).await;
    let link = mallory.page().link("It is mine").unwrap();
    let mut alice = server.browser();
    alice.opens(server.url("/sign-in")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let page = alice.opens(&link).await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert_eq!(device.polls().await.error(), "authorization_pending");
}

/// Threat 51: after the decision of one person, others can neither approve, deny nor see it.
#[tokio::test]
async fn a_decided_user_code_is_refused() {
    let server = world(World::new()).start().await;
    let device = Device::requests(&server, "openid").await;
    let (mut alice, mut bob) = (server.browser(), server.browser());
    for browser in [&mut alice, &mut bob] {
        types_code(browser, &server, &device.user_code).await;
    }
    confirms_device(&mut bob, BOB, BOB_PASSWORD).await;
    confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    let page = bob.approves().await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert_eq!(types_code(&mut server.browser(), &server, &device.user_code).await.status, 400);
    let tokens = device.polls().await;
    let sub = crate::world::claims(tokens.id_token())["sub"].clone();
    assert_eq!(sub, crate::world::dex_sub("id-of-alice", "local"));
}

/// Threat 51: a device code is used once; a second use ends the grant of the first.
#[tokio::test]
async fn a_replayed_device_code_ends_its_grant() {
    let server = world(World::new()).start().await;
    let device = approved_by_alice(&server).await;
    let tokens = device.polls().await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    let again = device.polls().await;
    assert_eq!((again.status, again.error()), (400, "invalid_grant"));
    let refreshed = device.app.refreshes(tokens.refresh_token()).await;
    assert_eq!((refreshed.status, refreshed.error()), (400, "invalid_grant"));
}

/// Of fifty concurrent polls one gets tokens; their grant may end because of the reuse.
#[tokio::test]
async fn parallel_polls_get_one_grant() {
    let server = world(World::new()).start().await;
    let device = approved_by_alice(&server).await;
    let mut polls = tokio::task::JoinSet::new();
    let device = std::sync::Arc::new(device);
    for _ in 0..20 {
        let device = device.clone();
        polls.spawn(async move { device.polls().await.status });
    }
    let statuses = polls.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}

/// Threat 51 (Dex 17875400): another client cannot exchange the code, and its attempt has no effect.
#[tokio::test]
async fn another_client_cannot_exchange_a_device_code() {
    let thief = Client::new("thief").redirects_to(&["/device/callback"]);
    let server = world(World::new()).client(thief).start().await;
    let device = approved_by_alice(&server).await;
    let fields = [("grant_type", DEVICE_CODE), ("device_code", &*device.device_code)];
    let response = server.relying_party("thief").exchange(&fields).await;
    assert_eq!((response.status, response.error()), (400, "invalid_grant"));
    for wrong in [device.device_code.to_uppercase(), format!("{} ", device.device_code), "x".into()]
    {
        let fields = [("grant_type", DEVICE_CODE), ("device_code", wrong.as_str())];
        let response = server.relying_party("cli").exchange(&fields).await;
        assert_eq!((response.status, response.error()), (400, "invalid_grant"), "{wrong}");
    }
    assert_eq!(device.polls().await.status, 200);
}

/// The codes are accepted in a form only.
#[tokio::test]
async fn codes_in_a_query_are_refused() {
    let server = world(World::new()).start().await;
    let cli = server.relying_party("cli");
    let response = cli.posts("/device/code?client_id=cli", &[]).await;
    assert_eq!((response.status, response.error()), (400, "invalid_request"));
    let response = cli.posts("/token?device_code=x", &[("grant_type", DEVICE_CODE)]).await;
    assert_eq!((response.status, response.error()), (400, "invalid_request"));
}

/// A session that ends between approval and poll.
#[tokio::test]
async fn an_ended_session_issues_no_tokens_to_a_device() {
    let server = world(World::new()).start().await;
    let device = Device::requests(&server, "openid offline_access").await;
    let mut alice = server.browser();
    types_code(&mut alice, &server, &device.user_code).await;
    confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    alice.submits(form).await;
    let response = device.polls().await;
    assert_eq!((response.status, response.error()), (400, "invalid_grant"));
}

/// Rows that unauthenticated requests can write are limited, for each address and in total.
#[tokio::test]
async fn a_flood_of_device_requests_is_refused() {
    if Need::Clock.is_missing() {
        return;
    }
    let limits = "limits:\n  deviceRequests: 5\n  deviceRequestsPerAddress: 3";
    let server = behind_a_proxy(World::with_clock()).with(limits).start().await;
    let request_with = async |address: &str| {
        let fields = [("client_id", "cli"), ("scope", "openid")];
        let request = bare_client().post(server.url("/device/code")).form(&fields);
        send(request.header("x-forwarded-for", address)).await
    };
    for expected in [200, 200, 200, 429, 429] {
        assert_eq!(request_with("203.0.113.66").await.status, expected);
    }
    // An IPv6 network counts as a /64.
    for (address, expected) in [("2001:db8::1", 200), ("2001:db8::2", 200), ("2001:db8::3", 503)] {
        let response = request_with(address).await;
        assert_eq!(response.status, expected, "{address}");
        if expected == 503 {
            assert!(response.body.contains("temporarily_unavailable"), "{}", response.body);
        }
    }
    server.advance(Duration::from_secs(301));
    assert_eq!(request_with("203.0.113.66").await.status, 200, "they were short-lived");
}
