//! LinkedIn, which deviates from OpenID Connect in three ways.

use countersign_core::connector::Fingerprint;
use countersign_core::{Connector, Secret};
use serde_json::json;

use crate::oidc::login;
use crate::provider::{CLIENT, Provider, SECRET};
use crate::steps::{ALL, CALLBACK, accepted, broken, current, login_url, missing, refresh, sound};
use crate::tree::text;
use crate::web::Reply;

async fn linkedin() -> (Provider, Connector) {
    let provider = Provider::start().await;
    provider.claims(|claims| {
        claims.remove("nonce");
        claims.insert("email_verified".into(), json!("true"));
    });
    provider.set(|b| {
        b.userinfo =
            json!({ "name": "Jane Doe", "email": "jane@example.com", "email_verified": true })
                .as_object()
                .unwrap()
                .clone();
        b.without_refresh_token = true;
    });
    let connector = sound(
        "linkedin",
        vec![
            ("issuer", text(&provider.web.url)),
            ("clientID", text(CLIENT)),
            ("clientSecret", text(SECRET)),
            ("redirectURI", text(CALLBACK)),
        ],
    );
    (provider, connector)
}

#[tokio::test]
async fn jane_signs_in_without_pkce_and_without_a_nonce_in_her_token() {
    let (provider, connector) = linkedin().await;
    assert_eq!(
        connector.fingerprint,
        Fingerprint::Upstream(format!("linkedin:{}", provider.web.url))
    );
    let url = login_url(&connector, ALL).await.unwrap().url;
    assert!(url.as_str().contains("scope=openid+profile+email&"), "{url}");
    assert!(!url.as_str().contains("code_challenge") && !url.as_str().contains("prompt"), "{url}");
    let jane = accepted(login(&provider, &connector).await);
    assert!(provider.web.requests("/token")[0].form("client_secret").is_some());
    assert_eq!(jane.identity.user_id, "1234");
    assert_eq!(jane.identity.username, "Jane Doe");
    assert!(jane.identity.preferred_username.is_empty() && jane.identity.groups.is_empty());
    assert!(jane.identity.email == "jane@example.com" && jane.identity.email_verified);
    assert_eq!(jane.upstream.unwrap().expose(), r#"{"accessToken":"the-access-token"}"#);
}

#[tokio::test]
async fn another_nonce_and_another_person_are_refused_all_the_same() {
    let (provider, connector) = linkedin().await;
    provider.claims(|claims| {
        claims.insert("nonce".into(), json!("of another login"));
    });
    assert!(broken(login(&provider, &connector).await).contains("nonce"));
    let (provider, connector) = linkedin().await;
    provider.set(|b| {
        b.userinfo.insert("sub".into(), json!("4321"));
    });
    assert!(broken(login(&provider, &connector).await).contains("sub"));
    let (provider, connector) = linkedin().await;
    provider.set(|b| {
        b.userinfo.insert("email_verified".into(), json!("true"));
    });
    assert!(!accepted(login(&provider, &connector).await).identity.email_verified);
}

#[tokio::test]
async fn a_refresh_reads_the_person_again_with_the_same_token() {
    let (provider, connector) = linkedin().await;
    assert!(!connector.refresh.as_ref().unwrap().needs_offline_login());
    let mut jane = accepted(login(&provider, &connector).await);
    provider.set(|b| {
        b.userinfo.insert("name".into(), json!("Jane Roe"));
    });
    assert_eq!(current(refresh(&connector, &jane, ALL).await).identity.username, "Jane Roe");
    provider.set(|b| b.replies = vec![("/userinfo", Reply::Json(503, json!({})))]);
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("503"));
    provider.set(|b| b.replies.clear());
    jane.upstream = Some(Secret::new(r#"{"accessToken":"an old one"}"#));
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("refuses"));
    jane.upstream = None;
    crate::steps::not_possible(refresh(&connector, &jane, ALL).await);
}
