//! The Host and forwarding headers of a request are not trusted (threat K 120); security headers of every
//! response (K 121, 122, 124).

use crate::world::http::{bare_client, send, send_bytes};
use crate::world::{ALICE, ALICE_PASSWORD, Client, Page, World};

/// K 120: CVE-2025-64101 (ZITADEL): links in mails pointed to the Host of an attacker's request.
#[tokio::test]
async fn urls_are_built_from_the_issuer_not_from_the_host_header() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    let cookies = alice.cookies().iter().map(|c| format!("{}={}", c.name, c.value));
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    let auth = app.auth_request("openid").url.replace(&server.origin(), "");
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
        &auth,
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
            let response = send_bytes(&server, request);
            assert!(
                response.starts_with("HTTP/1.1 ") && !response.starts_with("HTTP/1.1 5"),
                "{response}"
            );
            assert!(
                !response.contains("evil") && !response.contains("gopher"),
                "{line}: {response}"
            );
        }
    }
}

/// One page of every kind, with its name.
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
async fn pages_cannot_be_framed_and_run_no_inline_code() {
    for (what, page) in pages().await {
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{what}");
        let policy = policy(&page);
        assert_eq!(policy["frame-ancestors"], "'none'", "{what}");
        assert_eq!(policy["default-src"], "'none'", "{what}");
        assert_eq!(policy["base-uri"], "'none'", "{what}");
        assert_eq!(policy["style-src"], "'self'", "{what}");
        assert_eq!(policy["img-src"], "'self'", "{what}");
        // The only scripts: the form that submits itself, and the button that shows a password.
        let has_script = ["login", "wrong password", "form post"].contains(&what);
        let script = policy.get("script-src").map(String::as_str);
        assert_eq!(script, has_script.then_some("'self'"), "{what}");
        // Browsers apply `form-action` to every redirect after the form, and these forms end at a client.
        let ends_at_clients = ["login", "wrong password", "approval", "form post"].contains(&what);
        let form_action = policy.get("form-action").map(String::as_str);
        assert_eq!(form_action, (!ends_at_clients).then_some("'self'"), "{what}");

        assert_eq!(page.header("x-frame-options"), Some("DENY"), "{what}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{what}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{what}");
        // A popup keeps `window.opener` only if no page on the way to the client sends this header, errors of a
        // login included.
        let on_the_way = ends_at_clients || ["choice", "error"].contains(&what);
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
            assert!(
                link.starts_with("/dex/static/"),
                "{what}: {link} is fetched from another origin"
            );
        }
    }
}

/// K 122: content types are not sniffed.
#[tokio::test]
async fn every_response_has_nosniff_referrer_policy_and_hsts() {
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
async fn path_traversal_reaches_no_file() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let home = alice.opens(server.url("/")).await.clone();
    let style = home.attributes("link[rel=stylesheet]", "href").remove(0);
    let get = |path: &str| {
        send_bytes(&server, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    };
    assert!(get(&style).starts_with("HTTP/1.1 200"), "the existing file");
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
        let response = get(path);
        assert!(
            response.starts_with("HTTP/1.1 404") || response.starts_with("HTTP/1.1 400"),
            "{path}: {response}"
        );
        assert!(!response.contains("root:") && !response.contains("SQLite format"), "{path}");
    }
}
