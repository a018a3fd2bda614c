//! `response_mode=form_post`: the answer travels in a form that our page posts to the application
//! (OAuth 2.0 Form Post Response Mode; threat A 14, CVE-2023-6134, CVE-2026-33758).

use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, Browser, Chromium, Client, Display, Need, OtherOrigin,
    Page, Server, World,
};

const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&amp;{{7*7}}";

fn asks(server: &Server, scope: &str, more: &[(&str, &str)]) -> AuthRequest {
    let mut all = vec![("response_mode", "form_post")];
    all.extend_from_slice(more);
    server.relying_party("example-app").auth_request_with(scope, &all)
}

/// The value of one hidden field of the answer.
fn told(page: &Page, name: &str) -> Option<String> {
    let forms = page.forms();
    assert_eq!(forms.len(), 1, "{}", page.body);
    let mut found = forms[0].fields.iter().filter(|(key, _)| key == name);
    let value = found.next().map(|(_, value)| value.clone());
    assert!(found.next().is_none(), "{name} is told twice");
    value
}

fn assert_carries_safely(page: &Page, to: &str) {
    assert_eq!(page.status, 200);
    assert!(page.header("location").is_none());
    assert!(page.forms()[0].is_post);
    assert_eq!(page.forms()[0].action.as_str(), to);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    // The one script is a file of ours, and nothing runs inline.
    let scripts = page.attributes("script", "src");
    assert_eq!((page.all("script").len(), scripts.len()), (1, 1), "{}", page.body);
    assert!(scripts[0].starts_with("/dex/static/"), "{}", scripts[0]);
    for handler in ["onload", "onclick", "onerror", "onsubmit"] {
        assert!(page.attributes(&format!("[{handler}]"), handler).is_empty(), "{}", page.body);
    }
    // Without the script there is a button.
    assert_eq!(page.all("form button").len(), 1);
}

#[tokio::test]
async fn a_code_travels_in_a_form_and_is_good() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = asks(&server, "openid email", &[]);
    alice.opens(&request.url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let page = alice.approves().await.clone();
    assert_carries_safely(&page, &app.redirect_uri);
    assert_eq!(told(&page, "state"), Some(request.state.clone()));
    assert_eq!(told(&page, "iss"), Some(server.issuer()));
    assert_eq!(told(&page, "error"), None);
    let code = told(&page, "code").unwrap();
    let response = app
        .exchange(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &request.redirect_uri),
            ("code_verifier", &request.verifier),
        ])
        .await;
    assert_eq!(response.status, 200, "{}", response.page.body);
}

/// Errors take the same way as codes, as soon as the mode is known.
#[tokio::test]
async fn an_error_travels_in_a_form_too() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for (more, error) in [
        (("prompt", "none"), "login_required"),
        (("prompt", "none login"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "email"), "invalid_scope"),
        (("request", "x"), "request_not_supported"),
        (("max_age", "soon"), "invalid_request"),
    ] {
        let request = asks(&server, "openid", &[more]);
        let page = alice.get(&request.url).await;
        assert_carries_safely(&page, &app.redirect_uri);
        assert_eq!(told(&page, "error").as_deref(), Some(error), "{more:?}");
        assert_eq!(told(&page, "state"), Some(request.state));
        assert_eq!(told(&page, "iss"), Some(server.issuer()));
        assert_eq!(told(&page, "code"), None);
    }
    alice.opens(asks(&server, "openid", &[]).url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let page = alice.rejects().await.clone();
    assert_carries_safely(&page, &app.redirect_uri);
    assert_eq!(told(&page, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_state_is_text_on_the_page_and_never_markup() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for state in [HOSTILE, "' onfocus=alert(1) autofocus x='", "</form><form action=//evil>", ""] {
        let url = asks(&server, "openid", &[("prompt", "none"), ("state", "")]).url;
        let mut url = reqwest::Url::parse(&url).unwrap();
        url.query_pairs_mut().append_pair("state", state);
        let page = alice.get(url).await;
        assert_carries_safely(&page, &app.redirect_uri);
        assert_eq!(told(&page, "state").as_deref(), Some(state));
        assert!(page.attributes("img", "src").iter().all(|src| src.starts_with("/dex/static/")));
    }
    let long = "s".repeat(2048);
    let page =
        alice.get(asks(&server, "openid", &[("prompt", "none"), ("state", &long)]).url).await;
    assert_eq!(told(&page, "state"), Some(long));
}

/// An address with a query keeps it in the form's action; quotes in it stay inside the attribute.
#[tokio::test]
async fn the_action_is_the_registered_address_to_the_byte() {
    let uri = "https://app.example.com/cb?a='1'&b=%22%3E&c=2";
    let app = Client::new("quoted-app").redirects_to(&[uri]);
    let server = World::new().client(app).start().await;
    let app = server.relying_party("quoted-app");
    let more = [("response_mode", "form_post"), ("prompt", "none")];
    let page = server.browser().get(app.auth_request_with("openid", &more).url).await;
    assert_eq!(page.attributes("form", "action"), [uri]);
}

#[tokio::test]
async fn an_unknown_response_mode_is_refused_by_the_query() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for mode in ["fragment", "FORM_POST", "jwt", "web_message", "form_post query"] {
        let request =
            app.auth_request_with("openid", &[("response_mode", mode), ("prompt", "none")]);
        let mut alice: Browser = server.browser();
        alice.opens(&request.url).await;
        assert_eq!(alice.auth_error(), "invalid_request", "{mode}");
    }
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    assert_eq!(discovery["response_modes_supported"], serde_json::json!(["query", "form_post"]));
}

/// In a real browser, under our own policy: the script submits, and the application gets a POST.
#[tokio::test]
async fn browser_posts_the_answer_by_itself() {
    if Need::Browser.is_missing() {
        return;
    }
    let application = OtherOrigin::start();
    let uri = format!("{}/callback", application.url);
    let server = World::new().client(Client::new("web").redirects_to(&[&uri])).start().await;
    let app = server.relying_party("web");
    let more = [("response_mode", "form_post"), ("prompt", "none"), ("state", HOSTILE)];
    let request = app.auth_request_with("openid", &more);
    let alice = Chromium::with(Display::DESKTOP).await;
    alice.opens(&request.url).await;
    alice.waits_for_url(&application.url).await;
    let heard = application.requests();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((heard[0].method.as_str(), heard[0].target.as_str()), ("POST", "/callback"));
    let body = reqwest::Url::parse(&format!("http://x/?{}", heard[0].body)).unwrap();
    let told =
        |name: &str| body.query_pairs().find(|(k, _)| k == name).map(|(_, v)| v.into_owned());
    assert_eq!(told("state").as_deref(), Some(HOSTILE));
    assert_eq!(told("error").as_deref(), Some("login_required"));
    assert!(heard[0].header("referer").is_none(), "{heard:?}");
}
