//! What is no token request (threats C 44 and 45): it is refused in the words of RFC 6749 section 5.2,
//! and costs the server next to nothing.

use std::collections::HashSet;

use crate::world::http::{bare_client, connect, send, send_bytes};
use crate::world::{ALICE, ALICE_PASSWORD, Page, Server, World};

const FORM: &str = "application/x-www-form-urlencoded";
const SECRET: &str = "the-secret-of-example-app-61616161";
/// Complete, for a code that does not exist: read to its end it is `invalid_grant`.
const BODY: &str = "grant_type=authorization_code&code=no-such-code&client_id=example-app&\
                    client_secret=the-secret-of-example-app-61616161";

async fn posted(server: &Server, content_type: Option<&str>, body: String) -> Page {
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
async fn a_token_request_is_a_posted_form() {
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
        let page = posted(&server, content_type, body.to_owned()).await;
        assert_eq!(error(&page), refused(400, "invalid_request"), "{content_type:?}");
    }
    for content_type in [
        FORM,
        "application/x-www-form-urlencoded; charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded;charset=\"utf-8\"",
    ] {
        let page = posted(&server, Some(content_type), BODY.to_owned()).await;
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

/// C 44: queries end in logs and histories, bodies do not.
#[tokio::test]
async fn nothing_of_a_token_request_stands_in_the_query() {
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
async fn a_parameter_stands_once() {
    let server = World::new().start().await;
    let body = format!("{BODY}&redirect_uri=r&code_verifier=v&scope=openid&refresh_token=t");
    for name in body.split('&').map(|pair| pair.split('=').next().unwrap()) {
        for again in [format!("{body}&{name}=x"), format!("{name}=&{body}")] {
            let page = posted(&server, Some(FORM), again.clone()).await;
            assert_eq!(error(&page), refused(400, "invalid_request"), "{again}");
        }
    }
    let page = posted(&server, Some(FORM), body).await;
    assert_eq!(error(&page), refused(400, "invalid_grant"), "each once");
}

/// C 44 and dex.md 2.8.
#[tokio::test]
async fn a_grant_that_is_not_there_is_named_so() {
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
        let page = posted(&server, Some(FORM), format!("{grant}&client_id{client}")).await;
        assert_eq!(error(&page), refused(400, expected), "{grant}");
    }
}

/// The most memory the server ever had, in KiB.
fn peak_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// C 45: what is sent beyond the limit is not kept, however many send it.
#[tokio::test]
async fn big_bodies_do_not_fill_the_memory() {
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
            // The server answers and closes when it has seen enough; one byte is never sent.
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
async fn a_request_has_an_end() {
    let server = World::new().start().await;
    let many = |count: usize| (0..count).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
    for too_much in [many(101), many(10_000), format!("code={}", "a".repeat(70_000))] {
        let body = format!("{BODY}&{too_much}");
        let page = posted(&server, Some(FORM), body).await;
        assert_eq!(error(&page), refused(400, "invalid_request"));
    }
    let page = posted(&server, Some(FORM), format!("{BODY}&{}", many(90))).await;
    assert_eq!(error(&page), refused(400, "invalid_grant"), "ninety more are no matter");

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
    // A connection that is cut while it still sends may lose the answer.
    assert!(statuses.iter().all(|status| status == "431" || status.is_empty()), "{statuses:?}");
    assert!(send_bytes(&server, headers(40, "a")).starts_with("HTTP/1.1 200"));
}
