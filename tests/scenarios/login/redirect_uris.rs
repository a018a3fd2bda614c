//! Redirect URI matching: exact comparison with a registered URI (RFC 9700 section 4.1.3; threats A 1-9 and
//! 12).

use crate::world::{ALICE, ALICE_PASSWORD, Client, Page, Server, World};

const REGISTERED: &str = "https://example-app.example.com/callback";
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// However the rest of the request looks, the error is shown on our page and nothing is redirected.
async fn assert_not_redirected_to(server: &Server, client: &str, uri: &str) {
    let app = server.relying_party(client);
    let uri = ("redirect_uri", uri);
    for others in [
        vec![uri],
        vec![uri, ("prompt", "none")],
        vec![uri, ("scope", "nonsense"), ("response_type", "token"), ("prompt", "NONE")],
        vec![uri, ("response_mode", "form_post"), ("request", "x")],
    ] {
        let page = server.browser().get(app.auth_request_with("openid", &others).url).await;
        assert_error_page(&page, uri.1);
    }
}

fn assert_error_page(page: &Page, what: &str) {
    assert_eq!(page.status, 400, "{what:?}: {}", page.text());
    assert!(page.header("location").is_none() && page.header("refresh").is_none(), "{what:?}");
    assert!(page.forms().is_empty(), "no form carries anything anywhere: {what:?}");
    assert!(!page.body.contains("<script"), "{what:?}: {}", page.body);
}

/// The request is accepted: the login form appears.
async fn assert_accepted(server: &Server, client: &str, uri: &str) {
    let app = server.relying_party(client);
    let mut alice = server.browser();
    alice.opens(app.auth_request_with("openid", &[("redirect_uri", uri)]).url).await;
    assert!(alice.page().form_with("password").is_some(), "{uri}: {}", alice.page().text());
}

/// A 1, A 7, A 8; CVE-2020-15234 (case), CVE-2024-52289 (dots in a regular expression).
#[tokio::test]
async fn a_redirect_uri_that_only_resembles_the_registered_one_is_refused() {
    let server = World::new().start().await;
    assert_accepted(&server, "example-app", REGISTERED).await;
    let at = |host: &str| format!("https://{host}/callback");
    let host = "example-app.example.com";
    let mut lookalikes =
        ["/x", "/", "?x=1", "?", "#f", "#", "%20", " ", "\n", "\t", "\0", "/../callback"]
            .map(|tail| format!("{REGISTERED}{tail}"))
            .to_vec();
    lookalikes.extend([" ", "\u{feff}", "\t"].map(|head| format!("{head}{REGISTERED}")));
    lookalikes.extend(
        ["/%2e%2e/callback", "/x/../callback", "//callback", "/./callback"]
            .map(|path| format!("https://{host}{path}")),
    );
    lookalikes.extend([
        at("EXAMPLE-APP.example.com"),
        at("example-app.example.com:443"),
        at("example-app.example.com."),
        at("example-appXexample.com"),
        at("example-app.example.com.evil.example"),
        at("evil.example-app.example.com"),
        at("example-app.example\u{3002}com"),
        at("ex\u{430}mple-app.example.com"),
        at("\u{ff45}xample-app.example.com"),
        format!("HTTPS://{host}/callback"),
        format!("http://{host}/callback"),
        format!("https://{host}/CALLBACK"),
        format!("https://{host}/c%61llback"),
        format!("https://{host}"),
        "https://*.example.com/callback".into(),
    ]);
    for lookalike in lookalikes {
        assert_not_redirected_to(&server, "example-app", &lookalike).await;
    }
}

/// A 2; CVE-2026-28512, CVE-2024-8883, CVE-2023-6291: parsers disagree about the host.
#[tokio::test]
async fn userinfo_and_backslashes_do_not_change_the_host() {
    let server = World::new().start().await;
    for uri in [
        "https://example-app.example.com@evil.example/callback",
        "https://example-app.example.com:x@evil.example/callback",
        "https://evil.example\\@example-app.example.com/callback",
        "https://evil.example/@example-app.example.com/callback",
        "https://evil.example#@example-app.example.com/callback",
        "https://evil.example?@example-app.example.com/callback",
        "https://user@example-app.example.com/callback",
        "https:///example-app.example.com/callback",
        "https:\\\\example-app.example.com\\callback",
        "https:example-app.example.com/callback",
        "//example-app.example.com/callback",
        "/callback",
        "callback",
    ] {
        assert_not_redirected_to(&server, "example-app", uri).await;
    }
}

/// A 3; CVE-2022-3782, CVE-2024-1132: decoding twice.
#[tokio::test]
async fn a_redirect_uri_is_percent_decoded_exactly_once() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for uri in [
        format!("{REGISTERED}%252f..%252f.."),
        format!("{REGISTERED}%2f..%2f.."),
        REGISTERED.replace("/callback", "%2fcallback"),
        REGISTERED.replace(':', "%3A").replace('/', "%2F"),
        REGISTERED.replace(':', "%253A").replace('/', "%252F"),
    ] {
        assert_not_redirected_to(&server, "example-app", &uri).await;
    }
    // Fully encoded once, it is accepted.
    let url = app.auth_request_with("openid", &[("redirect_uri", "")]).url;
    let encoded: String = REGISTERED.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let page = server.browser().get(format!("{url}&redirect_uri={encoded}")).await;
    assert_eq!(page.status, 303, "{}", page.text());
}

/// A 4 and A 6; CVE-2020-26938, GHSA-484q-784p-8m5h.
#[tokio::test]
async fn other_schemes_are_refused() {
    let server = World::new().client(Client::new("nowhere").redirects_to(&[])).start().await;
    for client in ["example-app", "nowhere"] {
        for uri in [
            "javascript:alert(1)",
            "JavaScript:alert(1)//https://example-app.example.com/callback",
            "data:text/html,<script>alert(1)</script>",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://example-app.example.com/callback",
            "x://callback",
            "://callback",
            ":",
            "\"><script>alert(1)</script>",
            OUT_OF_BAND,
            "http://127.0.0.1:8000/callback",
            "https://anywhere.example/callback",
        ] {
            assert_not_redirected_to(&server, client, uri).await;
        }
    }
}

/// A 4 and A 8: the same at registration.
#[tokio::test]
async fn an_unsafe_redirect_uri_cannot_be_registered() {
    let bad = [
        "javascript:alert(1)",
        "DATA:text/html,x",
        "vbscript:x",
        "file:///tmp/x",
        "blob:x",
        "about:blank",
        "c:/callback",
        "://x",
        "callback",
        "https://app.example.com/cb#fragment",
        "https://user@app.example.com/cb",
        "https://evil.example\\@app.example.com/cb",
        "https://\u{430}pp.example.com/cb",
        "https://app.example\u{3002}com/cb",
    ];
    let world = World::new().client(Client::new("odd").redirects_to(&bad));
    let output = world.refuses_to_start().await;
    for (n, uri) in bad.iter().enumerate() {
        let place = format!("redirectURIs[{n}]");
        assert!(output.lines().any(|line| line.contains(&place)), "{uri} was accepted:\n{output}");
    }
}

/// A 5; RFC 8252 section 7.3, CVE-2020-15233.
#[tokio::test]
async fn a_public_client_without_redirect_uris_may_use_any_loopback_uri() {
    let server = World::new().client(Client::public("cli")).start().await;
    for uri in [
        "http://127.0.0.1:8000/callback",
        "http://127.0.0.1",
        "http://127.8.9.10:1/x?y=z",
        "http://[::1]:65535/callback",
        "http://localhost:18000/a/b/c",
        "http://localhost",
    ] {
        assert_accepted(&server, "cli", uri).await;
    }
    for uri in [
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "http://localhost:80@evil.example/",
        "http://127.0.0.1:8000\\@evil.example/",
        "http://127.0.0.1#@evil.example/",
        "http://127.0.0.1%2eevil.example/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://127.1/",
        "http://0x7f.0.0.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://\u{ff11}27.0.0.1/",
        "http://localhost./",
        "http://LOCALHOST/",
        "http://127.0.0.1:99999/",
        "http:127.0.0.1/",
        "http:/\u{9}/127.0.0.1/",
        "https://127.0.0.1/callback",
        "http://10.0.0.1/",
        "http://127.0.0.1:8000/\u{2028}",
    ] {
        assert_not_redirected_to(&server, "cli", uri).await;
    }
}

/// A 5: with a registered loopback URI only the port is free.
#[tokio::test]
async fn a_public_client_with_a_loopback_uri_may_use_any_port() {
    let cli = Client::public("cli").redirects_to(&["http://localhost:8085/auth/callback?a=1"]);
    let web = Client::new("web").redirects_to(&["http://localhost:8085/auth/callback?a=1"]);
    let server = World::new().client(cli).client(web).start().await;
    for port in [":8085", ":40001", ""] {
        let uri = format!("http://localhost{port}/auth/callback?a=1");
        assert_accepted(&server, "cli", &uri).await;
    }
    for uri in [
        "http://127.0.0.1:8085/auth/callback?a=1",
        "http://[::1]:8085/auth/callback?a=1",
        "http://localhost:8085/auth/callback",
        "http://localhost:8085/auth/callback?a=2",
        "http://localhost:8085/auth/callback/?a=1",
        "http://localhost:8085/?a=1",
        "https://localhost:8085/auth/callback?a=1",
        OUT_OF_BAND,
    ] {
        assert_not_redirected_to(&server, "cli", uri).await;
    }
    // Not for confidential clients, which have a server with a fixed port.
    assert_not_redirected_to(&server, "web", "http://localhost:40001/auth/callback?a=1").await;
}

/// A 9: not even the only registered one is assumed.
#[tokio::test]
async fn a_missing_redirect_uri_is_refused() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for others in [vec![], vec![("prompt", "none")], vec![("scope", "nonsense")]] {
        let mut all = vec![("redirect_uri", "")];
        all.extend(others);
        let url = app.auth_request_with("openid", &all).url;
        assert_error_page(&server.browser().get(&url).await, "left out");
        assert_error_page(&server.browser().get(format!("{url}&redirect_uri=")).await, "empty");
    }
}

/// A 12: without a known client there is no redirect URI.
#[tokio::test]
async fn an_unknown_client_gets_an_error_page() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for id in ["nobody", "EXAMPLE-APP", "example-app ", "example-app\0", "\"><script>alert(1)"] {
        let url = app.auth_request_with("openid", &[("client_id", id), ("prompt", "none")]).url;
        assert_error_page(&server.browser().get(url).await, id);
    }
    let url = app.auth_request_with("openid", &[("client_id", ""), ("prompt", "none")]).url;
    assert_error_page(&server.browser().get(url).await, "no client_id");
}

/// A registered query is kept byte for byte; parameters are appended.
#[tokio::test]
async fn the_query_of_a_redirect_uri_is_kept() {
    let uri = "https://app.example.com/cb?tenant=a%20b&x=%C3%A9&empty=";
    let app = Client::new("tenant-app").redirects_to(&[uri]);
    let server = World::new().client(app).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("tenant-app"));
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let expected = format!("{uri}&code={}&state=", auth_response.code);
    assert!(auth_response.url.as_str().starts_with(&expected), "{}", auth_response.url);
    assert_eq!(app.redeems(&request, &auth_response).await.status, 200);
}

/// Whoever runs the application finds on the page what to correct.
#[tokio::test]
async fn a_refusal_names_the_client_and_what_it_sent() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let unregistered = "https://other.example.com/cb";
    for (parameters, shown) in [
        (vec![("redirect_uri", unregistered)], vec!["client_id: example-app", unregistered]),
        (vec![("client_id", "grafanna")], vec!["client_id: grafanna"]),
        (vec![("client_id", "")], vec!["client_id is missing"]),
        (vec![("redirect_uri", "")], vec!["client_id: example-app", "redirect_uri is missing"]),
    ] {
        let page = server.browser().get(app.auth_request_with("openid", &parameters).url).await;
        assert_eq!(page.status, 400);
        for text in shown {
            assert!(page.text().contains(text), "{text}: {}", page.text());
        }
    }
    let twice = format!("{}&redirect_uri={unregistered}", app.auth_request("openid").url);
    let page = server.browser().get(twice).await;
    assert!(page.text().contains("redirect_uri is repeated"), "{}", page.text());
    assert!(page.text().contains("client_id: example-app"), "{}", page.text());
}
