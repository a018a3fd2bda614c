//! Invalid token requests (threats C 44 and 45): errors of RFC 6749 section 5.2, at little cost for the
//! server.

use std::collections::HashSet;

use crate::world::http::{bare_client, connect, send, send_bytes};
use crate::world::{ALICE, ALICE_PASSWORD, Page, Server, World};

const FORM: &str = "application/x-www-form-urlencoded";
const SECRET: &str = "the-secret-of-example-app-61616161";
/// A complete request with an unknown code: `invalid_grant` shows that it was parsed.
const BODY: &str = "grant_type=authorization_code&code=no-such-code&client_id=example-app&\
                    client_secret=the-secret-of-example-app-61616161";

async fn post_token(server: &Server, content_type: Option<&str>, body: String) -> Page {
    let mut request = bare_client().post(server.url("/token")).body(body);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    send(request).await
}

fn error(page: &Page) -> (u16, String) {
    let json: serde_json::Value = serde_json::from_str(&page.body).unwrap_or_default();
    (page.status, json["error"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

/// C 44.
#[tokio::test]
async fn a_token_request_must_be_a_form_sent_by_post() {
    let server = World::new().start().await;
    let json = r#"{"grant_type":"authorization_code","code":"c","client_id":"example-app"}"#;
    let multipart = "multipart/form-data; boundary=b";
    let parts = "--b\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\nc\r\n--b--\r\n";
    let utf16 = format!("{FORM}; charset=utf-16");
    for (content_type, body) in [
        (Some("application/json"), json),
        (Some(multipart), parts),
        (Some("text/plain"), BODY),
        (Some(utf16.as_str()), BODY),
        (Some(""), BODY),
        (None, BODY),
    ] {
        let page = post_token(&server, content_type, body.to_owned()).await;
        assert_eq!(error(&page), refused(400, "invalid_request"), "{content_type:?}");
    }
    for content_type in [
        FORM,
        "application/x-www-form-urlencoded; charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded;charset=\"utf-8\"",
    ] {
        let page = post_token(&server, Some(content_type), BODY.to_owned()).await;
        assert_eq!(error(&page), refused(400, "invalid_grant"), "{content_type}");
    }
    let chunked = send_bytes(
        &server,
        format!(
            "POST /dex/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {FORM}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{BODY}\r\n0\r\n\r\n",
            BODY.len()
        ),
    );
    assert!(chunked.contains("invalid_grant"), "{chunked}");
    let got = send(bare_client().get(format!("{}?{BODY}", server.url("/token")))).await;
    assert_eq!(error(&got), refused(405, "invalid_request"));
}

/// C 44: queries are logged, bodies are not.
#[tokio::test]
async fn parameters_in_the_query_are_ignored() {
    let server = World::new().start().await;
    let (grant, client) = BODY.split_once("&client_id").unwrap();
    for (query, body) in
        [(BODY, ""), (&format!("client_id{client}"), grant), (grant, BODY), ("code=c", BODY)]
    {
        let url = format!("{}?{query}", server.url("/token"));
        let page =
            send(bare_client().post(url).header("content-type", FORM).body(body.to_owned())).await;
        assert_eq!(error(&page), refused(400, "invalid_request"), "?{query} {body}");
    }
    server.assert_no_secret_in_log(&["no-such-code", SECRET]);
}

/// C 44; RFC 6749 section 3.2: "parameters MUST NOT be included more than once".
#[tokio::test]
async fn a_repeated_parameter_is_refused() {
    let server = World::new().start().await;
    let body = format!("{BODY}&redirect_uri=r&code_verifier=v&scope=openid&refresh_token=t");
    for name in body.split('&').map(|pair| pair.split('=').next().unwrap()) {
        for again in [format!("{body}&{name}=x"), format!("{name}=&{body}")] {
            let page = post_token(&server, Some(FORM), again.clone()).await;
            assert_eq!(error(&page), refused(400, "invalid_request"), "{again}");
        }
    }
    let page = post_token(&server, Some(FORM), body).await;
    assert_eq!(error(&page), refused(400, "invalid_grant"), "each once");
}

/// C 44.
#[tokio::test]
async fn an_unsupported_grant_type_is_named_so() {
    let server = World::new().start().await;
    let client = BODY.split_once("&client_id").unwrap().1;
    for (grant, expected) in [
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=client_credentials", "unsupported_grant_type"),
        ("grant_type=AUTHORIZATION_CODE&code=c", "unsupported_grant_type"),
        ("grant_type=", "invalid_request"),
        ("grant_type=authorization_code", "invalid_request"),
        ("grant_type=authorization_code&code=", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("code=c", "invalid_request"),
    ] {
        let page = post_token(&server, Some(FORM), format!("{grant}&client_id{client}")).await;
        assert_eq!(error(&page), refused(400, expected), "{grant}");
    }
}

/// The peak resident memory of the server, in KiB.
fn peak_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// C 45.
#[tokio::test]
async fn large_bodies_are_not_kept_in_memory() {
    use std::io::Write;
    let server = World::new().start().await;
    send(bare_client().get(server.url("/keys"))).await;
    let before = peak_kib(&server);
    let megabytes = "a".repeat(4 << 20);
    let mut senders = Vec::new();
    for path in ["token", "auth", "approval", "userinfo"].repeat(6) {
        let (origin, megabytes) = (server.origin(), megabytes.clone());
        senders.push(std::thread::spawn(move || {
            let mut stream = connect(&origin);
            let head = format!(
                "POST /dex/{path} HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: \
                 {}\r\n\r\n",
                megabytes.len() + 1
            );
            // The server responds and closes early; one byte is never sent.
            let _unheard = stream.write_all(head.as_bytes());
            let _unheard = stream.write_all(megabytes.as_bytes());
        }));
    }
    for sender in senders {
        sender.join().unwrap();
    }
    let grown = peak_kib(&server).saturating_sub(before);
    assert!(grown < 50 * 1024, "96 MiB were sent and {grown} KiB kept");
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(app.redeems(&request, &auth_response).await.status, 200);
}

/// C 45.
#[tokio::test]
async fn the_number_of_parameters_and_the_size_are_limited() {
    let server = World::new().start().await;
    let many = |count: usize| (0..count).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
    for too_much in [many(101), many(10_000), format!("code={}", "a".repeat(70_000))] {
        let body = format!("{BODY}&{too_much}");
        let page = post_token(&server, Some(FORM), body).await;
        assert_eq!(error(&page), refused(400, "invalid_request"));
    }
    let page = post_token(&server, Some(FORM), format!("{BODY}&{}", many(90))).await;
    assert_eq!(error(&page), refused(400, "invalid_grant"), "ninety more parameters are accepted");

    let url = format!("{}?{}", server.url("/auth"), many(101));
    assert_eq!(send(bare_client().get(url)).await.status, 400);
    let long = "a".repeat(8_000);
    let headers = |count: usize, value: &str| {
        let lines: String = (0..count).map(|n| format!("X-{n}: {value}\r\n")).collect();
        format!("GET /dex/keys HTTP/1.1\r\nHost: a\r\n{lines}Connection: close\r\n\r\n")
    };
    let statuses: HashSet<_> = [headers(200, &long), headers(30, &long), headers(150, "a")]
        .iter()
        .map(|request| send_bytes(&server, request).get(9..12).unwrap_or("").to_owned())
        .collect();
    // The response may be lost if the connection closes while sending.
    assert!(statuses.iter().all(|status| status == "431" || status.is_empty()), "{statuses:?}");
    assert!(send_bytes(&server, headers(40, "a")).starts_with("HTTP/1.1 200"));
}
