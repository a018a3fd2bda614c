//! A parameter said twice means two things to two readers, so it means nothing (RFC 6749 section
//! 3.1; threat A 11).

use crate::world::{ALICE, ALICE_PASSWORD, Page, World};

fn error(page: &Page) -> Option<String> {
    let location = page.location()?;
    assert!(location.as_str().starts_with("https://example-app.example.com/callback?"));
    location.query_pairs().find(|(name, _)| name == "error").map(|(_, value)| value.into_owned())
}

fn stays_here(page: &Page, what: &str) {
    assert_eq!(page.status, 400, "{what}: {}", page.text());
    assert!(page.header("location").is_none(), "{what}");
}

/// As `(name, value)`, from a request's URL.
fn fields(url: &str) -> Vec<(String, String)> {
    reqwest::Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

const BAD: [(&str, &str); 2] =
    [("redirect_uri", "https://evil.example/callback"), ("client_id", "another-app")];

#[tokio::test]
async fn of_two_redirect_uris_or_clients_neither_is_believed() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for (name, bad) in BAD {
        for prompt in ["login", "none"] {
            let url = app.auth_request_with("openid", &[("prompt", prompt)]).url;
            let good = fields(&url).into_iter().find(|(known, _)| known == name).unwrap().1;
            for second in [bad, &good, ""] {
                let pair = reqwest::Url::parse_with_params("http://x/", [(name, second)]).unwrap();
                let pair = pair.query().unwrap();
                let (path, rest) = url.split_once('?').unwrap();
                let behind = format!("{url}&{pair}");
                let before = format!("{path}?{pair}&{rest}");
                for asked in [behind, before] {
                    stays_here(&server.browser().get(&asked).await, &asked);
                }
            }
        }
    }
}

#[tokio::test]
async fn any_other_parameter_said_twice_is_an_error_the_application_hears() {
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
            // Of two states none can be the application's.
            let location = page.location().unwrap();
            let states = location.query_pairs().filter(|(key, _)| key == "state").count();
            assert_eq!(states, usize::from(name != "state"), "{location}");
        }
    }
    let page = server.browser().get(format!("{url}&unknown=1&unknown=2")).await;
    // RFC 6749 section 3.1: what is not known is ignored, such as two `resource` of RFC 8707.
    let location = page.location().unwrap();
    assert!(location.as_str().starts_with(&server.url("/auth/")), "{location}");
}

#[tokio::test]
async fn a_form_is_read_as_strictly_as_a_query() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let good = fields(&app.auth_request("openid").url);
    for (name, value) in BAD {
        let mut twice = good.clone();
        twice.push((name.into(), value.into()));
        let mut browser = server.browser();
        let response = browser.post_form(server.url("/auth"), &borrowed(&twice)).await;
        stays_here(browser.follow(response).await, name);
    }
    let mut twice = good.clone();
    twice.push(("scope".into(), "openid email".into()));
    let mut browser = server.browser();
    let response = browser.post_form(server.url("/auth"), &borrowed(&twice)).await;
    assert_eq!(error(browser.follow(response).await).as_deref(), Some("invalid_request"));
}

/// One reader believes the query, another the body: both see both.
#[tokio::test]
async fn what_stands_in_the_query_and_in_the_body_stands_twice() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let good = fields(&app.auth_request("openid").url);
    for path in ["/auth", "/auth/local"] {
        for (name, value) in BAD {
            let mut url = reqwest::Url::parse(&server.url(path)).unwrap();
            url.query_pairs_mut().append_pair(name, value);
            let mut browser = server.browser();
            let response = browser.post_form(url, &borrowed(&good)).await;
            stays_here(browser.follow(response).await, name);
        }
        let mut browser = server.browser();
        let url = format!("{}?scope=openid", server.url(path));
        let response = browser.post_form(url, &borrowed(&good)).await;
        assert_eq!(error(browser.follow(response).await).as_deref(), Some("invalid_request"));
    }
}

/// OpenID Connect Core 3.1.2.1: the authorization endpoint takes a form as well.
#[tokio::test]
async fn a_request_may_come_as_a_form() {
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
