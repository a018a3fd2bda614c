//! The implicit and hybrid flows (OpenID Connect Core 3.2 and 3.3), where `oauth2.responseTypes` allows them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde_json::json;

use crate::world::{ALICE, ALICE_PASSWORD, Client, RelyingParty, Server, World, verified};

fn world() -> World {
    World::new()
        .client(Client::public("spa").redirects_to(&["https://spa.example.com/callback"]))
        .with("oauth2:\n  skipApprovalScreen: true\n  responseTypes: [code, token, id_token]")
}

/// Where Alice's browser ends with this response type.
async fn auth_response(
    server: &Server,
    app: &RelyingParty,
    parameters: &[(&str, &str)],
) -> (Url, String) {
    let request = app.auth_request_with("openid email offline_access", parameters);
    let mut alice = server.browser();
    alice.opens(&request.url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    (alice.page().location().expect("a redirect"), request.nonce)
}

fn field(url: &Url, name: &str) -> Option<String> {
    let mut in_query = url.clone();
    in_query.set_query(url.fragment());
    in_query.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn half_hash(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

#[tokio::test]
async fn each_response_type_has_its_tokens_in_the_fragment() {
    let server = world().start().await;
    let app = server.relying_party("spa");
    let keys = app.gets("/keys").await.json;
    for (response_type, has_code, has_access, has_id) in [
        ("id_token", false, false, true),
        ("id_token token", false, true, true),
        ("code id_token", true, false, true),
        ("code token", true, true, false),
        ("token id_token code", true, true, true),
    ] {
        let (url, nonce) = auth_response(&server, &app, &[("response_type", response_type)]).await;
        assert_eq!(url.query(), None, "{response_type}: {url}");
        assert_eq!(field(&url, "iss"), Some(server.issuer()), "{response_type}");
        let (code, access, id) =
            (field(&url, "code"), field(&url, "access_token"), field(&url, "id_token"));
        assert_eq!(
            (code.is_some(), access.is_some(), id.is_some()),
            (has_code, has_access, has_id),
            "{response_type}"
        );
        assert_eq!(field(&url, "token_type").as_deref(), has_access.then_some("bearer"));
        assert!(field(&url, "refresh_token").is_none());
        if let Some(id) = id {
            let id = verified(&id, &keys);
            assert_eq!((&id["nonce"], &id["email"]), (&json!(nonce), &json!(ALICE)));
            let hash = |text: &Option<String>| {
                text.as_deref().map_or(json!(null), |t| json!(half_hash(t)))
            };
            assert_eq!(id["at_hash"], hash(&access), "{response_type}");
            assert_eq!(id["c_hash"], hash(&code), "{response_type}");
        }
        if let Some(access) = access {
            assert_eq!(app.userinfo(&access).await.status, 200);
        }
    }
    let known = app.gets("/.well-known/openid-configuration").await.json;
    let types = &known["response_types_supported"];
    for one in
        ["code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"]
    {
        assert!(types.as_array().unwrap().contains(&json!(one)), "{types}");
    }
    assert!(known["grant_types_supported"].as_array().unwrap().contains(&json!("implicit")));
}

/// The code of a hybrid response is redeemed like any other.
#[tokio::test]
async fn the_code_of_a_hybrid_response_is_redeemed() {
    let server = world().start().await;
    let app = server.relying_party("spa");
    let request =
        app.auth_request_with("openid offline_access", &[("response_type", "code id_token")]);
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    assert_eq!(app.refreshes(tokens.refresh_token()).await.status, 200);
}

/// Threat 34, and what Core demands of such requests.
#[tokio::test]
async fn wrong_requests_for_tokens_are_refused() {
    let server = world().start().await;
    let app = server.relying_party("spa");
    for (parameters, expected) in [
        (vec![("response_type", "token")], "invalid_request"),
        (vec![("response_type", "id_token"), ("nonce", "")], "invalid_request"),
        (vec![("response_type", "code id_token"), ("nonce", "")], "invalid_request"),
        (vec![("response_type", "id_token"), ("response_mode", "query")], "invalid_request"),
        (vec![("response_type", "none")], "unsupported_response_type"),
        (vec![("response_type", "code code")], "unsupported_response_type"),
        (
            vec![
                ("response_type", "code id_token"),
                ("code_challenge", ""),
                ("code_challenge_method", ""),
            ],
            "invalid_request",
        ),
    ] {
        let mut alice = server.browser();
        alice.opens(app.auth_request_with("openid", &parameters).url).await;
        assert_eq!(alice.auth_error(), expected, "{parameters:?}");
    }
    // Without a code there is nothing for PKCE to protect.
    let plain =
        [("response_type", "id_token"), ("code_challenge", ""), ("code_challenge_method", "")];
    let (url, _) = auth_response(&server, &app, &plain).await;
    assert!(field(&url, "id_token").is_some(), "{url}");
    // Only the words that are configured.
    let only = World::new().with("oauth2:\n  responseTypes: [code, id_token]").start().await;
    let app = only.relying_party("example-app");
    let mut alice = only.browser();
    alice.opens(app.auth_request_with("openid", &[("response_type", "id_token token")]).url).await;
    assert_eq!(alice.auth_error(), "unsupported_response_type");
}

/// `response_mode=form_post` carries tokens too.
#[tokio::test]
async fn tokens_are_posted_with_response_mode_form_post() {
    let server = world().start().await;
    let app = server.relying_party("spa");
    let form = [("response_type", "id_token"), ("response_mode", "form_post")];
    let request = app.auth_request_with("openid", &form);
    let mut alice = server.browser();
    alice.opens(&request.url).await;
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let form = page.form_with("id_token").expect("a form with the token");
    assert!(!form.has("access_token") && !form.has("code"));
    assert_eq!(form.action.as_str(), "https://spa.example.com/callback");
}

/// `connectors[].grantTypes` without `implicit`, also with single sign-on: for tokens in the authorization response
/// another connector is needed.
#[tokio::test]
async fn a_session_of_a_connector_without_the_implicit_grant_gets_no_tokens_in_the_fragment() {
    let connectors = "connectors:\n- type: mockCallback\n  id: corp\n  name: Example Corp\n  \
                      grantTypes: [authorization_code]";
    let server = world().with(connectors).start().await;
    let app = server.relying_party("spa");
    let mut alice = server.browser();
    let at_corp = app.auth_request_with("openid", &[("connector_id", "corp")]);
    alice.logs_in(&at_corp, ALICE, ALICE_PASSWORD).await;
    for response_type in ["id_token", "code token"] {
        let silent = [("response_type", response_type), ("prompt", "none")];
        alice.opens(app.auth_request_with("openid", &silent).url).await;
        assert_eq!(alice.auth_error(), "login_required", "{response_type}");
    }
    alice.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    alice.auth_response();
}
