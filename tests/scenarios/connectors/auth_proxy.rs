//! The authproxy connector: a reverse proxy names the person in headers. They are trusted only from the
//! proxy's address, only on the proxy's path, and only if unambiguous (threats J 115, 116 and 118).

use reqwest::Url;

use crate::world::{Browser, Need, Nginx, Proxy, Server, World, verified};

const HEADERS: [(&str, &str); 4] = [
    ("X-Remote-User", "alice"),
    ("X-Remote-User-Id", "4711"),
    ("X-Remote-User-Email", "alice@corp.example"),
    ("X-Remote-Group", "admins, ops"),
];

fn connectors(proxy: Proxy) -> String {
    format!(
        "connectors:\n\
         - type: authproxy\n  id: proxy\n  name: Company proxy\n  config:\n    \
           trustedProxies: ['{ip}']\n    staticGroups: [everybody]\n\
         - type: mockCallback\n  id: mock\n  name: Mock\n\
         oauth2:\n  skipApprovalScreen: true\n",
        ip = proxy.ip
    )
}

async fn behind(proxy: Proxy) -> Server {
    World::new().with(&connectors(proxy)).start().await
}

fn login_url_of(server: &Server, connector: &str) -> String {
    let app = server.relying_party("example-app");
    app.auth_request_with(
        "openid email profile groups offline_access",
        &[("connector_id", connector)],
    )
    .url
}

/// Follows the login up to the callback, and returns its URL.
async fn callback_url(browser: &mut Browser, server: &Server, connector: &str) -> Url {
    let mut response = browser.get(login_url_of(server, connector)).await;
    loop {
        let next =
            response.location().unwrap_or_else(|| panic!("no callback: {}", response.text()));
        if next.path().contains("/callback") {
            return next;
        }
        response = browser.get(&next).await;
    }
}

fn is_signed_in(browser: &Browser) -> bool {
    browser.cookies().iter().any(|cookie| cookie.name.ends_with("-session"))
}

#[tokio::test]
async fn the_person_named_by_the_proxy_is_signed_in_as_in_dex() {
    let proxy = Proxy::new();
    let server = behind(proxy).await;
    let app = server.relying_party("example-app");
    let request = app.auth_request_with(
        "openid email profile groups offline_access",
        &[("connector_id", "proxy")],
    );
    let mut alice = proxy.browser(&server, &HEADERS);
    alice.opens(&request.url).await;
    let response = app.redeems(&request, &alice.auth_response()).await;
    let claims = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(claims["email"], "alice@corp.example");
    assert_eq!((&claims["email_verified"], &claims["name"]), (&true.into(), &"alice".into()));
    assert_eq!(claims["preferred_username"], "alice");
    assert_eq!(claims["groups"], serde_json::json!(["admins", "ops", "everybody"]));
    assert_eq!(claims["sub"], "CgQ0NzExEgVwcm94eQ", "the id 4711 at the connector proxy");
    // Her session does not depend on the proxy's headers afterwards.
    assert!(is_signed_in(&alice));
}

/// J 115: the headers and `X-Forwarded-For` name the proxy, but the connection comes from another address.
#[tokio::test]
async fn headers_from_another_address_are_ignored() {
    let proxy = Proxy::new();
    let world = World::new().with(&connectors(proxy));
    // `X-Forwarded-For` is trusted for the address of a client, but not for that of the proxy.
    let web = format!(
        "web:\n  http: {}\n  clientRemoteIP:\n    header: X-Forwarded-For\n    \
         trustedProxies: [127.0.0.0/8]\n",
        world.origin().trim_start_matches("http://")
    );
    let server = world.with(&web).start().await;
    let other = Proxy::new();
    for mallory in [server.browser_from(None, &HEADERS), other.browser(&server, &HEADERS)] {
        let mut mallory = mallory;
        mallory.with_forwarded_for(&proxy.ip.to_string());
        let page = mallory.opens(login_url_of(&server, "proxy")).await.clone();
        assert_eq!(page.status, 403, "{}", page.text());
        assert!(page.text().contains("Sign in through your company’s proxy"), "{}", page.text());
        assert!(!is_signed_in(&mallory));
    }
    server.waits_for_log(2, "not through a trusted proxy").await;
}

/// Dex accepts the callback at `/callback` too, which no proxy protects.
#[tokio::test]
async fn the_headers_are_trusted_on_the_proxys_path_only() {
    let proxy = Proxy::new();
    let server = behind(proxy).await;
    // A proxy that compares paths before decoding them does not protect the last one.
    for path in [
        "/callback",
        "/callback/mock",
        "/callback/PROXY",
        "/callback/proxy/",
        "/callback//proxy",
        "/callback/%70roxy",
    ] {
        let mut alice = proxy.browser(&server, &HEADERS);
        let back = callback_url(&mut alice, &server, "proxy").await;
        assert_eq!(back.path(), "/dex/callback/proxy");
        let url = format!("{}?{}", server.url(path), back.query().unwrap());
        let page = alice.opens(url).await.clone();
        assert!((400..500).contains(&page.status), "{path}: {}", page.status);
        assert!(!is_signed_in(&alice), "{path}");
    }
    // On other paths the headers are ignored, with another connector and without any.
    let mut alice = proxy.browser(&server, &HEADERS);
    alice.opens(login_url_of(&server, "mock")).await;
    let app = server.relying_party("example-app");
    let mut bob = proxy.browser(&server, &HEADERS);
    let page = bob.opens(app.auth_request("openid").url).await.clone();
    assert!(page.link("Company proxy").is_some(), "the connector choice appears: {}", page.text());
    assert!(!is_signed_in(&bob));
}

/// J 116, J 118: raw requests from the proxy's address.
#[tokio::test]
async fn ambiguous_headers_of_the_proxy_are_refused() {
    let proxy = Proxy::new();
    let server = behind(proxy).await;
    let long = format!("X-Remote-User: alice\r\nX-Remote-Group: {}\r\n", "a".repeat(64 * 1024));
    let cases: [(&[u8], bool); 17] = [
        (b"X-Remote-User: alice\r\n", true),
        (b"x-ReMoTe-UsEr:    alice  \r\n", true),
        (b"X-Remote-User: alice\r\nX-Remote-Group: a,b,,a\r\n", true),
        (b"", false),
        (b"X_Remote_User: admin\r\n", false),
        (b"X-Remote-User: alice\r\nX_Remote_User: admin\r\n", false),
        (b"X-Remote-User: alice\r\nX-Remote-User: admin\r\n", false),
        (b"X-Remote-User: alice, admin\r\n", false),
        (b"X-Remote-User : admin\r\n", false),
        (b" X-Remote-User: admin\r\n", false),
        (b"X-Remote-User: alice\r\n admin\r\n", false),
        (b"X-Remote-User: alice\r\nConnection: close, X-Remote-Group\r\n", false),
        (b"X-Remote-User: al\xffice\r\n", false),
        (b"X-Remote-User: al\x00ice\r\n", false),
        (b"X-Remote-User: alice\r\nX-Remote-Group: \"a,b\"\r\n", false),
        (b"X-Remote-User: alice\r\nX-Remote-Group: a\r\nX-Remote-Group: b\r\n", false),
        (long.as_bytes(), false),
    ];
    for (headers, is_accepted) in cases {
        let mut alice = server.browser();
        let back = callback_url(&mut alice, &server, "proxy").await;
        let response = proxy.sends(&server, &request(&alice, &back, headers)).await;
        let shown = String::from_utf8_lossy(&headers[..headers.len().min(80)]).into_owned();
        let status = response.split(' ').nth(1).unwrap_or_default().to_owned();
        assert_eq!(response.contains("-session="), is_accepted, "{shown}: {response:.400}");
        match is_accepted {
            true => assert_eq!(status, "303", "{shown}"),
            false => assert!(["400", "431"].contains(&status.as_str()), "{shown}: {response:.400}"),
        }
        assert!(!response.contains("admin"), "{shown}: the value is not repeated");
    }
}

fn request(browser: &Browser, to: &Url, headers: &[u8]) -> Vec<u8> {
    let cookies: Vec<String> =
        browser.cookies().iter().map(|c| format!("{}={}", c.name, c.value)).collect();
    let start = format!(
        "GET {}?{} HTTP/1.1\r\nHost: {}:{}\r\nCookie: {}\r\n",
        to.path(),
        to.query().unwrap(),
        to.host_str().unwrap(),
        to.port().unwrap(),
        cookies.join("; ")
    );
    // Without `close` the test would wait for the end of the connection.
    let close: &[u8] = match headers.windows(11).any(|part| part == b"Connection:") {
        true => b"\r\n",
        false => b"Connection: close\r\n\r\n",
    };
    [start.as_bytes(), headers, close].concat()
}

#[tokio::test]
async fn trusting_every_address_is_a_configuration_error() {
    for (proxies, expected) in [
        ("", "trustedProxies: is missing"),
        ("    trustedProxies: ['*']\n", "expected an address"),
        ("    trustedProxies: ['0.0.0.0/0']\n", "the whole world"),
    ] {
        let yaml = format!(
            "connectors:\n- type: authproxy\n  id: proxy\n  name: P\n  config:\n    \
             userHeader: X-Remote-User\n{proxies}"
        );
        let output = World::new().with(&yaml).refuses_to_start().await;
        assert!(output.contains(expected), "{output}");
    }
}

#[tokio::test]
async fn check_describes_what_the_proxy_must_do() {
    let proxy = Proxy::new();
    let server = behind(proxy).await;
    let output = server.runs_command(&["check", "CONFIG", "--connector", "proxy"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("/callback/proxy"), "{text}");
    assert!(text.contains("x-remote-user") && text.contains(&proxy.ip.to_string()), "{text}");
}

/// A real nginx requires a password, and replaces or removes headers of the same names from the browser; it drops
/// headers with underscores by itself.
#[tokio::test]
async fn nginx_authenticates_and_its_headers_are_trusted() {
    if Need::Nginx.is_missing() {
        return;
    }
    let proxy = Proxy::new();
    let world = World::new().with_issuer(&proxy.issuer()).with(&connectors(proxy));
    let server = world.start().await;
    let directives = "proxy_set_header X-Remote-User $remote_user;\n\
                proxy_set_header X-Remote-User-Id \"\";\n\
                proxy_set_header X-Remote-User-Name \"\";\n\
                proxy_set_header X-Remote-User-Email $remote_user@corp.example;\n\
                proxy_set_header X-Remote-Group \"staff\";\n";
    let _nginx = Nginx::start(proxy, &server, "/dex/callback/proxy", directives).await;
    let app = server.relying_party("example-app");
    let request = app.auth_request_with("openid email groups", &[("connector_id", "proxy")]);

    let mut nobody = server.browser();
    assert_eq!(nobody.opens(&request.url).await.status, 401, "nginx asks");
    // "alice:wonderland", and headers that claim more.
    let forged = [
        ("Authorization", "Basic YWxpY2U6d29uZGVybGFuZA=="),
        ("X-Remote-User", "admin"),
        ("X-Remote-User-Id", "1"),
        ("X-Remote-Group", "admins"),
        ("X_Remote_User", "admin"),
    ];
    let mut alice = server.browser_from(None, &forged);
    alice.opens(&request.url).await;
    let response = app.redeems(&request, &alice.auth_response()).await;
    let claims = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(claims["email"], "alice@corp.example");
    assert_eq!(claims["groups"], serde_json::json!(["staff", "everybody"]));
    // A request that bypasses nginx is not signed in.
    let mut mallory = server.browser_from(None, &forged);
    mallory.via_replica(&server);
    let page = mallory.opens(&request.url).await.clone();
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(
        page.text().contains("your company’s proxy") && !is_signed_in(&mallory),
        "{}",
        page.text()
    );
}
