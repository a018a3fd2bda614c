//! The device authorization grant (RFC 8628; dex.md 2.11): kubectl on a machine without a browser.

use std::time::Duration;

use reqwest::Url;

use super::device::{DEVICE_CODE, Device, confirms_device, types_code, world};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, Need, World, claims, verified,
};

const MINUTE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_secs(6);

#[tokio::test]
async fn alice_signs_in_her_terminal_from_her_phone() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = world(World::with_clock()).start().await;
    let device = Device::requests(&server, "openid email groups offline_access").await;
    let uri = device.response["verification_uri"].as_str().unwrap();
    assert_eq!(uri, server.url("/device"));
    let complete = device.response["verification_uri_complete"].as_str().unwrap();
    assert_eq!(complete, format!("{uri}?user_code={}", device.user_code));
    assert_eq!(
        (&device.response["expires_in"], &device.response["interval"]),
        (&300.into(), &5.into())
    );
    let letters = device.user_code.replace('-', "");
    assert!(letters.len() == 8 && letters.chars().all(|c| "BCDFGHJKLMNPQRSTVWXZ".contains(c)));
    assert_eq!(device.polls().await.error(), "authorization_pending");

    let mut alice = server.browser();
    alice.with_user_agent("Mozilla/5.0 (iPhone) Safari/604.1").opens(complete).await;
    let form = alice.page().form_with("user_code").unwrap();
    assert_eq!(form.fields[0].1, device.user_code, "filled in by the link");
    let page = alice.submits(form).await;
    for shown in ["The cli", &device.user_code, "127.", "started this yourself"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    let page = confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
    for shown in ["The cli", &device.user_code, "alice", "127.", "started this yourself"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    let page = alice.approves().await;
    assert!(page.url.path().ends_with("/dex/device/callback"), "{}", page.url);
    assert!(page.text().contains("The device is connected"), "{}", page.text());
    assert!(page.text().contains("The cli"), "{}", page.text());

    server.advance(POLL);
    let tokens = device.polls().await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    let id_token = verified(tokens.id_token(), &device.app.gets("/keys").await.json);
    assert_eq!((&id_token["email"], &id_token["aud"]), (&ALICE.into(), &"cli".into()));
    assert_eq!(id_token["groups"], serde_json::json!(["admins", "developers"]));
    assert_eq!(device.app.refreshes(tokens.refresh_token()).await.status, 200);
    server.assert_no_secret_in_log(&[&device.device_code, &device.user_code]);
    server.waits_for_log(1, "device_approved").await;
    assert_eq!(server.count_in_log("device_approved"), 1);
}

/// RFC 8628 section 6.1: people type with or without the dash, in capitals or not.
#[tokio::test]
async fn a_user_code_is_accepted_in_any_case_with_or_without_dash() {
    let server = world(World::new()).start().await;
    let code = Device::requests(&server, "openid").await.user_code;
    for typed in [code.to_lowercase(), code.replace('-', ""), code.replace('-', " ")] {
        let mut alice = server.browser();
        let page = types_code(&mut alice, &server, &typed).await;
        assert!(page.status == 200 && page.text().contains("The cli"), "{typed}: {}", page.text());
    }
    // Look-alike letters of another alphabet are refused.
    let homoglyph: String = code.chars().map(|c| if c.is_alphabetic() { 'В' } else { c }).collect();
    for typed in [&homoglyph, "", "WDJB-MJHT", &format!("{code}B")] {
        let mut alice = server.browser();
        let page = types_code(&mut alice, &server, typed).await;
        assert_eq!(page.status, 400, "{typed}: {}", page.text());
        assert!(page.text().contains("This code is not valid"), "{}", page.text());
    }
}

#[tokio::test]
async fn alice_denies_a_device() {
    let server = world(World::new()).start().await;
    let device = Device::requests(&server, "openid").await;
    let mut alice = server.browser();
    types_code(&mut alice, &server, &device.user_code).await;
    confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
    let page = alice.rejects().await;
    assert!(page.text().contains("was not connected"), "{}", page.text());
    let response = device.polls().await;
    assert_eq!((response.status, response.error()), (400, "access_denied"));
}

#[tokio::test]
async fn a_signed_in_person_only_approves() {
    let server = world(World::new()).start().await;
    let device = Device::requests(&server, "openid").await;
    let mut alice = server.browser();
    alice.opens(server.url("/sign-in")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    types_code(&mut alice, &server, &device.user_code).await;
    let page = alice.clicks("It is mine").await;
    assert!(page.form_with("approval").is_some(), "{}", page.text());
    alice.approves().await;
    let tokens = device.polls().await;
    assert_eq!(claims(tokens.id_token())["aud"], "cli", "{}", tokens.page.body);
}

/// Threat 162: the second click shows the same page, and the device gets its tokens once.
#[tokio::test]
async fn a_second_click_shows_the_same_page() {
    let server = world(World::new()).start().await;
    let device = Device::requests(&server, "openid").await;
    let mut alice = server.browser();
    types_code(&mut alice, &server, &device.user_code).await;
    confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
    let form = alice.page().form_with("approval").unwrap().press("approval", "approve");
    for _ in 0..2 {
        let page = alice.submits(form.clone()).await;
        assert!(page.text().contains("The device is connected"), "{}", page.text());
    }
    assert_eq!(device.polls().await.status, 200);
    let page = alice.submits(form).await;
    assert!(page.text().contains("The device is connected"), "{}", page.text());
    server.waits_for_log(3, "device_approved").await;
    assert_eq!(server.count_in_log("device_approved"), 3, "each is in the log");
}

#[tokio::test]
async fn a_code_expires() {
    if Need::Clock.is_missing() {
        return;
    }
    let world = world(World::with_clock()).with("expiry:\n  idTokens: 10m\n  deviceRequests: 2m");
    let server = world.start().await;
    let device = Device::requests(&server, "openid").await;
    assert_eq!(device.response["expires_in"], 120);
    server.advance(MINUTE * 2);
    let response = device.polls().await;
    assert_eq!((response.status, response.error()), (400, "expired_token"));
    let mut alice = server.browser();
    assert_eq!(types_code(&mut alice, &server, &device.user_code).await.status, 400);
}

/// RFC 8628 section 3.5: five seconds, and five more after each early request.
#[tokio::test]
async fn a_device_that_polls_too_fast_is_slowed_down() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = world(World::with_stopped_clock()).start().await;
    let device = Device::requests(&server, "openid").await;
    let second = Duration::from_secs(1);
    for (after, expected) in [
        (0, "authorization_pending"),
        (5, "authorization_pending"),
        (2, "slow_down"),
        (6, "slow_down"),
        (10, "slow_down"),
        (20, "authorization_pending"),
        (10, "slow_down"),
    ] {
        server.advance(second * after);
        let response = device.polls().await;
        assert_eq!((response.status, response.error()), (400, expected), "after {after} s");
    }
    // Another device has an interval of its own.
    let other = Device::requests(&server, "openid").await;
    assert_eq!(other.polls().await.error(), "authorization_pending");
}

/// RFC 7636 for devices, as in Dex: optional, and enforced if used.
#[tokio::test]
async fn a_device_may_use_pkce() {
    let server = world(World::new()).start().await;
    let app = server.relying_party("cli");
    let request = app.auth_request("openid");
    let challenge = Url::parse(&request.url).unwrap();
    let challenge = challenge.query_pairs().find(|(name, _)| name == "code_challenge").unwrap();
    let pkce = [("code_challenge", challenge.1.as_ref()), ("code_challenge_method", "S256")];
    for (verifier, expected) in [(None, 400), (Some("x"), 400), (Some(&*request.verifier), 200)] {
        let device = Device::requests_with(server.relying_party("cli"), &pkce).await;
        let mut alice = server.browser();
        types_code(&mut alice, &server, &device.user_code).await;
        confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
        alice.approves().await;
        let response = device.polls_with(verifier).await;
        assert_eq!(response.status, expected, "{verifier:?}: {}", response.page.body);
    }
    for wrong in [("code_challenge", "short"), ("code_challenge_method", "S256")] {
        let response = app.posts("/device/code", &[wrong]).await;
        assert_eq!((response.status, response.error()), (400, "invalid_request"), "{wrong:?}");
    }
}

/// A confidential client needs `/device/callback`, with or without the issuer's path, and its secret.
#[tokio::test]
async fn a_confidential_client_authenticates() {
    let web = Client::new("web").redirects_to(&["/device/callback"]);
    let newer = Client::new("newer").redirects_to(&["/dex/device/callback"]);
    let server = world(World::new()).client(web).client(newer).start().await;
    for id in ["web", "newer"] {
        let mut nobody = server.relying_party(id);
        nobody.secret = None;
        let response = nobody.posts("/device/code", &[]).await;
        assert_eq!((response.status, response.error()), (401, "invalid_client"), "{id}");
        let device = Device::requests_with(server.relying_party(id), &[]).await;
        let mut alice = server.browser();
        types_code(&mut alice, &server, &device.user_code).await;
        confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
        alice.approves().await;
        assert_eq!(device.polls().await.status, 200, "{id}");
    }
    let other = server.relying_party("example-app").posts("/device/code", &[]).await;
    assert_eq!((other.status, other.error()), (400, "unauthorized_client"));
    // The path is no redirect URI: no code is ever sent there.
    let request = server.relying_party("web").auth_request("openid");
    assert_eq!(server.browser().get(&request.url).await.status, 400);
}

/// Dex's further paths: `/device/token`, the form's URL, and the callback with and without the issuer's path.
#[tokio::test]
async fn the_paths_of_dex_are_supported() {
    let server = world(World::new()).start().await;
    let device = Device::requests(&server, "openid").await;
    let mut alice = server.browser();
    alice.opens(server.url("/device")).await;
    let page = alice
        .post_form(server.url("/device/auth/verify_code"), &[("user_code", &device.user_code)])
        .await;
    alice.follow(page).await;
    confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    let other = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let other = device.app.posts("/device/token", &other).await;
    assert_eq!((other.status, other.error()), (400, "unsupported_grant_type"));
    let fields = [("grant_type", DEVICE_CODE), ("device_code", &*device.device_code)];
    assert_eq!(device.app.posts("/device/token", &fields).await.status, 200);
    for callback in [server.url("/device/callback"), format!("{}/device/callback", server.origin())]
    {
        let page = alice.get(callback).await;
        assert_eq!(page.status, 400, "nothing was decided: {}", page.text());
        assert_eq!(page.all("h1").len(), 1);
    }
    assert_eq!(alice.get(server.url("/device/code")).await.status, 405);
}

#[tokio::test]
async fn discovery_lists_the_device_grant_unless_it_is_disabled() {
    let server = world(World::new()).start().await;
    let known = server.relying_party("cli").gets("/.well-known/openid-configuration").await.json;
    assert_eq!(known["device_authorization_endpoint"], server.url("/device/code"));
    let grants = known["grant_types_supported"].as_array().unwrap();
    assert!(grants.contains(&DEVICE_CODE.into()), "{grants:?}");

    let off = World::new().client(Client::public("cli"));
    let off = off.with("oauth2:\n  grantTypes: [authorization_code, refresh_token]").start().await;
    let cli = off.relying_party("cli");
    let known = cli.gets("/.well-known/openid-configuration").await.json;
    assert!(known.get("device_authorization_endpoint").is_none(), "{known}");
    assert_eq!(cli.posts("/device/code", &[]).await.error(), "unsupported_grant_type");
    let poll = [("grant_type", DEVICE_CODE), ("device_code", "x")];
    assert_eq!(cli.exchange(&poll).await.error(), "unsupported_grant_type");
}

/// `connectors[].grantTypes` without the device grant: that connector is not offered to devices.
#[tokio::test]
async fn a_connector_without_the_device_grant_is_not_offered_to_devices() {
    let connectors = "connectors:\n- type: mockCallback\n  id: corp\n  name: Example Corp\n  \
                      grantTypes: [authorization_code]";
    let server = world(World::new()).with(connectors).start().await;
    let device = Device::requests(&server, "openid").await;
    let mut bob = server.browser();
    types_code(&mut bob, &server, &device.user_code).await;
    let page = bob.clicks("It is mine").await;
    assert!(page.form_with("password").is_some(), "the only one left: {}", page.text());
    bob.signs_in(BOB, BOB_PASSWORD).await;
    bob.approves().await;
    assert_eq!(device.polls().await.status, 200);
}

/// Issue 9, item 25: single sign-on does not use a connector for a grant type that it does not serve.
#[tokio::test]
async fn a_session_counts_only_for_the_grant_types_of_its_connector() {
    let connectors = format!(
        "connectors:\n\
         - type: mockCallback\n  id: corp\n  name: Example Corp\n  grantTypes: [authorization_code]\n\
         - type: mockCallback\n  id: devices\n  name: Devices\n  grantTypes: [\"{DEVICE_CODE}\"]\n"
    );
    let server = world(World::new()).with(&connectors).start().await;
    let (mut bob, app) = (server.browser(), server.relying_party("example-app"));
    bob.opens(app.auth_request_with("openid", &[("connector_id", "corp")]).url).await;
    bob.auth_response();

    let device = Device::requests(&server, "openid").await;
    types_code(&mut bob, &server, &device.user_code).await;
    let page = bob.clicks("It is mine").await;
    assert_eq!(page.all("a.way"), ["Devices", "Email"], "{}", page.text());
    bob.clicks("Devices").await;
    bob.approves().await;
    assert_eq!(device.polls().await.status, 200);

    let page = bob.opens(app.auth_request("openid").url).await;
    assert_eq!(page.all("a.way"), ["Email", "Example Corp"], "{}", page.text());
}
