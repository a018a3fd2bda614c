//! Where a code may go: to the address that was registered, and to no other however much like it
//! (RFC 9700 section 4.1.3; threats A 1-9 and 12).

use crate::world::{ALICE, ALICE_PASSWORD, Client, Page, Server, World};

const REGISTERED: &str = "https://example-app.example.com/callback";
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// However the rest of the request looks, nobody is sent to `uri`: the error stays on a page of ours.
async fn nobody_is_sent_to(server: &Server, client: &str, uri: &str) {
    let app = server.relying_party(client);
    let uri = ("redirect_uri", uri);
    for others in [
        vec![uri],
        vec![uri, ("prompt", "none")],
        vec![uri, ("scope", "nonsense"), ("response_type", "token"), ("prompt", "NONE")],
        vec![uri, ("response_mode", "form_post"), ("request", "x")],
    ] {
        let page = server.browser().get(app.auth_request_with("openid", &others).url).await;
        stays_here(&page, uri.1);
    }
}

fn stays_here(page: &Page, what: &str) {
    assert_eq!(page.status, 400, "{what:?}: {}", page.text());
    assert!(page.header("location").is_none() && page.header("refresh").is_none(), "{what:?}");
    assert!(page.forms().is_empty(), "no form carries anything anywhere: {what:?}");
    assert!(!page.body.contains("<script"), "{what:?}: {}", page.body);
}

/// The request is good: its person is asked to sign in.
async fn somebody_is_asked(server: &Server, client: &str, uri: &str) {
    let app = server.relying_party(client);
    let mut alice = server.browser();
    alice.opens(app.auth_request_with("openid", &[("redirect_uri", uri)]).url).await;
    assert!(alice.page().form_with("password").is_some(), "{uri}: {}", alice.page().text());
}

/// A 1, A 7, A 8; CVE-2020-15234 (case), CVE-2024-52289 (dots as a regex).
#[tokio::test]
async fn an_address_that_only_resembles_the_registered_one_gets_nothing() {
    let server = World::new().start().await;
    somebody_is_asked(&server, "example-app", REGISTERED).await;
    let at = |host: &str| format!("https://{host}/callback");
    let host = "example-app.example.com";
    let mut twins =
        ["/x", "/", "?x=1", "?", "#f", "#", "%20", " ", "\n", "\t", "\0", "/../callback"]
            .map(|tail| format!("{REGISTERED}{tail}"))
            .to_vec();
    twins.extend([" ", "\u{feff}", "\t"].map(|head| format!("{head}{REGISTERED}")));
    twins.extend(
        ["/%2e%2e/callback", "/x/../callback", "//callback", "/./callback"]
            .map(|path| format!("https://{host}{path}")),
    );
    twins.extend([
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
    for twin in twins {
        nobody_is_sent_to(&server, "example-app", &twin).await;
    }
}

/// A 2; CVE-2026-28512, CVE-2024-8883, CVE-2023-6291: parsers that disagree about the host.
#[tokio::test]
async fn a_name_before_the_at_sign_is_not_the_host() {
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
        nobody_is_sent_to(&server, "example-app", uri).await;
    }
}

/// A 3; CVE-2022-3782, CVE-2024-1132: decoded once more than it was encoded.
#[tokio::test]
async fn a_twice_encoded_address_is_decoded_once() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for uri in [
        format!("{REGISTERED}%252f..%252f.."),
        format!("{REGISTERED}%2f..%2f.."),
        REGISTERED.replace("/callback", "%2fcallback"),
        REGISTERED.replace(':', "%3A").replace('/', "%2F"),
        REGISTERED.replace(':', "%253A").replace('/', "%252F"),
    ] {
        nobody_is_sent_to(&server, "example-app", &uri).await;
    }
    // And exactly once: this is how every client sends it.
    let url = app.auth_request_with("openid", &[("redirect_uri", "")]).url;
    let encoded: String = REGISTERED.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let page = server.browser().get(format!("{url}&redirect_uri={encoded}")).await;
    assert_eq!(page.status, 303, "{}", page.text());
}

/// A 4 and A 6; CVE-2020-26938, GHSA-484q-784p-8m5h.
#[tokio::test]
async fn no_other_scheme_is_an_address() {
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
            nobody_is_sent_to(&server, client, uri).await;
        }
    }
}

/// A 4 and A 8: what must not be asked for must not be registered either.
#[tokio::test]
async fn a_scheme_that_runs_is_not_registered() {
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
    let said = world.refuses_to_start().await;
    for (n, uri) in bad.iter().enumerate() {
        let place = format!("redirectURIs[{n}]");
        assert!(said.lines().any(|line| line.contains(&place)), "{uri} was accepted:\n{said}");
    }
}

/// A 5; RFC 8252 section 7.3, CVE-2020-15233.
#[tokio::test]
async fn a_public_client_without_addresses_has_the_whole_loopback() {
    let server = World::new().client(Client::public("cli")).start().await;
    for uri in [
        "http://127.0.0.1:8000/callback",
        "http://127.0.0.1",
        "http://127.8.9.10:1/x?y=z",
        "http://[::1]:65535/callback",
        "http://localhost:18000/a/b/c",
        "http://localhost",
    ] {
        somebody_is_asked(&server, "cli", uri).await;
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
        nobody_is_sent_to(&server, "cli", uri).await;
    }
}

/// A 5: with a registered address only the port is free, because the system chooses that.
#[tokio::test]
async fn a_public_client_with_a_loopback_address_has_its_every_port() {
    let cli = Client::public("cli").redirects_to(&["http://localhost:8085/auth/callback?a=1"]);
    let web = Client::new("web").redirects_to(&["http://localhost:8085/auth/callback?a=1"]);
    let server = World::new().client(cli).client(web).start().await;
    for port in [":8085", ":40001", ""] {
        let uri = format!("http://localhost{port}/auth/callback?a=1");
        somebody_is_asked(&server, "cli", &uri).await;
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
        nobody_is_sent_to(&server, "cli", uri).await;
    }
    // A client that can keep a secret has a server with a port of its own.
    nobody_is_sent_to(&server, "web", "http://localhost:40001/auth/callback?a=1").await;
}

/// A 9: left out, even the only registered one is not guessed.
#[tokio::test]
async fn an_address_left_out_is_not_guessed() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for others in [vec![], vec![("prompt", "none")], vec![("scope", "nonsense")]] {
        let mut all = vec![("redirect_uri", "")];
        all.extend(others);
        let url = app.auth_request_with("openid", &all).url;
        stays_here(&server.browser().get(&url).await, "left out");
        stays_here(&server.browser().get(format!("{url}&redirect_uri=")).await, "empty");
    }
}

/// A 12: without a known client there is nobody to redirect to.
#[tokio::test]
async fn an_unknown_application_is_told_to_the_person_only() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for id in ["nobody", "EXAMPLE-APP", "example-app ", "example-app\0", "\"><script>alert(1)"] {
        let url = app.auth_request_with("openid", &[("client_id", id), ("prompt", "none")]).url;
        stays_here(&server.browser().get(url).await, id);
    }
    let url = app.auth_request_with("openid", &[("client_id", ""), ("prompt", "none")]).url;
    stays_here(&server.browser().get(url).await, "no client_id");
}

/// What was registered with a query keeps it, byte by byte, and gets the answer behind it.
#[tokio::test]
async fn the_query_of_an_address_is_kept() {
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
