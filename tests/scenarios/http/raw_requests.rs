//! Requests that no browser and no library would send (threats K 125, M 135), and the tools to send
//! them for the other tests.

use std::io::Write;

use crate::world::World;
use crate::world::http::{bare_client, connect, read_until_closed, send, send_bytes};

/// The statuses of all answers in what was said.
fn statuses(said: &str) -> Vec<&str> {
    let parts = said.split("HTTP/1.").skip(1);
    parts.filter_map(|part| part.get(2..5)).collect()
}

const HOST: &str = "Host: id.example.com\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// K 125. Where two programs read the end of a request differently, one stranger's request becomes the
/// beginning of another's.
#[tokio::test]
async fn a_request_with_two_ends_is_one_request_or_none() {
    let server = World::new().start().await;
    let hidden = "GET /dex/robots.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let both = format!(
        "POST /dex/token HTTP/1.1\r\n{HOST}{FORM}Content-Length: {}\r\nTransfer-Encoding: \
         chunked\r\n\r\n0\r\n\r\n{hidden}",
        hidden.len() + 5
    );
    let said = send_bytes(&server, both);
    assert_eq!(statuses(&said).len(), 1, "{said}");
    assert!(!said.contains("Disallow"), "the hidden request was answered:\n{said}");

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
        let said = send_bytes(&server, request);
        assert_eq!(statuses(&said), ["400"], "{framing}: {said}");
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
async fn what_is_not_http_is_refused_and_harms_nobody() {
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
        let said = send_bytes(&server, bytes);
        assert!(statuses(&said).iter().all(|status| *status == "400"), "{what}: {said}");
        assert!(!said.contains("\"kty\""), "{what}: {said}");
    }
    // RFC 9112 section 2.2 lets a lone LF end a line; it must not make two requests of one.
    let said = send_bytes(&server, "GET /dex/keys HTTP/1.1\nHost: a\nConnection: close\n\n");
    assert_eq!(statuses(&said).len(), 1, "{said}");
    assert!(send_bytes(&server, "GET /dex/keys HTTP/1.0\r\n\r\n").contains("\"kty\""));
}

/// K 120; RFC 9112 section 3.2.
#[tokio::test]
async fn a_request_names_one_host() {
    let server = World::new().start().await;
    let asked = |hosts: &str| {
        send_bytes(&server, format!("GET /dex/keys HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"))
    };
    assert_eq!(statuses(&asked(HOST)), ["200"]);
    assert_eq!(statuses(&asked("")), ["400"]);
    assert_eq!(statuses(&asked(&format!("{HOST}Host: evil.example.com\r\n"))), ["400"]);
}

/// K 125.
#[tokio::test]
async fn odd_methods_are_refused_where_they_mean_nothing() {
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
    let said = send_bytes(&server, tunnel);
    assert!(statuses(&said).iter().all(|status| status.starts_with('4')), "{said}");
}

/// M 135: who sends half a header and waits, waits for ten seconds and not for ever. Meanwhile others
/// are served.
#[tokio::test]
async fn a_connection_that_never_finishes_its_request_is_closed() {
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
        let said = read_until_closed(&mut stream);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{half:?}: {said}");
    }
}
