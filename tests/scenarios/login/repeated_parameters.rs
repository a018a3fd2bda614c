//! Repeated parameters are refused (RFC 6749 section 3.1; threat A 11).

use crate::world::{ALICE, ALICE_PASSWORD, Page, World};

fn error(page: &Page) -> Option<String> {
    let location = page.location()?;
    assert!(location.as_str().starts_with("https://example-app.example.com/callback?"));
    location.query_pairs().find(|(name, _)| name == "error").map(|(_, value)| value.into_owned())
}

fn assert_error_page(page: &Page, what: &str) {
    assert_eq!(page.status, 400, "{what}: {}", page.text());
    assert!(page.header("location").is_none(), "{what}");
}

/// Name and value pairs of a request's URL.
fn fields(url: &str) -> Vec<(String, String)> {
    reqwest::Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

const BAD: [(&str, &str); 2] =
    [("redirect_uri", "https://evil.example/callback"), ("client_id", "another-app")];

#[tokio::test]
async fn a_repeated_redirect_uri_or_client_id_gets_an_error_page() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for (name, bad) in BAD {
        for prompt in ["login", "none"] {
            let url = app.auth_request_with("openid", &[("prompt", prompt)]).url;
            let valid = fields(&url).into_iter().find(|(known, _)| known == name).unwrap().1;
            for second in [bad, &valid, ""] {
                let pair = reqwest::Url::parse_with_params("http://x/", [(name, second)]).unwrap();
                let pair = pair.query().unwrap();
                let (path, rest) = url.split_once('?').unwrap();
                let behind = format!("{url}&{pair}");
                let before = format!("{path}?{pair}&{rest}");
                for requested in [behind, before] {
                    assert_error_page(&server.browser().get(&requested).await, &requested);
                }
            }
        }
    }
}

#[tokio::test]
async fn any_other_repeated_parameter_is_an_invalid_request() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let url = app.auth_request_with("openid", &[("prompt", "login"), ("max_age", "9")]).url;
    for (name, value) in fields(&url) {
        if BAD.iter().any(|(bad, _)| *bad == name) {
            continue;
        }
        for second in [value.as_str(), "another"] {
            let page = server.browser().get(format!("{url}&{name}={second}")).await;
            assert_eq!(error(&page).as_deref(), Some("invalid_request"), "{name}={second}");
            // A repeated state is not returned.
            let location = page.location().unwrap();
            let states = location.query_pairs().filter(|(key, _)| key == "state").count();
            assert_eq!(states, usize::from(name != "state"), "{location}");
        }
    }
    let page = server.browser().get(format!("{url}&unknown=1&unknown=2")).await;
    // RFC 6749 section 3.1: unknown parameters are ignored, such as two `resource` of RFC 8707.
    let location = page.location().unwrap();
    assert!(location.as_str().starts_with(&server.url("/auth/")), "{location}");
}

#[tokio::test]
async fn repeated_parameters_of_a_form_are_refused() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let valid = fields(&app.auth_request("openid").url);
    for (name, value) in BAD {
        let mut twice = valid.clone();
        twice.push((name.into(), value.into()));
        let mut browser = server.browser();
        let response = browser.post_form(server.url("/auth"), &borrowed(&twice)).await;
        assert_error_page(browser.follow(response).await, name);
    }
    let mut twice = valid.clone();
    twice.push(("scope".into(), "openid email".into()));
    let mut browser = server.browser();
    let response = browser.post_form(server.url("/auth"), &borrowed(&twice)).await;
    assert_eq!(error(browser.follow(response).await).as_deref(), Some("invalid_request"));
}

/// The query and the body of one request count together.
#[tokio::test]
async fn a_parameter_in_query_and_body_is_repeated() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let valid = fields(&app.auth_request("openid").url);
    for path in ["/auth", "/auth/local"] {
        for (name, value) in BAD {
            let mut url = reqwest::Url::parse(&server.url(path)).unwrap();
            url.query_pairs_mut().append_pair(name, value);
            let mut browser = server.browser();
            let response = browser.post_form(url, &borrowed(&valid)).await;
            assert_error_page(browser.follow(response).await, name);
        }
        let mut browser = server.browser();
        let url = format!("{}?scope=openid", server.url(path));
        let response = browser.post_form(url, &borrowed(&valid)).await;
        assert_eq!(error(browser.follow(response).await).as_deref(), Some("invalid_request"));
    }
}

/// OpenID Connect Core 3.1.2.1: the authorization endpoint accepts POST.
#[tokio::test]
async fn an_authorization_request_may_be_sent_by_post() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let mut alice = server.browser();
    for path in ["/auth", "/auth/local"] {
        let request = app.auth_request_with("openid", &[("prompt", "login consent")]);
        let response = alice.post_form(server.url(path), &borrowed(&fields(&request.url))).await;
        alice.follow(response).await;
        alice.signs_in(ALICE, ALICE_PASSWORD).await;
        alice.approves().await;
        assert_eq!(app.redeems(&request, &alice.auth_response()).await.status, 200, "{path}");
    }
}
