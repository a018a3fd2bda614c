//! `response_mode=form_post`: the response is a form that our page posts to the client (OAuth 2.0 Form Post Response
//! Mode; threat A 14, CVE-2023-6134, CVE-2026-33758).

use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, Browser, Chromium, Client, Display, Need, OtherOrigin,
    Page, Server, World,
};

const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&amp;{{7*7}}";

fn form_post_request(server: &Server, scope: &str, more: &[(&str, &str)]) -> AuthRequest {
    let mut all = vec![("response_mode", "form_post")];
    all.extend_from_slice(more);
    server.relying_party("example-app").auth_request_with(scope, &all)
}

/// The value of one hidden field.
fn form_field(page: &Page, name: &str) -> Option<String> {
    let forms = page.forms();
    assert_eq!(forms.len(), 1, "{}", page.body);
    let mut found = forms[0].fields.iter().filter(|(key, _)| key == name);
    let value = found.next().map(|(_, value)| value.clone());
    assert!(found.next().is_none(), "{name} is repeated");
    value
}

fn assert_form_post_page(page: &Page, to: &str) {
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
    // The only script is a static file; nothing is inline.
    let scripts = page.attributes("script", "src");
    assert_eq!((page.all("script").len(), scripts.len()), (1, 1), "{}", page.body);
    assert!(scripts[0].starts_with("/dex/static/"), "{}", scripts[0]);
    for handler in ["onload", "onclick", "onerror", "onsubmit"] {
        assert!(page.attributes(&format!("[{handler}]"), handler).is_empty(), "{}", page.body);
    }
    // Without scripts there is a button.
    assert_eq!(page.all("form button").len(), 1);
}

#[tokio::test]
async fn a_code_is_posted_in_a_form_and_can_be_exchanged() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = form_post_request(&server, "openid email", &[]);
    alice.opens(&request.url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let page = alice.approves().await.clone();
    assert_form_post_page(&page, &app.redirect_uri);
    assert_eq!(form_field(&page, "state"), Some(request.state.clone()));
    assert_eq!(form_field(&page, "iss"), Some(server.issuer()));
    assert_eq!(form_field(&page, "error"), None);
    let code = form_field(&page, "code").unwrap();
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

/// Errors use the same response mode, once it is known.
#[tokio::test]
async fn errors_are_posted_in_a_form() {
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
        let request = form_post_request(&server, "openid", &[more]);
        let page = alice.get(&request.url).await;
        assert_form_post_page(&page, &app.redirect_uri);
        assert_eq!(form_field(&page, "error").as_deref(), Some(error), "{more:?}");
        assert_eq!(form_field(&page, "state"), Some(request.state));
        assert_eq!(form_field(&page, "iss"), Some(server.issuer()));
        assert_eq!(form_field(&page, "code"), None);
    }
    alice.opens(form_post_request(&server, "openid", &[]).url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let page = alice.rejects().await.clone();
    assert_form_post_page(&page, &app.redirect_uri);
    assert_eq!(form_field(&page, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_state_is_escaped_on_the_form_post_page() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for state in [HOSTILE, "' onfocus=alert(1) autofocus x='", "</form><form action=//evil>", ""] {
        let url = form_post_request(&server, "openid", &[("prompt", "none"), ("state", "")]).url;
        let mut url = reqwest::Url::parse(&url).unwrap();
        url.query_pairs_mut().append_pair("state", state);
        let page = alice.get(url).await;
        assert_form_post_page(&page, &app.redirect_uri);
        assert_eq!(form_field(&page, "state").as_deref(), Some(state));
        assert!(page.attributes("img", "src").iter().all(|src| src.starts_with("/dex/static/")));
    }
    let long = "s".repeat(2048);
    let page = alice
        .get(form_post_request(&server, "openid", &[("prompt", "none"), ("state", &long)]).url)
        .await;
    assert_eq!(form_field(&page, "state"), Some(long));
}

/// A redirect URI keeps its query in the form's action; quotes are escaped.
#[tokio::test]
async fn the_form_action_is_the_registered_redirect_uri() {
    let uri = "https://app.example.com/cb?a='1'&b=%22%3E&c=2";
    let app = Client::new("quoted-app").redirects_to(&[uri]);
    let server = World::new().client(app).start().await;
    let app = server.relying_party("quoted-app");
    let more = [("response_mode", "form_post"), ("prompt", "none")];
    let page = server.browser().get(app.auth_request_with("openid", &more).url).await;
    assert_eq!(page.attributes("form", "action"), [uri]);
}

#[tokio::test]
async fn an_unknown_response_mode_is_refused_in_the_query() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for mode in ["FORM_POST", "jwt", "web_message", "form_post query"] {
        let request =
            app.auth_request_with("openid", &[("response_mode", mode), ("prompt", "none")]);
        let mut alice: Browser = server.browser();
        alice.opens(&request.url).await;
        assert_eq!(alice.auth_error(), "invalid_request", "{mode}");
    }
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    assert_eq!(
        discovery["response_modes_supported"],
        serde_json::json!(["query", "fragment", "form_post"])
    );
}

/// In Chromium under our policy: the script submits the form.
#[tokio::test]
async fn browser_submits_the_form_post_page_by_itself() {
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
    let requests = application.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!((requests[0].method.as_str(), requests[0].target.as_str()), ("POST", "/callback"));
    let body = reqwest::Url::parse(&format!("http://x/?{}", requests[0].body)).unwrap();
    let form_field =
        |name: &str| body.query_pairs().find(|(k, _)| k == name).map(|(_, v)| v.into_owned());
    assert_eq!(form_field("state").as_deref(), Some(HOSTILE));
    assert_eq!(form_field("error").as_deref(), Some("login_required"));
    assert!(requests[0].header("referer").is_none(), "{requests:?}");
}
