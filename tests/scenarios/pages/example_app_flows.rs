//! The example application in every flow that its page offers.

use std::time::Duration;

use crate::scenarios::login::device::{confirms_device, types_code};
use crate::world::{ALICE, ALICE_PASSWORD, Browser, Client, Need, Page, Server, World};

const OAUTH2: &str = "oauth2:
  skipApprovalScreen: true
  responseTypes: [code, token, id_token]
  passwordConnector: local
  grantTypes: [authorization_code, refresh_token, implicit, password, client_credentials, \
    \"urn:ietf:params:oauth:grant-type:device_code\"]";

/// With the example application on port 5555 of the same address.
async fn start(world: World) -> Server {
    let callback = format!("{}/callback", world.origin().replace(":5556", ":5555"));
    let client = Client::new("example-app").redirects_to(&[&callback, "/device/callback"]);
    world.client(client).with(OAUTH2).with("exampleApp:\n  clientID: example-app").start().await
}

fn application(server: &Server, path: &str) -> String {
    format!("{}{path}", server.origin().replace(":5556", ":5555"))
}

/// Begins a login with this flow, after filling further fields and without `unselected`.
async fn begins<'a>(
    alice: &'a mut Browser,
    server: &Server,
    flow: &str,
    fields: &[(&str, &str)],
    unselected: &str,
) -> &'a Page {
    alice.opens(application(server, "/")).await;
    let mut form = alice.page().form_with("flow").expect("the form that begins a login");
    form.fields.retain(|(name, value)| (name.as_str(), value.as_str()) != ("scope", unselected));
    let form = fields.iter().fold(form, |form, (name, value)| form.fill(name, value));
    alice.submits(form.fill("flow", flow)).await
}

async fn presses(alice: &mut Browser, action: &str) -> String {
    let form = alice.page().form_with("action").expect("the buttons");
    alice.submits(form.press("action", action)).await;
    alice.page().text()
}

#[tokio::test]
async fn it_signs_in_with_every_response_type() {
    let server = start(World::new()).await;
    for (flow, label) in [
        ("code", "Authorization code"),
        ("code-id_token", "Hybrid: code id_token"),
        ("code-token", "Hybrid: code token"),
        ("code-id_token-token", "Hybrid: code id_token token"),
        ("id_token", "Implicit: id_token"),
        ("id_token-token", "Implicit: id_token token"),
    ] {
        let mut alice = server.browser();
        begins(&mut alice, &server, flow, &[], "").await;
        alice.signs_in(ALICE, ALICE_PASSWORD).await;
        // The form of `response_mode=form_post`, which a script submits.
        if let Some(form) = alice.page().form_with("state") {
            alice.submits(form).await;
        }
        let page = alice.page();
        assert_eq!(page.all("h1"), ["Signed in as alice"], "{flow}: {}", page.text());
        for shown in [&format!("Flow {label}"), "expiry and nonce are right."] {
            assert!(page.text().contains(shown), "{flow}, {shown}: {}", page.text());
        }
    }
}

/// Without a browser there is no nonce to compare.
#[tokio::test]
async fn it_signs_in_with_a_password_and_as_itself() {
    let server = start(World::new()).await;
    let mut alice = server.browser();
    let typed = [("username", ALICE), ("password", ALICE_PASSWORD)];
    let page = begins(&mut alice, &server, "password", &typed, "").await;
    assert_eq!(page.all("h1"), ["Signed in as alice"], "{}", page.text());
    for shown in ["Flow User name and password", "expiry are right.", "Refresh token"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }

    let page = begins(&mut alice, &server, "client", &[], "").await;
    assert!(page.all("#error")[0].starts_with("invalid_scope"), "{}", page.text());
    let page = begins(&mut alice, &server, "client", &[], "offline_access").await;
    assert_eq!(page.all("h1"), ["Signed in as The example-app"], "{}", page.text());
    let text = presses(&mut alice, "introspect").await;
    assert!(text.contains("\"active\": true") && text.contains("client:example-app"), "{text}");
}

/// RFC 8628 section 3.5: no request is sent before the interval is over, and none after the decision.
#[tokio::test]
async fn it_polls_for_a_device_code_at_the_interval_of_the_issuer() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = start(World::with_stopped_clock()).await;
    let (mut alice, mut phone) = (server.browser(), server.browser());
    let poll = application(&server, "/poll");

    begins(&mut alice, &server, "device", &[], "").await;
    assert_eq!(alice.page().header("refresh"), Some("5; url=/poll"));
    let code = alice.page().all("#user-code")[0].clone();
    let page = alice.opens(&poll).await;
    assert!(page.all("#error").is_empty() && page.header("refresh").is_some(), "{}", page.text());
    let text = presses(&mut alice, "poll").await;
    assert!(text.contains("one request in 5 seconds"), "{text}");
    types_code(&mut phone, &server, &code).await;
    confirms_device(&mut phone, ALICE, ALICE_PASSWORD).await;
    phone.approves().await;
    server.advance(Duration::from_secs(6));
    let page = alice.opens(&poll).await;
    assert_eq!(page.all("h1"), ["Signed in as alice"], "{}", page.text());
    assert!(page.text().contains("Flow Device code") && page.header("refresh").is_none());

    begins(&mut alice, &server, "device", &[], "").await;
    let code = alice.page().all("#user-code")[0].clone();
    types_code(&mut phone, &server, &code).await;
    confirms_device(&mut phone, ALICE, ALICE_PASSWORD).await;
    phone.rejects().await;
    let page = alice.opens(&poll).await;
    assert!(page.all("#error")[0].starts_with("access_denied"), "{}", page.text());
    assert!(page.header("refresh").is_none(), "it stops polling: {}", page.text());
}

/// The paths of the application's own pages cannot receive a redirect.
#[tokio::test]
async fn a_redirect_uri_that_is_one_of_its_pages_is_refused() {
    let server = World::new().start().await;
    for path in ["", "start", "action", "poll", "static/callback"] {
        let uri = format!("http://127.0.0.1:5555/{path}");
        let output = server.runs_command(&["example-app", "--redirect-uri", &uri], &[]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{path}: {message}");
        assert!(message.contains("a path of the application's own pages"), "{path}: {message}");
    }
    let client = Client::new("example-app").redirects_to(&["http://127.0.0.1:5555/start"]);
    let refused = World::new().client(client).with("exampleApp:\n  clientID: example-app");
    let refused = refused.refuses_to_start().await;
    assert!(refused.contains("has no redirect URI such as"), "{refused}");
}
