//! `post_logout_redirect_uri` (threat D 63): a browser is redirected only to a registered URI, and only with a valid
//! `id_token_hint` of that client.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;

use crate::scenarios::sessions::rp_initiated_logout::{BACK, logout, logs_in_at, start, world};
use crate::world::Page;

fn external_redirect(page: &Page) -> Option<Url> {
    page.location().filter(|to| to.host_str().is_some_and(|host| host.ends_with("example.com")))
}

/// The same payload with `alg: none` and no signature.
fn unsigned(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))
}

/// D 63: CVE-2021-29456 and similar. Each request signs out at most, and redirects nowhere.
#[tokio::test]
async fn no_redirect_without_a_valid_hint_and_a_registered_uri() {
    let (server, mut alice, app) = start().await;
    let foreign = world().start().await;
    let mut visitor = foreign.browser();
    let foreign_app = foreign.relying_party("example-app");
    let foreign_token = logs_in_at(&mut visitor, &foreign_app, "openid").await.id;
    let tokens = logs_in_at(&mut alice, &app, "openid").await;
    let (none, mut broken) = (unsigned(&tokens.id), tokens.id.clone());
    broken.replace_range(broken.len() - 20..broken.len() - 19, "-");
    broken.push('A');
    let hint = |token: &'_ str| ("id_token_hint".to_owned(), token.to_owned());
    let to = |uri: &str| ("post_logout_redirect_uri".to_owned(), uri.to_owned());
    let named = |id: &str| ("client_id".to_owned(), id.to_owned());
    let mut attempts = vec![
        // Without a hint or with an invalid one, also for a registered URI.
        vec![to(BACK)],
        vec![named("example-app"), to(BACK)],
        vec![hint(""), named("example-app"), to(BACK)],
        vec![hint(&none), named("example-app"), to(BACK)],
        vec![hint(&broken), named("example-app"), to(BACK)],
        vec![hint(&foreign_token), named("example-app"), to(BACK)],
        vec![hint(&tokens.access), named("example-app"), to(BACK)],
        // A token of one client with the id or the URI of another.
        vec![hint(&tokens.id), named("other"), to("https://other.example.com/")],
        vec![hint(&tokens.id), named("other"), to(BACK)],
        vec![hint(&tokens.id), to("https://other.example.com/")],
        // Repeated parameters.
        vec![hint(&tokens.id), to(BACK), to("https://evil.example.com/")],
        vec![hint(&tokens.id), hint(&tokens.id), to(BACK)],
        vec![hint(&tokens.id), to(BACK), ("state".into(), "x".repeat(8192))],
    ];
    for almost in [
        "https://evil.example.com/",
        "https://example-app.example.com/bye",
        "https://example-app.example.com/bye?from=us&more=1",
        "https://example-app.example.com/bye?from=us#x",
        "https://example-app.example.com/bye/?from=us",
        "https://example-app.example.com:443/bye?from=us",
        "https://EXAMPLE-app.example.com/bye?from=us",
        "https://example-app.example.com/bye/../bye?from=us",
        "https://example-app.example.com@evil.example.com/bye?from=us",
        "//evil.example.com/",
        "/\\evil.example.com",
        "javascript:alert(1)",
        " https://example-app.example.com/bye?from=us",
    ] {
        attempts.push(vec![hint(&tokens.id), to(almost)]);
    }
    for parameters in attempts {
        let shown: Vec<_> = parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        logs_in_at(&mut alice, &app, "openid").await;
        let page = alice.opens(logout(&server, &shown)).await.clone();
        assert_eq!(external_redirect(&page), None, "{shown:?}");
        assert!(matches!(page.status, 200 | 400), "{shown:?}: {}", page.status);
        assert!(!page.body.contains("alert(1)") && !page.body.contains("evil.example.com"));
        if let Some(form) = page.form_with("csrf") {
            assert_eq!(external_redirect(alice.submits(form).await), None, "{shown:?}");
        }
    }
}

/// Without a hint the page offers a link to a registered URI instead of redirecting. A client that logs out in a popup
/// finds its opener there, so no page on the way to it severs that (issue 9, item 9).
#[tokio::test]
async fn without_a_hint_the_page_links_to_the_registered_uri() {
    let (server, mut alice, app) = start().await;
    logs_in_at(&mut alice, &app, "openid").await;
    for (uri, expected) in [(BACK, true), ("https://evil.example.com/", false)] {
        let parameters = [("client_id", "example-app"), ("post_logout_redirect_uri", uri)];
        let policy = (!expected).then_some("same-origin");
        let page = alice.opens(logout(&server, &parameters)).await.clone();
        assert_eq!(page.header("cross-origin-opener-policy"), policy, "{uri}");
        let page = match page.form_with("csrf") {
            Some(form) => alice.submits(form).await.clone(),
            None => page,
        };
        assert_eq!(page.header("cross-origin-opener-policy"), policy, "{uri}");
        let link = page.link("The example-app");
        assert_eq!(link.map(|url| url.to_string()), expected.then(|| BACK.to_owned()), "{uri}");
    }
}

/// A developer who has not registered the URI learns why the browser stays, for which client.
#[tokio::test]
async fn an_unregistered_uri_is_named_as_the_reason_on_the_page() {
    let (server, mut alice, app) = start().await;
    let tokens = logs_in_at(&mut alice, &app, "openid").await;
    let parameters = [
        ("id_token_hint", tokens.id.as_str()),
        ("post_logout_redirect_uri", "https://example-app.example.com/other"),
    ];
    let page = alice.opens(logout(&server, &parameters)).await;
    assert_eq!((page.status, page.location()), (200, None));
    assert_eq!(page.all("h1"), ["You are signed out"]);
    for shown in
        ["that is not registered for it", "postLogoutRedirectURI", "client_id: example-app"]
    {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    // Without such a parameter there is nothing to explain.
    let tokens = logs_in_at(&mut alice, &app, "openid").await;
    let page = alice.opens(logout(&server, &[("id_token_hint", &tokens.id)])).await;
    assert!(!page.text().contains("not registered"), "{}", page.text());
}
