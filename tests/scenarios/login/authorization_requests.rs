//! Authorization requests: what is accepted, ignored and refused (OpenID Connect Core 3.1.2.1; threats A 13,
//! B 34, 35 and 37; the certification profiles Basic OP and Config OP).

use crate::world::{ALICE, ALICE_PASSWORD, Client, OtherOrigin, Page, World, claims, verified};

/// The `error` of the authorization response.
fn error(page: &Page) -> String {
    let location = page.location().unwrap_or_else(|| panic!("no redirect: {}", page.text()));
    assert!(location.as_str().starts_with("https://example-app.example.com/callback?"));
    let received = |name: &str| location.query_pairs().find(|(key, _)| key == name);
    assert!(received("code").is_none() && location.fragment().is_none(), "{location}");
    received("error").unwrap_or_else(|| panic!("no error: {location}")).1.into_owned()
}

/// B 34: tokens are never sent in a redirect.
#[tokio::test]
async fn only_the_response_type_code_is_supported() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    // Signed in and consented, so only the response type can be refused.
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    for requested in [
        "token",
        "id_token",
        "id_token token",
        "code token",
        "code id_token",
        "token code",
        "code id_token token",
        "none",
        "CODE",
        "code code",
        " code",
        "code ",
        "foo",
    ] {
        let page =
            alice.get(app.auth_request_with("openid", &[("response_type", requested)]).url).await;
        assert_eq!(error(&page), "unsupported_response_type", "{requested:?}");
    }
    let url = app.auth_request_with("openid", &[("response_type", "")]).url;
    assert_eq!(error(&alice.get(&url).await), "invalid_request");
    assert_eq!(error(&alice.get(format!("{url}&response_type=")).await), "invalid_request");
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    assert_eq!(discovery["response_types_supported"], serde_json::json!(["code"]));
}

/// B 35 and 36; CVE-2020-10770, CVE-2021-22696: no request makes the server fetch a URL.
#[tokio::test]
async fn request_objects_are_refused_and_never_fetched() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    let other_origin = OtherOrigin::start();
    let here = format!("{}/request.jwt#sha", other_origin.url);
    let (inside, long) =
        (format!("{}/x", server.telemetry()), format!("{here}{}", "x".repeat(2000)));
    let pushed = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c";
    let metadata = "http://169.254.169.254/";
    for uri in [here.as_str(), &long, &inside, metadata, "file:///etc/passwd", pushed, "x"] {
        let page = alice.get(app.auth_request_with("openid", &[("request_uri", uri)]).url).await;
        assert_eq!(error(&page), "request_uri_not_supported", "{uri:.60}");
    }
    for object in ["eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2V2aWwuZXhhbXBsZSJ9.", "x"]
    {
        let page = alice.get(app.auth_request_with("openid", &[("request", object)]).url).await;
        assert_eq!(error(&page), "request_not_supported");
    }
    // Parameters of other specifications that carry a URL.
    let more =
        ["claims", "resource", "login_uri", "registration", "jwks_uri", "sector_identifier_uri"]
            .map(|name| (name, here.as_str()));
    alice.opens(app.auth_request_with("openid", &more).url).await;
    alice.auth_response();
    assert!(other_origin.requests().is_empty(), "{:?}", other_origin.requests());
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    // If absent, `none` would be among them (section 3), and the conformance suite would send such a request object.
    assert_eq!(
        discovery["request_object_signing_alg_values_supported"],
        serde_json::json!(["RS256"])
    );
    // If absent, the second would default to true (OpenID Connect Discovery section 3).
    assert_eq!(discovery["request_parameter_supported"], false);
    assert_eq!(discovery["request_uri_parameter_supported"], false);
}

/// B 37: invalid values are not reinterpreted.
#[tokio::test]
async fn an_invalid_prompt_or_max_age_is_an_error() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    for prompt in [
        "none login",
        "login none",
        "none consent",
        "none select_account",
        "NONE",
        "None",
        "Login",
        "create",
        "none,login",
        "none\0",
    ] {
        let page = alice.get(app.auth_request_with("openid", &[("prompt", prompt)]).url).await;
        assert_eq!(error(&page), "invalid_request", "{prompt:?}");
    }
    for age in ["-1", "1e9", "abc", "1.5", "+1", " 1", "0x10", "99999999999999999999999", "\u{661}"]
    {
        let page = alice.get(app.auth_request_with("openid", &[("max_age", age)]).url).await;
        assert_eq!(error(&page), "invalid_request", "{age:?}");
    }
    // The largest possible max_age requires no new login.
    let most = u64::MAX.to_string();
    alice
        .opens(app.auth_request_with("openid", &[("max_age", &most), ("prompt", "none")]).url)
        .await;
    alice.auth_response();
}

/// The certification profile Basic OP: optional parameters are accepted, unknown ones ignored.
#[tokio::test]
async fn optional_and_unknown_parameters_are_accepted() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let claims_request =
        r#"{"id_token":{"auth_time":{"essential":true}},"userinfo":{"name":null}}"#;
    for more in [
        ("claims", claims_request),
        ("claims", "{"),
        ("acr_values", "1 2 urn:mace:incommon:iap:silver"),
        ("display", "page"),
        ("display", "wap"),
        ("ui_locales", "se de-CH"),
        ("claims_locales", "se"),
        ("login_hint", "bob@example.com"),
        ("extra", "foobar"),
        ("resource", "https://api.example.com/"),
        ("response_mode", "query"),
        ("code", "not-a-parameter-of-requests"),
        ("req", "x"),
    ] {
        let request = app.auth_request_with("openid", &[more]);
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let response = app.redeems(&request, &auth_response).await;
        assert_eq!(response.status, 200, "{more:?}: {}", response.page.body);
        let received = claims(response.id_token());
        assert_eq!(received["nonce"], request.nonce);
        assert!(received["auth_time"].is_u64() && received.get("acr").is_none(), "{received}");
    }
}

/// OpenID Connect Core 3.1.2.1: both are optional in this flow.
#[tokio::test]
async fn without_nonce_and_state_none_is_returned() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request_with("openid", &[("nonce", ""), ("state", "")]);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(auth_response.state, None);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", auth_response.code.as_str()),
        ("redirect_uri", &request.redirect_uri),
        ("code_verifier", &request.verifier),
    ];
    let response = app.exchange(&fields).await;
    assert!(claims(response.id_token()).get("nonce").is_none());
}

/// A login hint fills the form field as text, and does not decide who signs in.
#[tokio::test]
async fn a_login_hint_fills_the_field_as_plain_text() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for hint in
        [ALICE, "\"><script>alert(1)</script>", "' autofocus onfocus='alert(1)", "\u{202e}x"]
    {
        let mut alice = server.browser();
        let page = alice.opens(app.auth_request_with("openid", &[("login_hint", hint)]).url).await;
        assert_eq!(page.attributes("input[name=login]", "value"), [hint]);
        assert_eq!(page.all("script:not([src^='/dex/static/'])").len(), 0, "{}", page.body);
        assert_eq!(page.all("script").len(), 1, "the button that shows the password");
        assert!(page.attributes("input", "onfocus").is_empty());
    }
    let mut alice = server.browser();
    let request = app.auth_request_with("openid email", &[("login_hint", "bob@example.com")]);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    assert_eq!(claims(response.id_token())["email"], ALICE);
}

/// Dex's parameter `connector_id` and its paths.
#[tokio::test]
async fn a_client_may_choose_the_connector() {
    let two = "connectors:\n- type: mockCallback\n  id: mock\n  name: Mock\n";
    let picky = Client::new("picky").with("allowedConnectors: [local]");
    let server = World::new().client(picky).with(two).start().await;
    let app = server.relying_party("example-app");
    let mut alice = server.browser();
    let page = alice.opens(app.auth_request("openid").url).await;
    assert!(page.link("Mock").is_some() && page.link("Email").is_some(), "{}", page.text());

    let mut alice = server.browser();
    alice.opens(app.auth_request_with("openid", &[("connector_id", "local")]).url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    alice.auth_response();
    // Signed in at one connector, she must still sign in at the requested one (the mock one, without a page).
    let other = app.auth_request_with("openid email", &[("connector_id", "mock")]);
    alice.opens(&other.url).await;
    alice.approves().await;
    let response = app.redeems(&other, &alice.auth_response()).await;
    assert_eq!(claims(response.id_token())["email"], "kilgore@kilgore.trout");

    let mut alice = server.browser();
    let by_path = app.auth_request("openid").url.replace("/dex/auth?", "/dex/auth/local?");
    assert!(alice.opens(by_path).await.form_with("password").is_some());
    for (client, connector) in
        [("example-app", "nobody"), ("picky", "mock"), ("example-app", "../x")]
    {
        let app = server.relying_party(client);
        let url = app.auth_request_with("openid", &[("connector_id", connector)]).url;
        let page = server.browser().get(url).await;
        let location = page.location().unwrap();
        assert!(location.as_str().starts_with(&app.redirect_uri), "{location}");
        assert!(location.query().unwrap().contains("error=invalid_request"), "{location}");
    }
    // With one allowed connector there is no choice.
    let picky = server.relying_party("picky").auth_request("openid").url;
    assert!(server.browser().opens(picky).await.form_with("password").is_some());
}

/// The certification profile Config OP.
#[tokio::test]
async fn discovery_describes_what_is_implemented() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let discovery = app.gets("/.well-known/openid-configuration").await;
    assert_eq!(discovery.page.header("content-type"), Some("application/json"));
    let output = discovery.json;
    assert_eq!(output["issuer"], server.issuer());
    assert_eq!(output["claims_parameter_supported"], false);
    let algorithms = output["id_token_signing_alg_values_supported"].as_array().unwrap();
    assert!(algorithms.contains(&"RS256".into()));
    let has = |list: &str, word: &str| output[list].as_array().unwrap().contains(&word.into());
    for scope in ["openid", "email", "profile", "groups", "offline_access"] {
        assert!(has("scopes_supported", scope), "{scope}");
    }
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        assert!(has("token_endpoint_auth_methods_supported", method), "{method}");
    }
    for prompt in ["none", "login", "consent", "select_account"] {
        assert!(has("prompt_values_supported", prompt), "{prompt}");
    }
    // Every claim of a full token is in `claims_supported`, and the token is signed by a published key.
    let request = app.auth_request("openid email profile groups federated:id");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let received = verified(response.id_token(), &app.gets("/keys").await.json);
    for claim in received.as_object().unwrap().keys() {
        assert!(has("claims_supported", claim) || claim == "c_hash", "{claim} is not announced");
    }
}
