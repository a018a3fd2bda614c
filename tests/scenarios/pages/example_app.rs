//! The example application beside the server: the tokens that an application receives, as shown to an administrator.

use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Chromium, Client, Display, Need, Server, World,
};

/// A server with the example application on port 5555 of the same address.
async fn server() -> Server {
    let world = World::new();
    let origin = world.origin().replace(":5556", ":5555");
    let callback = format!("{origin}/callback");
    world
        .client(
            Client::new("example-app")
                .redirects_to(&[&callback])
                .with(&format!("postLogoutRedirectURIs: [\"{origin}/\"]")),
        )
        .with("exampleApp:\n  clientID: example-app")
        .start()
        .await
}

fn app(server: &Server) -> String {
    server.origin().replace(":5556", ":5555")
}

/// Presses "Sign in" on the example application's page, and completes the login up to that page again.
async fn signs_in(alice: &mut Browser, app: &str) {
    alice.opens(app).await;
    let form = alice.page().form_with("flow").expect("the form that begins a login");
    alice.submits(form).await;
    if alice.page().form_with("password").is_some() {
        alice.signs_in(ALICE, ALICE_PASSWORD).await;
    }
    if alice.page().form_with("approval").is_some() {
        alice.approves().await;
    }
}

async fn presses(alice: &mut Browser, action: &str) -> String {
    let form = alice.page().form_with("action").expect("the buttons");
    alice.submits(form.press("action", action)).await;
    alice.page().text()
}

#[tokio::test]
async fn it_shows_the_tokens_and_what_a_cluster_makes_of_them() {
    let server = server().await;
    let mut alice = server.browser();
    signs_in(&mut alice, &app(&server)).await;
    let page = alice.page();
    assert_eq!(page.all("h1"), ["Signed in as alice"], "{}", page.text());
    for shown in [
        "Signature, issuer, audience, expiry and nonce are right.",
        "oidc:alice@example.com",
        "oidc:admins",
        "Subject: the user's identifier",
        "openid email groups profile offline_access",
        "Refresh token",
    ] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"), "{policy}");

    let text = presses(&mut alice, "userinfo").await;
    assert!(text.contains("/userinfo") && text.contains(ALICE), "{text}");
    let text = presses(&mut alice, "introspect").await;
    assert!(text.contains("\"active\": true"), "{text}");
    let text = presses(&mut alice, "refresh").await;
    assert!(text.contains("Flow Refresh token"), "{text}");
    let text = presses(&mut alice, "revoke").await;
    assert!(text.contains("/revoke") && text.contains("200"), "{text}");
    let text = presses(&mut alice, "introspect").await;
    assert!(text.contains("\"active\": false"), "{text}");
    let text = presses(&mut alice, "refresh").await;
    assert!(text.contains("invalid_grant: The session this refresh token belongs to"), "{text}");
    let text = presses(&mut alice, "forget").await;
    assert!(text.contains("What does an application get?"), "{text}");
}

#[tokio::test]
async fn it_signs_out_at_the_issuer_and_forgets() {
    let server = server().await;
    let mut alice = server.browser();
    signs_in(&mut alice, &app(&server)).await;
    let form = alice.page().form_with("action").unwrap().press("action", "logout");
    alice.submits(form).await;
    assert!(
        alice.page().url.as_str().contains("/dex/logout") || alice.page().url.port() == Some(5555)
    );
    let page = alice.opens(app(&server)).await;
    assert_eq!(page.all("h1"), ["What does an application get?"]);
}

#[tokio::test]
async fn a_refusal_is_shown_with_its_reason() {
    let server = server().await;
    let mut alice = server.browser();
    alice.opens(app(&server)).await;
    let form = alice.page().form_with("flow").unwrap();
    alice.submits(form).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let page = alice.rejects().await;
    assert!(page.all("#error")[0].starts_with("access_denied"), "{}", page.text());
}

/// Threats A and B: a response from another browser, and a response a second time, is refused.
#[tokio::test]
async fn a_response_counts_once_and_only_in_the_browser_that_began() {
    let server = server().await;
    let (mut alice, mut mallory) = (server.browser(), server.browser());
    alice.opens(app(&server)).await;
    let form = alice.page().form_with("flow").unwrap();
    let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let authorization = alice.post_form(&form.action, &fields).await.location().unwrap();
    let state = authorization.query_pairs().find(|(key, _)| key == "state").unwrap().1.into_owned();
    let callback = format!("{}/callback?code=a-stolen-code&state={state}", app(&server));
    assert_eq!(mallory.get(&callback).await.status, 400, "another browser");
    let unknown = format!("{}/callback?code=a-stolen-code&state=unknown", app(&server));
    assert_eq!(alice.get(&unknown).await.status, 400, "another login");
    assert_eq!(alice.get(&callback).await.status, 303);
    assert_eq!(alice.get(&callback).await.status, 400, "a second time");
    let page = alice.opens(app(&server)).await;
    assert!(page.all("#error")[0].starts_with("invalid_grant"), "{}", page.text());
}

#[tokio::test]
async fn a_client_that_is_unknown_or_has_no_place_to_listen_does_not_start() {
    let refused =
        World::new().with("exampleApp:\n  clientID: exampel-app").refuses_to_start().await;
    assert!(
        refused.contains("exampleApp.clientID") && refused.contains("example-app"),
        "{refused}"
    );
    let refused =
        World::new().with("exampleApp:\n  clientID: example-app").refuses_to_start().await;
    assert!(refused.contains("has no redirect URI such as"), "{refused}");
}

#[tokio::test]
async fn completion_scripts_of_both_programs_name_their_commands() {
    let server = World::new().start().await;
    let workstation = server.workstation();
    for shell in ["bash", "zsh", "fish"] {
        let script = server.runs_command(&["generate", "completions", shell], &[]);
        let text = String::from_utf8(script.stdout).unwrap();
        assert!(text.contains("example-app") && text.contains("sessions"), "{shell}");
        let printed = workstation.runs_command(&["completion", shell]);
        assert!(printed.stdout.contains("get-token"), "{shell}: {}", printed.stderr);
    }
}

#[tokio::test]
async fn browser_shows_the_example_application_on_desktop_and_phone() {
    if Need::Browser.is_missing() {
        return;
    }
    let server = server().await;
    for (number, (look, name)) in [
        (Display::DESKTOP, "desktop"),
        (Display::DESKTOP.dark(), "desktop-dark"),
        (Display::PHONE.without_scripts(), "phone"),
        (Display::PHONE.dark().without_scripts(), "phone-dark"),
    ]
    .into_iter()
    .enumerate()
    {
        let chromium = Chromium::with(look).await;
        chromium.opens(app(&server)).await;
        chromium.sees("#start").await;
        chromium.screenshot(&format!("example-app-form-{name}")).await;
        assert!(!chromium.overflows().await, "the form on {name}");
        chromium.presses("#start").await;
        chromium.signs_in(ALICE, ALICE_PASSWORD).await;
        // Her consent is stored for the user, not for the browser.
        if number == 0 {
            chromium.approves().await;
        }
        chromium.waits_for_url(&app(&server)).await;
        chromium.sees("#id_token").await;
        chromium.screenshot(&format!("example-app-tokens-{name}")).await;
        assert!(!chromium.overflows().await, "the tokens on {name}");
        let console = chromium.console().await;
        assert!(console.iter().all(|line| line.contains("favicon")), "{console:?}");
    }
}
