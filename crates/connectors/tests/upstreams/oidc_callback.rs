//! Callbacks: errors, forged links, codes presented twice, responses to another login.

use countersign_core::connector::Refusal;
use serde_json::json;

use crate::oidc::connector;
use crate::provider::Provider;
use crate::steps::{ALL, accepted, broken, handle_callback, login_url, refused, trace_text};

/// Threat 98.
#[tokio::test]
async fn a_callback_with_an_error_or_without_a_code_is_refused_without_repeating_it() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    let redirect = login_url(&connector, ALL).await.unwrap();
    let denied = |code: &str| Some(Refusal::UpstreamDenied { code: code.to_owned() });
    for (query, expected) in [
        (vec![("error", "access_denied"), ("code", "x")], denied("access_denied")),
        (vec![("error", "login_required")], denied("login_required")),
        (vec![("error", "server_error")], None),
        (vec![("error", "<script>alert(1)</script>\r\nSet-Cookie: a=b")], None),
        (vec![], denied("invalid_request")),
        (vec![("code", "")], denied("invalid_request")),
        (vec![("code", "a"), ("code", "b")], denied("invalid_request")),
        (vec![("code", "somebody else's")], denied("invalid_grant")),
        (
            vec![("code", "the-code"), ("iss", "https://evil.example.com")],
            denied("invalid_request"),
        ),
    ] {
        let query: Vec<(String, String)> =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (login, _) = handle_callback(&connector, &redirect, &query, ALL).await;
        match expected {
            Some(expected) => assert_eq!(refused(login), expected),
            None => {
                let cause = broken(login);
                assert!(!cause.contains('<') && !cause.contains("evil"), "{cause}");
            }
        }
    }
}

/// Threat 99.
#[tokio::test]
async fn the_same_code_presented_twice_is_refused_the_second_time() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    let redirect = login_url(&connector, ALL).await.unwrap();
    let query = provider.visited(&redirect);
    accepted(handle_callback(&connector, &redirect, &query, ALL).await.0);
    let again = refused(handle_callback(&connector, &redirect, &query, ALL).await.0);
    assert_eq!(again, Refusal::UpstreamDenied { code: "invalid_grant".to_owned() });
}

/// RFC 9207: a code issued by another provider is not sent to this one's token endpoint.
#[tokio::test]
async fn a_provider_that_promises_to_name_itself_must() {
    let provider = Provider::start().await;
    provider.set(|b| {
        let promise = "authorization_response_iss_parameter_supported";
        b.metadata.insert(promise.into(), json!(true));
    });
    let connector = connector(&provider, vec![]);
    let redirect = login_url(&connector, ALL).await.unwrap();
    let mut query = provider.visited(&redirect);
    let (login, trace) = handle_callback(&connector, &redirect, &query, ALL).await;
    // The login is refused. The connector is not recorded as down, because anybody can forge such a link.
    assert_eq!(refused(login), Refusal::UpstreamDenied { code: "invalid_request".to_owned() });
    assert!(trace_text(&trace).contains("iss") && !trace_text(&trace).contains("token endpoint"));
    query.push(("iss".to_owned(), provider.web.url.clone()));
    accepted(handle_callback(&connector, &redirect, &query, ALL).await.0);
}
