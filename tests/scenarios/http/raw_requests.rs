//! Malformed HTTP requests, which no browser or library sends (threats K 125, M 135).

use std::io::{Read, Write};

use crate::world::World;
use crate::world::http::{bare_client, connect, read_until_closed, send, send_bytes};

/// The statuses of all responses in these bytes.
fn statuses(received: &str) -> Vec<&str> {
    let parts = received.split("HTTP/1.").skip(1);
    parts.filter_map(|part| part.get(2..5)).collect()
}

const HOST: &str = "Host: id.example.com\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// K 125, request smuggling: where two programs disagree about the end of a request, the rest of one request
/// becomes the beginning of another's.
#[tokio::test]
async fn ambiguous_framing_yields_one_request_or_400() {
    let server = World::new().start().await;
    let hidden = "GET /dex/robots.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let both = format!(
        "POST /dex/token HTTP/1.1\r\n{HOST}{FORM}Content-Length: {}\r\nTransfer-Encoding: \
         chunked\r\n\r\n0\r\n\r\n{hidden}",
        hidden.len() + 5
    );
    let received = send_bytes(&server, both);
    assert_eq!(statuses(&received).len(), 1, "{received}");
    assert!(!received.contains("Disallow"), "the hidden request was answered:\n{received}");

    for framing in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 4\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Content-Length: 3\r\n",
    ] {
        let request = format!("POST /dex/token HTTP/1.1\r\n{HOST}{FORM}{framing}\r\na=b{hidden}");
        let received = send_bytes(&server, request);
        assert_eq!(statuses(&received), ["400"], "{framing}: {received}");
    }
    let size = format!(
        "POST /dex/token HTTP/1.1\r\n{HOST}{FORM}Transfer-Encoding: chunked\r\n\r\n\
         ffffffffffffffff1\r\na=b\r\n0\r\n\r\n{hidden}"
    );
    assert_eq!(statuses(&send_bytes(&server, size)), ["400"]);
    assert_eq!(send(bare_client().get(server.url("/keys"))).await.status, 200);
}

/// K 125.
#[tokio::test]
async fn malformed_http_is_refused_and_others_are_served() {
    let server = World::new().start().await;
    for (what, bytes) in [
        ("HTTP/0.9", "GET /dex/keys\r\n\r\n".to_owned()),
        ("HTTP/3.0", format!("GET /dex/keys HTTP/3.0\r\n{HOST}\r\n")),
        ("a folded header", format!("GET /dex/keys HTTP/1.1\r\n{HOST}X-A: b\r\n c\r\n\r\n")),
        ("a space before the colon", "GET /dex/keys HTTP/1.1\r\nHost : a\r\n\r\n".to_owned()),
        ("a NUL", format!("GET /dex/keys HTTP/1.1\r\n{HOST}X-A: b\0c\r\n\r\n")),
        ("a lone CR", format!("GET /dex/keys HTTP/1.1\r\n{HOST}X-A: b\rX-B: c\r\n\r\n")),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned()),
        ("words", "hello, is anybody there?\r\n\r\n".to_owned()),
    ] {
        let received = send_bytes(&server, bytes);
        assert!(statuses(&received).iter().all(|status| *status == "400"), "{what}: {received}");
        assert!(!received.contains("\"kty\""), "{what}: {received}");
    }
    // RFC 9112 section 2.2 allows a lone LF as a line end; it must not split a request.
    let received = send_bytes(&server, "GET /dex/keys HTTP/1.1\nHost: a\nConnection: close\n\n");
    assert_eq!(statuses(&received).len(), 1, "{received}");
    assert!(send_bytes(&server, "GET /dex/keys HTTP/1.0\r\n\r\n").contains("\"kty\""));
}

/// K 120; RFC 9112 section 3.2.
#[tokio::test]
async fn a_request_without_exactly_one_host_is_refused() {
    let server = World::new().start().await;
    let send_with = |hosts: &str| {
        send_bytes(&server, format!("GET /dex/keys HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"))
    };
    assert_eq!(statuses(&send_with(HOST)), ["200"]);
    assert_eq!(statuses(&send_with("")), ["400"]);
    assert_eq!(statuses(&send_with(&format!("{HOST}Host: evil.example.com\r\n"))), ["400"]);
}

/// K 125.
#[tokio::test]
async fn unsupported_methods_are_refused() {
    let server = World::new().start().await;
    for method in ["TRACE", "PUT", "DELETE", "PATCH", "GET", "HEAD", "FROB"] {
        let request = bare_client().request(method.parse().unwrap(), server.url("/token"));
        let refused = send(request.header("x-mine", "echo-me")).await;
        assert_eq!(refused.status, 405, "{method}");
        assert_eq!(refused.header("allow"), Some("POST"), "{method}");
        assert!(!refused.body.contains("echo-me"), "{method}");
    }
    for path in ["/auth", "/approval", "/logout", "/keys", "/static/x.css", "/"] {
        for method in ["TRACE", "PUT", "DELETE", "FROB"] {
            let request = bare_client().request(method.parse().unwrap(), server.url(path));
            let refused = send(request).await;
            assert!(matches!(refused.status, 404 | 405), "{method} {path}: {}", refused.status);
        }
    }
    let tunnel = "CONNECT evil.example.com:443 HTTP/1.1\r\nHost: evil.example.com:443\r\n\
                  Connection: close\r\n\r\n";
    let received = send_bytes(&server, tunnel);
    assert!(statuses(&received).iter().all(|status| status.starts_with('4')), "{received}");
}

/// M 135: an unfinished header times out after ten seconds, and other requests are served meanwhile.
#[tokio::test]
async fn a_connection_with_an_unfinished_request_is_closed() {
    let server = World::new().start().await;
    let mut slow = Vec::new();
    for half in ["", "GET /dex/keys HTT", "GET /dex/keys HTTP/1.1\r\nHost: id.exam"] {
        for origin in [server.origin(), server.telemetry()] {
            let mut stream = connect(&origin);
            stream.write_all(half.as_bytes()).unwrap();
            slow.push((half, stream));
        }
    }
    for _ in 0..20 {
        assert_eq!(send(bare_client().get(server.url("/keys"))).await.status, 200);
    }
    for (half, mut stream) in slow {
        let received = read_until_closed(&mut stream);
        assert!(
            received.is_empty() || received.starts_with("HTTP/1.1 408"),
            "{half:?}: {received}"
        );
    }
}

/// The memory of bodies that unfinished headers use is not held for as long as a connection may be idle.
#[tokio::test]
async fn unfinished_headers_of_a_later_request_end_the_connection_too() {
    let server = World::new().start().await;
    let mut stream = connect(&server.origin());
    let whole = format!("GET /dex/keys HTTP/1.1\r\n{HOST}\r\n");
    let unfinished = format!("GET /dex/keys HTTP/1.1\r\n{HOST}x-a: {}", "a".repeat(40_000));
    stream.write_all((whole + unfinished.as_str()).as_bytes()).unwrap();
    // Idle connections last longer than the test waits.
    assert_eq!(statuses(&read_until_closed(&mut stream))[0], "200");
}

/// RFC 9112 section 9.6: the connection is not reset while the client is sending, which would cost it the response.
#[tokio::test]
async fn a_client_that_is_still_sending_too_large_a_body_receives_the_response() {
    const LENGTH: usize = 4_000_000;
    let server = World::new().start().await;
    let mut stream = connect(&server.origin());
    let head = format!("POST /dex/token HTTP/1.1\r\n{HOST}{FORM}Content-Length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'a'; LENGTH]).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    assert_eq!(statuses(&received), ["413"], "{received}");
}
