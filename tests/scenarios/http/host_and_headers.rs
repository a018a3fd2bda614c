//! What a request says about where it came to is not believed (threat K 120), and what surrounds every
//! answer keeps other pages out of ours (K 121, 122 and 124).

use crate::world::http::{bare_client, send, send_bytes};
use crate::world::{ALICE, ALICE_PASSWORD, Client, Page, World};

/// K 120: CVE-2025-64101 (ZITADEL): links in somebody's mail led to the host of an attacker's request.
#[tokio::test]
async fn every_url_is_the_issuers_whatever_host_was_asked() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    let cookies = alice.cookies().iter().map(|c| format!("{}={}", c.name, c.value));
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    let asked = app.auth_request("openid").url.replace(&server.origin(), "");
    let consent =
        app.auth_request_with("openid", &[("prompt", "consent")]).url.replace(&server.origin(), "");
    let forwarded = "X-Forwarded-Host: evil.example.com\r\nX-Forwarded-Proto: gopher\r\n\
                     X-Forwarded-Prefix: /evil\r\nX-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\n\
                     Forwarded: host=evil.example.com;proto=gopher\r\nX-Host: evil.example.com\r\n";
    for path in [
        "/dex/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/dex",
        "/dex",
        "/dex/",
        "/dex/logout",
        "/dex/nothing",
        "/dex/userinfo",
        &asked,
        &consent,
    ] {
        for (line, host) in [
            (path.to_owned(), "evil.example.com"),
            (path.to_owned(), "evil.example.com:5556"),
            (format!("http://evil.example.com{path}"), "evil.example.com"),
        ] {
            let request = format!(
                "GET {line} HTTP/1.1\r\nHost: {host}\r\n{forwarded}Cookie: {cookies}\r\nConnection: \
                 close\r\n\r\n"
            );
            let said = send_bytes(&server, request);
            assert!(said.starts_with("HTTP/1.1 ") && !said.starts_with("HTTP/1.1 5"), "{said}");
            assert!(!said.contains("evil") && !said.contains("gopher"), "{line}: {said}");
        }
    }
}

/// Every kind of page there is, with what it is.
async fn pages() -> Vec<(&'static str, Page)> {
    let upstream = "connectors:\n- type: mockCallback\n  id: mock\n  name: Mock\n";
    let server = World::new().with(upstream).client(Client::public("cli")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let mut pages = vec![
        ("home, signed out", alice.opens(server.url("/")).await.clone()),
        ("choice", alice.opens(app.auth_request("openid").url).await.clone()),
        ("login", alice.clicks("Email").await.clone()),
        ("wrong password", alice.signs_in(ALICE, "wrong").await.clone()),
        ("approval", alice.signs_in(ALICE, ALICE_PASSWORD).await.clone()),
        ("home, signed in", alice.opens(server.url("/")).await.clone()),
        ("logout", alice.opens(server.url("/logout")).await.clone()),
        ("error", alice.opens(server.url("/auth")).await.clone()),
        ("not found", alice.opens(server.url("/nothing")).await.clone()),
    ];
    let posted = app.auth_request_with("openid", &[("response_mode", "form_post")]);
    alice.opens(&posted.url).await;
    pages.push(("form post", alice.approves().await.clone()));
    let by_hand = "urn:ietf:wg:oauth:2.0:oob";
    let cli = server.relying_party("cli").auth_request_with("openid", &[("redirect_uri", by_hand)]);
    alice.opens(&cli.url).await;
    pages.push(("out of band", alice.approves().await.clone()));
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    pages.push(("signed out", alice.submits(form).await.clone()));
    pages
}

/// The directives of a policy, by name.
fn policy(page: &Page) -> std::collections::HashMap<String, String> {
    let text = page.header("content-security-policy").expect("a policy");
    let directives = text.split(';').filter_map(|part| part.trim().split_once(' '));
    directives.map(|(name, sources)| (name.to_owned(), sources.to_owned())).collect()
}

/// K 121 and 122; RFC 9700 section 4.16.
#[tokio::test]
async fn no_page_is_framed_and_none_runs_what_is_written_in_it() {
    for (what, page) in pages().await {
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{what}");
        let policy = policy(&page);
        assert_eq!(policy["frame-ancestors"], "'none'", "{what}");
        assert_eq!(policy["default-src"], "'none'", "{what}");
        assert_eq!(policy["base-uri"], "'none'", "{what}");
        assert_eq!(policy["style-src"], "'self'", "{what}");
        assert_eq!(policy["img-src"], "'self'", "{what}");
        let script = policy.get("script-src").map(String::as_str);
        assert_eq!(script, (what == "form post").then_some("'self'"), "{what}");
        // Browsers apply it to every hop after the form, and these forms end at an application.
        let ends_at_clients = ["login", "wrong password", "approval", "form post"].contains(&what);
        let form_action = policy.get("form-action").map(String::as_str);
        assert_eq!(form_action, (!ends_at_clients).then_some("'self'"), "{what}");

        assert_eq!(page.header("x-frame-options"), Some("DENY"), "{what}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{what}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{what}");
        // A popup keeps `window.opener` only if no page on the way to the client, error pages included, sends it.
        let on_the_way = ends_at_clients || ["choice", "error", "not found"].contains(&what);
        let opener = page.header("cross-origin-opener-policy");
        assert_eq!(opener, (!on_the_way).then_some("same-origin"), "{what}");
        assert!(
            page.all("script:not([src]), style, [style], iframe, object, base").is_empty(),
            "{what}"
        );
        for handler in ["onclick", "onload", "onerror", "onsubmit", "onfocus"] {
            let found = page.attributes(&format!("[{handler}]"), handler);
            assert!(found.is_empty(), "{what}: {found:?}");
        }
        let mut links = page.attributes("[src]", "src");
        links.extend(page.attributes("link[href]", "href"));
        for link in links {
            assert!(link.starts_with("/dex/static/"), "{what}: {link} is fetched from elsewhere");
        }
    }
}

/// K 122: what is not a page is not taken for one.
#[tokio::test]
async fn every_answer_is_what_it_says_it_is() {
    let server = World::https().start().await;
    let mut alice = server.browser();
    for path in [
        "/",
        "/keys",
        "/.well-known/openid-configuration",
        "/token",
        "/userinfo",
        "/robots.txt",
        "/healthz",
        "/nothing",
        "/static/nothing",
    ] {
        let page = alice.get(server.url(path)).await;
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{path}");
        let age = page.header("strict-transport-security").unwrap_or_default();
        assert!(age.starts_with("max-age=31536000"), "{path}: {age}");
        assert!(page.header("server").is_none() && page.header("x-powered-by").is_none(), "{path}");
    }
    let plain = World::new().start().await;
    let page = send(bare_client().get(plain.url("/keys"))).await;
    assert_eq!(page.header("strict-transport-security"), None, "RFC 6797 section 7.2");
}

/// K 124.
#[tokio::test]
async fn no_path_leads_to_a_file_of_the_machine() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let home = alice.opens(server.url("/")).await.clone();
    let style = home.attributes("link[rel=stylesheet]", "href").remove(0);
    let ask = |path: &str| {
        send_bytes(&server, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    };
    assert!(ask(&style).starts_with("HTTP/1.1 200"), "the one that is there");
    for path in [
        "/dex/static/../../../../etc/passwd",
        "/dex/static/..%2f..%2f..%2fetc%2fpasswd",
        "/dex/static/..%5c..%5cetc%5cpasswd",
        "/dex/static/%2e%2e/%2e%2e/etc/passwd",
        "/dex/static/%252e%252e%252fetc%252fpasswd",
        "/dex/static//etc/passwd",
        "/dex/static/%2fetc%2fpasswd",
        "/dex/static/.%00.%2fcountersign.db",
        "/dex/static/..;/countersign.db",
        "/dex/static",
        "/dex/static/",
        "/dex/static/.",
        "/dex/.git/config",
        "/.git/config",
        "/dex/countersign.db",
        "/dex//keys",
        "/dex/./keys",
        "//dex/keys",
        "/DEX/keys",
        &format!("{style}/"),
        &format!("{style}%00.png"),
        &style.to_uppercase(),
    ] {
        let said = ask(path);
        assert!(
            said.starts_with("HTTP/1.1 404") || said.starts_with("HTTP/1.1 400"),
            "{path}: {said}"
        );
        assert!(!said.contains("root:") && !said.contains("SQLite format"), "{path}");
    }
}
