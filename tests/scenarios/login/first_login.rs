//! A first login, without a screen and in Chromium on a desktop and on a phone without scripts; nothing may
//! violate the content security policy.

use crate::world::{
    ALICE, ALICE_PASSWORD, Chromium, Client, Display, Need, OtherOrigin, World, claims, verified,
};

#[tokio::test]
async fn alice_signs_in_approves_and_the_client_gets_her_claims() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email profile groups");

    alice.opens(&request.url).await;
    assert_eq!(alice.page().status, 200);
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let page = alice.approves().await;
    assert_eq!(page.status, 303);
    let auth_response = alice.auth_response();
    assert_eq!(auth_response.state.as_deref(), Some(request.state.as_str()));
    assert_eq!(auth_response.iss.as_deref(), Some(server.issuer().as_str()));

    let response = app.redeems(&request, &auth_response).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    assert_eq!(response.page.header("cache-control"), Some("no-store"));
    assert!(response.json["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"));
    let keys = app.gets("/keys").await.json;
    let received = verified(response.id_token(), &keys);
    assert_eq!(received["iss"], server.issuer());
    assert_eq!(received["aud"], "example-app");
    assert_eq!(received["nonce"], request.nonce);
    assert_eq!(received["email"], ALICE);
    assert_eq!(received["email_verified"], true);
    assert_eq!(received["name"], "alice");
    assert_eq!(received["groups"], serde_json::json!(["admins", "developers"]));
    assert_eq!(claims(response.access_token())["sub"], received["sub"]);
    // RFC 9068 section 2.1.
    verified(response.access_token(), &keys);
}

#[tokio::test]
async fn userinfo_returns_the_claims_of_the_person() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;

    let received = app.userinfo(response.access_token()).await;
    assert_eq!(received.status, 200, "{}", received.page.body);
    assert_eq!(received.json["email"], ALICE);
    assert_eq!(received.json["sub"], claims(response.id_token())["sub"]);
}

#[tokio::test]
async fn a_wrong_password_shows_an_error_and_the_form_again() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.opens(app.auth_request("openid").url).await;
    let page = alice.signs_in(ALICE, "alice-rides-8-bicycles").await;
    assert_eq!(page.status, 401);
    assert_eq!(page.all("[role=alert]").len(), 1, "{}", page.body);
    assert!(!page.body.contains("alice-rides-8-bicycles"), "the password is not repeated");
    assert_eq!(page.attributes("input[name=login]", "value"), [ALICE]);
    // The administrator finds this attempt in the log.
    let reference = page.all("#reference").remove(0);
    server.waits_for_log(1, &reference).await;

    // The form can be submitted again.
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    alice.auth_response();
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_get_the_same_error() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let mut output = Vec::new();
    for login in [ALICE, "nobody@example.com"] {
        let mut browser = server.browser();
        browser.opens(app.auth_request("openid").url).await;
        let page = browser.signs_in(login, "not-the-password").await;
        output.push((page.status, page.all("[role=alert]")));
    }
    assert_eq!(output[0], output[1]);
}

#[tokio::test]
async fn a_rejection_returns_access_denied_to_the_client() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email");
    alice.opens(&request.url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.rejects().await;
    assert_eq!(alice.auth_error(), "access_denied");
}

#[tokio::test]
async fn discovery_lists_the_endpoints() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let discovery = app.gets("/.well-known/openid-configuration").await;
    assert_eq!(discovery.status, 200);
    assert_eq!(discovery.page.header("content-type"), Some("application/json"));
    let output = &discovery.json;
    assert_eq!(output["issuer"], server.issuer());
    for (key, path) in [
        ("authorization_endpoint", "/auth"),
        ("token_endpoint", "/token"),
        ("jwks_uri", "/keys"),
        ("userinfo_endpoint", "/userinfo"),
    ] {
        assert_eq!(output[key], server.url(path), "{key}");
    }
    assert_eq!(output["id_token_signing_alg_values_supported"], serde_json::json!(["RS256"]));
    assert_eq!(output["response_types_supported"], serde_json::json!(["code"]));
    assert_eq!(output["subject_types_supported"], serde_json::json!(["public"]));
}

#[tokio::test]
async fn the_key_set_contains_no_private_parameters() {
    let server = World::new().start().await;
    let keys = server.relying_party("example-app").gets("/keys").await;
    assert_eq!(keys.status, 200);
    let set = keys.json["keys"].as_array().unwrap();
    assert!(!set.is_empty());
    for key in set {
        assert_eq!((key["kty"].as_str(), key["use"].as_str()), (Some("RSA"), Some("sig")));
        for private in ["d", "p", "q", "dp", "dq", "qi"] {
            assert!(key.get(private).is_none(), "a private key is published: {private}");
        }
    }
}

/// Of the test harness: a secret in the log fails a test.
#[tokio::test]
#[should_panic(expected = "the log contains")]
async fn a_secret_in_the_log_fails_the_test() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    server.assert_no_secret_in_log(&[ALICE]);
}

/// A login up to the client, which redirects to a third origin as real applications do. A browser applies
/// `form-action` to each of these redirects.
async fn signs_in_with(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let dashboard = OtherOrigin::start();
    let back_end = OtherOrigin::redirecting_to(&format!("{}/dashboard", dashboard.url));
    let callback = format!("{}/callback", back_end.url);
    let app = Client::new("example-app").redirects_to(&[&callback]);
    let server = World::new().client(app).start().await;
    let request = server.relying_party("example-app").auth_request("openid email groups");

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
    alice.waits_for_url(&dashboard.url).await;

    assert!(back_end.requests().iter().any(|request| request.target.contains("code=")));
    let console = alice.console().await;
    let severe: Vec<_> = console.iter().filter(|line| line.starts_with("SEVERE")).collect();
    // The harness's web server has no icon; nothing else may fail.
    assert!(severe.iter().all(|line| line.contains("favicon")), "{severe:?}");
}

#[tokio::test]
async fn browser_on_a_desktop_signs_in() {
    signs_in_with(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_on_a_dark_phone_without_scripts_signs_in() {
    signs_in_with(Display::PHONE.dark().without_scripts(), "phone-dark").await;
}
