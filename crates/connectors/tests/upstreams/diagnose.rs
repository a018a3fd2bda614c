//! The diagnosis of a connector without a login, and the logout URL of the upstream.

use countersign_core::connector::{ConnectorError, LoginMethod};
use countersign_core::{Connector, Trace};
use serde_json::json;

use crate::oidc::connector;
use crate::provider::Provider;
use crate::steps::{Keys, broken, now, sound, trace_text};
use crate::tree::{list, map, text};
use crate::web::Reply;

pub async fn diagnose(
    connector: &Connector,
    user: Option<&str>,
) -> (Result<Option<Vec<String>>, ConnectorError>, String) {
    let LoginMethod::Redirect(method) = &connector.login_method else { panic!("it is a redirect") };
    let mut trace = Trace::default();
    let groups = method.diagnose(user, now(), &mut trace).await;
    (groups, trace_text(&trace))
}

#[tokio::test]
async fn a_healthy_provider_passes_every_check_without_a_user() {
    let provider = Provider::start().await;
    let (groups, trace) = diagnose(&connector(&provider, vec![]), Some("jane")).await;
    assert_eq!(groups.unwrap(), None, "the identity is known only at a login");
    for words in
        ["people sign in at", "/authorize", "keys that can sign", "Included token endpoint"]
    {
        assert!(trace.contains(words), "{words}: {trace}");
    }
    assert!(!trace.contains("secret"), "{trace}");
    assert_eq!(provider.web.requests("/token").len(), 1);
}

#[tokio::test]
async fn a_provider_fault_is_reported_with_its_endpoint() {
    let invalid = json!({ "error": "invalid_client" });
    for (path, reply, expected) in [
        ("/.well-known/openid-configuration", Reply::not_found(), "discovery endpoint"),
        ("/keys", Reply::ok(json!({ "keys": [] })), "a key we can use"),
        ("/token", Reply::Json(401, invalid.clone()), "401 invalid_client"),
        ("/token", Reply::Json(400, invalid), "400 invalid_client"),
        ("/token", Reply::Nothing, "token endpoint cannot be reached"),
        ("/token", Reply::ok(json!({ "access_token": "x", "token_type": "bearer" })), "made-up"),
    ] {
        let provider = Provider::start().await;
        provider.set(|b| b.replies = vec![(path, reply)]);
        let (outcome, trace) = diagnose(&connector(&provider, vec![]), None).await;
        let cause = broken(outcome);
        assert!(cause.contains(expected), "{path}: {cause}");
        assert!(trace.contains(&format!("failed: {cause}")), "{trace}");
    }
    // If the provider complains about the made-up callback first, the response does not show whether the client secret
    // is right.
    let provider = Provider::start().await;
    let reply = Reply::Json(400, json!({ "error": "invalid_request" }));
    provider.set(|b| b.replies = vec![("/token", reply)]);
    let (outcome, trace) = diagnose(&connector(&provider, vec![]), None).await;
    assert!(outcome.unwrap().is_none() && trace.contains("it does not say"), "{trace}");
}

async fn sign_out_url(provider: &Provider, keys: Keys) -> Option<String> {
    let connector = connector(provider, keys);
    let LoginMethod::Redirect(method) = &connector.login_method else { panic!("it is a redirect") };
    method.sign_out_url().await.map(String::from)
}

#[tokio::test]
async fn the_sign_out_url_is_the_providers_or_the_configured_one() {
    let provider = Provider::start().await;
    assert_eq!(sign_out_url(&provider, vec![]).await, None);
    let announce = |url: &str| {
        let url = json!(url);
        provider.set(|b| drop(b.metadata.insert("end_session_endpoint".into(), url)));
    };
    announce("https://id.example.net/out?a=b");
    let expected = "https://id.example.net/out?a=b&client_id=countersign";
    assert_eq!(sign_out_url(&provider, vec![]).await.as_deref(), Some(expected));
    let overrides = map(vec![("endSessionURL", text("https://id.example.net/bye"))]);
    let keys = vec![("providerDiscoveryOverrides", overrides)];
    let expected = "https://id.example.net/bye?client_id=countersign";
    assert_eq!(sign_out_url(&provider, keys).await.as_deref(), Some(expected));
    // The URL becomes a link on our page, so an unsafe one is left out; the login succeeds nevertheless.
    for hostile in ["javascript:alert(1)", "data:text/html,x", "http://169.254.169.254/", "", "::"]
    {
        announce(hostile);
        assert_eq!(sign_out_url(&provider, vec![]).await, None, "{hostile}");
        let login = crate::oidc::login(&provider, &connector(&provider, vec![])).await;
        crate::steps::accepted(login);
    }
    provider.set(|b| b.replies = vec![("/.well-known/openid-configuration", Reply::Nothing)]);
    assert_eq!(sign_out_url(&provider, vec![]).await, None);
}

#[tokio::test]
async fn each_connector_type_checks_its_client_credentials() {
    for (kind, at, path) in [
        ("gitlab", "baseURL", "/oauth/token"),
        ("microsoft", "apiURL", "/common/oauth2/v2.0/token"),
        ("linkedin", "issuer", "/token"),
    ] {
        let provider = Provider::start().await;
        let keys = || {
            vec![
                (at, text(&provider.web.url)),
                ("clientID", text("countersign")),
                ("clientSecret", text("secret")),
                ("timeout", text("2s")),
            ]
        };
        for (reply, expected) in [
            (Reply::Json(400, json!({ "error": "invalid_grant" })), None),
            (Reply::Json(401, json!({ "error": "invalid_client" })), Some("invalid_client")),
            (Reply::not_found(), Some("404")),
        ] {
            provider.set(|b| b.replies = vec![(path, reply)]);
            let (outcome, trace) = diagnose(&sound(kind, keys()), None).await;
            match expected {
                None => assert_eq!(outcome.unwrap(), None, "{kind}: {trace}"),
                Some(expected) => assert!(broken(outcome).contains(expected), "{kind}: {trace}"),
            }
        }
    }
}

#[tokio::test]
async fn the_groups_of_a_google_user_are_read_without_a_login() {
    let world = crate::google::world().await;
    let connector = world.with_directory(vec![]);
    let (groups, trace) = diagnose(&connector, Some("jane@example.com")).await;
    let groups = groups.unwrap().unwrap();
    assert!(groups.contains(&"a@example.com".to_owned()), "{groups:?}: {trace}");
    assert!(trace.contains("Included a@example.com"), "{trace}");
    let (nobody, trace) = diagnose(&connector, None).await;
    assert_eq!(nobody.unwrap(), None);
    assert!(trace.contains("--user EMAIL"), "{trace}");
    let keys = vec![("groups", list(vec![text("board@example.com")]))];
    let (groups, trace) = diagnose(&world.with_directory(keys), Some("jane@example.com")).await;
    assert_eq!(groups.unwrap(), Some(Vec::new()));
    assert!(trace.contains("would be refused"), "{trace}");
    world.provider.set(|b| {
        b.replies = vec![("/admin/directory/v1/groups", Reply::Json(403, json!({})))];
    });
    let (outcome, _) = diagnose(&connector, Some("jane@example.com")).await;
    assert!(broken(outcome).contains("may not read groups"));
}
