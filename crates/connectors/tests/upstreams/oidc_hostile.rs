//! Threats 100 and 101: an upstream that is slow, sends too much, is unreachable, or refers to URLs that must not be
//! fetched.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::oidc::{connector, login};
use crate::provider::{Provider, Signature};
use crate::steps::{ALL, accepted, broken, login_url};
use crate::tree::{map, text};
use crate::web::Reply;

const DISCOVERY: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn threat_100_for_any_upstream_response_the_login_ends_soon_and_names_the_endpoint() {
    for (path, name) in
        [(DISCOVERY, "discovery endpoint"), ("/token", "token endpoint"), ("/keys", "key set")]
    {
        for (reply, expected) in [
            (Reply::Silence, "did not answer in time"),
            (Reply::Endless, "more than 1048576 bytes"),
            (Reply::Nothing, "cannot be reached"),
            (Reply::Json(500, json!({})), "answered 500"),
            (Reply::Json(503, json!({ "error": "temporarily_unavailable" })), "503 temporarily"),
            (Reply::not_found(), "answered 404"),
            (Reply::Text(200, "text/html", "<html>maintenance</html>".into()), "JSON"),
            (Reply::Text(200, "application/json", "[1".into()), "JSON"),
            // The body is not decompressed, so it is neither a decompression bomb nor JSON.
            (Reply::With(200, "Content-Encoding", "gzip".into(), json!({})), ""),
        ] {
            let provider = Provider::start().await;
            let case = format!("{path} {reply:?}");
            provider.set(|b| b.replies = vec![(path, reply)]);
            let connector = connector(&provider, vec![("timeout", text("400ms"))]);
            let began = Instant::now();
            let cause = broken(login(&provider, &connector).await);
            assert!(began.elapsed() < Duration::from_secs(5), "{case}");
            assert!(cause.contains(expected), "{case}: {cause}");
            assert!(cause.contains(name) || cause.contains("issuer"), "{case}: {cause}");
            assert!(!cause.contains("maintenance") && !cause.contains("secret"), "{cause}");
        }
    }
}

#[tokio::test]
async fn threat_100_a_redirect_is_not_followed() {
    let provider = Provider::start().await;
    let to = format!("{}/elsewhere", provider.web.url);
    provider.set(|b| b.replies = vec![(DISCOVERY, Reply::Redirect(to))]);
    let cause = broken(login_url(&connector(&provider, vec![]), ALL).await);
    assert_eq!(cause, "the discovery endpoint answered 302");
    assert!(provider.web.requests("/elsewhere").is_empty());
}

#[tokio::test]
async fn threat_100_an_upstream_that_is_not_there_hinders_no_start_and_heals_without_one() {
    let provider = Provider::start().await;
    provider.set(|b| b.replies = vec![(DISCOVERY, Reply::Json(500, json!({})))]);
    let connector = connector(&provider, vec![]);
    assert!(provider.web.requests(DISCOVERY).is_empty(), "no request before the first login");
    for _ in 0..3 {
        assert!(broken(login_url(&connector, ALL).await).contains("500"));
    }
    assert_eq!(provider.web.requests(DISCOVERY).len(), 1, "and not again for each who comes");
    provider.set(|b| b.replies.clear());
    later(Duration::from_secs(4)).await;
    accepted(login(&provider, &connector).await);
    accepted(login(&provider, &connector).await);
    assert_eq!(provider.web.requests(DISCOVERY).len(), 2, "once it is known it is kept");
    assert_eq!(provider.web.requests("/keys").len(), 1);
    later(Duration::from_secs(3601)).await;
    accepted(login(&provider, &connector).await);
    assert_eq!(provider.web.requests(DISCOVERY).len(), 3, "for an hour");
}

#[tokio::test]
async fn threat_159_a_key_replaced_under_the_same_kid_is_fetched_but_not_each_time() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    accepted(login(&provider, &connector).await);
    provider.set(|b| b.key_replaced = true);
    assert!(broken(login(&provider, &connector).await).contains("signature"));
    assert_eq!(provider.web.requests("/keys").len(), 1, "not within ten seconds");
    later(Duration::from_secs(11)).await;
    accepted(login(&provider, &connector).await);
    assert_eq!(provider.web.requests("/keys").len(), 2);
    later(Duration::from_secs(11)).await;
    provider.set(|b| b.key_replaced = false);
    provider.set(|b| b.replies = vec![("/keys", Reply::not_found())]);
    assert!(broken(login(&provider, &connector).await).contains("404"));
}

#[tokio::test]
async fn threat_100_an_unknown_kid_fetches_the_keys_again_but_not_each_time() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    accepted(login(&provider, &connector).await);
    later(Duration::from_secs(11)).await;
    provider.set(|b| {
        b.kid = Some("second");
        b.header = Some(json!({ "alg": "ES256", "kid": "second" }));
    });
    accepted(login(&provider, &connector).await);
    assert_eq!(provider.web.requests("/keys").len(), 2, "the provider has new keys");
    provider.set(|b| b.header = Some(json!({ "alg": "ES256", "kid": "made up" })));
    for _ in 0..5 {
        assert!(broken(login(&provider, &connector).await).contains("does not publish"));
    }
    assert_eq!(provider.web.requests("/keys").len(), 2, "not within ten seconds");
    later(Duration::from_secs(11)).await;
    provider.set(|b| b.replies = vec![("/keys", Reply::not_found())]);
    assert!(broken(login(&provider, &connector).await).contains("404"));
    provider.set(|b| {
        b.header = Some(json!({ "alg": "ES256", "kid": "second" }));
        b.signature = Signature::Genuine;
    });
    accepted(login(&provider, &connector).await);
    assert_eq!(
        provider.web.requests("/keys").len(),
        3,
        "keys that flap do not matter while we have ours"
    );
}

#[tokio::test]
async fn the_issuer_of_the_document_is_compared_byte_for_byte() {
    let provider = Provider::start().await;
    for (issuer, alias, is_accepted) in [
        (None, None, true),
        (Some("https://evil.example.com"), None, false),
        (Some("https://real.example.com"), Some("https://real.example.com"), true),
        (Some("https://real.example.com/"), Some("https://real.example.com"), false),
        (Some(""), None, false),
    ] {
        provider.set(|b| {
            b.metadata.clear();
            if let Some(issuer) = issuer {
                b.metadata.insert("issuer".into(), json!(issuer));
            }
        });
        if let Some(alias) = alias {
            provider.claims(move |claims| {
                claims.insert("iss".into(), json!(alias));
            });
        }
        let keys = alias.map(|alias| ("issuerAlias", text(alias))).into_iter().collect();
        let login = login(&provider, &connector(&provider, keys)).await;
        match is_accepted {
            true => drop(accepted(login)),
            false => assert!(broken(login).contains("names the issuer"), "{issuer:?}"),
        }
    }
}

/// Threat 101.
#[tokio::test]
async fn threat_101_discovery_endpoints_at_link_local_addresses_are_refused() {
    for (member, url, expected) in [
        ("token_endpoint", json!("http://169.254.169.254/latest/meta-data"), "local link"),
        ("jwks_uri", json!("http://[::ffff:a9fe:a9fe]/"), "local link"),
        ("jwks_uri", json!("http://metadata.google.internal/"), "local link"),
        ("userinfo_endpoint", json!("gopher://127.0.0.1:70/"), "neither http nor https"),
        ("authorization_endpoint", json!("javascript:alert(1)"), "neither http nor https"),
        ("token_endpoint", json!("not a url"), "is none"),
        ("token_endpoint", Value::Null, "lacks token_endpoint"),
    ] {
        let provider = Provider::start().await;
        let case = url.to_string();
        provider.set(|b| {
            b.metadata.insert(member.into(), url);
        });
        let cause = broken(login_url(&connector(&provider, vec![]), ALL).await);
        assert!(cause.contains(expected), "{case}: {cause}");
    }
}

/// Issue 9, item 5: what logins can do without does not stop them, whatever its type.
#[tokio::test]
async fn members_of_the_document_that_are_not_understood_are_ignored() {
    for odd in [json!(5), json!({ "a": 1 }), json!([5]), json!("yes"), Value::Null] {
        let provider = Provider::start().await;
        provider.set(|b| {
            for member in [
                "scopes_supported",
                "token_endpoint_auth_methods_supported",
                "authorization_response_iss_parameter_supported",
                "end_session_endpoint",
                "id_token_signing_alg_values_supported",
            ] {
                b.metadata.insert(member.into(), odd.clone());
            }
        });
        accepted(login(&provider, &connector(&provider, vec![])).await);
    }
}

#[tokio::test]
async fn endpoints_of_the_configuration_replace_those_of_the_document() {
    let provider = Provider::start().await;
    provider.set(|b| {
        for member in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"]
        {
            b.metadata.insert(member.into(), json!("https://nowhere.invalid/"));
        }
    });
    let at = |path: &str| text(format!("{}{path}", provider.web.url));
    let overrides = map(vec![
        ("authURL", at("/authorize")),
        ("tokenURL", at("/token")),
        ("jwksURL", at("/keys")),
        ("userInfoURL", at("/userinfo")),
    ]);
    let with = vec![
        ("providerDiscoveryOverrides", overrides),
        ("getUserInfo", crate::tree::plain("true")),
    ];
    accepted(login(&provider, &connector(&provider, with)).await);
}

/// Advances the connector's clock without waiting.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
