//! Memory that peers can make the server use (issue 9, items 1 and 2; threats M 135, F 78), measured as its
//! resident memory.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::scenarios::login::passwords::{attempt, behind_a_proxy, verifications};
use crate::world::http::{bare_client, connect, read_until_closed, send};
use crate::world::{ALICE, ALICE_PASSWORD, Server, World};

pub const MIB: u64 = 1024 * 1024;
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// `VmRSS` (current) or `VmHWM` (peak), in bytes.
pub fn memory(server: &Server, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap().trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Alice's password hashed as `countersign hash-password` does it: argon2id with 19 MiB. Every attempt costs that much,
/// for any login.
pub const ARGON2: &str = "enablePasswordDB: true
staticPasswords:
- email: alice@example.com
  hash: $argon2id$v=19$m=19456,t=2,p=1$2fSq2G/3zodrFpjYROZJuA$mToKPNAe3yz4kunThTOQLiu0oEmUmPqAEXW1g7TM3vI
  username: alice
  userID: id-of-alice
limits:
  passwordHashing:
    threads: 2
";

/// Threat 156. Before, 60 attempts one after another kept 400 MiB: 19 MiB for each thread that had ever verified a
/// password.
#[tokio::test]
async fn wrong_passwords_use_no_more_memory_than_the_hashing_threads() {
    let server = behind_a_proxy(World::new().with(ARGON2)).start().await;
    attempt(&server, "192.0.2.1", "nobody@example.com", "not-the-password").await;
    let idle = memory(&server, "VmRSS").saturating_sub(20 * MIB);
    for round in 0..5 {
        let attempts = (0..16).map(|n| {
            let (address, login) = (format!("198.51.{round}.{n}"), format!("user{n}@example.com"));
            let server = &server;
            async move { attempt(server, &address, &login, "not-the-password").await.status }
        });
        let mut statuses = Vec::new();
        for attempt in attempts.collect::<Vec<_>>() {
            statuses.push(attempt.await);
        }
        assert_eq!(statuses, [401; 16]);
    }
    wrong_passwords_at_once(&server, 40).await;
    let grown = memory(&server, "VmHWM").saturating_sub(idle);
    // Two threads of 20 MiB, and 24 MiB for everything else that a debug build touches for the first time.
    assert!(grown < 64 * MIB, "{} MiB more than when idle", grown / MIB);
}

/// Issue 9, item 1, to the number: after 10 000 attempts, sixteen at a time, the server has what it had after the first
/// one and the memory of its two threads. With hashes of 4 MiB, so that it takes seconds; the memory that was kept then
/// was that of one hash for each thread that had ever verified a password.
#[tokio::test]
async fn ten_thousand_wrong_passwords_keep_the_memory_of_the_hashing_threads_alone() {
    const ATTEMPTS: usize = 10_000;
    const AT_ONCE: usize = 16;
    let cheap = ARGON2.replace("m=19456,t=2", "m=4096,t=1");
    let world = World::new().with(&cheap);
    let server = behind_a_proxy(world.with("oauth2:\n  passwordConnector: local")).start().await;
    assert_eq!(guess(&server, &bare_client(), 0).await, 400);
    let (before, idle) = (verifications(&server).await, memory(&server, "VmRSS"));
    let clients: Vec<_> = (0..AT_ONCE).map(|_| bare_client()).collect();
    let guesses = clients.iter().enumerate().map(|(first, client)| {
        let server = &server;
        async move {
            for n in (first..ATTEMPTS).step_by(AT_ONCE) {
                assert_eq!(guess(server, client, n + 1).await, 400);
            }
        }
    });
    join_all(guesses.collect()).await;
    assert_eq!(verifications(&server).await - before, ATTEMPTS as u64);
    let grown = memory(&server, "VmRSS").saturating_sub(idle);
    // Two threads of 5 MiB, and 24 MiB for everything else that a debug build touches for the first time.
    assert!(grown < 34 * MIB, "{} MiB more than after the first attempt", grown / MIB);
}

/// The status of a wrong password in a token request, for a user and from an address of its own.
async fn guess(server: &Server, client: &reqwest::Client, n: usize) -> u16 {
    let login = format!("user{n}@example.com");
    let fields = [
        ("grant_type", "password"),
        ("username", login.as_str()),
        ("password", "not-the-password"),
    ];
    let request = client.post(server.url("/token")).form(&fields);
    let request = request.basic_auth("example-app", Some("the-secret-of-example-app-61616161"));
    let address = format!("10.{}.{}.7", n / 250, n % 250);
    send(request.header("x-forwarded-for", address)).await.status
}

/// That many guesses of unknown people, each in a browser of its own, all at the same time.
pub async fn wrong_passwords_at_once(server: &Server, guesses: usize) {
    let mut storm = JoinSet::new();
    for n in 0..guesses {
        let mut browser = server.browser();
        browser.opens(server.relying_party("example-app").auth_request("openid").url).await;
        storm.spawn(async move {
            browser.signs_in(&format!("storm{n}@example.com"), "not-the-password").await.status
        });
    }
    for status in storm.join_all().await {
        assert!(matches!(status, 401 | 429 | 503), "{status}");
    }
}

/// The statuses of this many requests on one HTTP/2 connection, whose bodies never end.
pub async fn unfinished_bodies(server: &Server, streams: usize) -> Vec<u16> {
    let address = server.origin().replace("http://", "");
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(tcp).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut responses = JoinSet::new();
    for _ in 0..streams {
        let request = ::http::Request::post(server.url("/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(())
            .unwrap();
        // Waits until the server allows another stream; it may also have closed the connection.
        client = match client.ready().await {
            Ok(client) => client,
            Err(_) => break,
        };
        let Ok((response, mut body)) = client.send_request(request, false) else { break };
        let _ = body.send_data(Bytes::from(vec![b'a'; 60_000]), false);
        responses.spawn(async move {
            let status = response.await.map(|response| response.status().as_u16());
            drop(body);
            status.unwrap_or(0)
        });
    }
    let statuses = responses.join_all().await;
    driver.abort();
    statuses
}

/// Before, 30 connections took the process from 28 to 373 MiB, and it kept them.
#[tokio::test]
async fn unfinished_bodies_on_many_streams_are_bounded() {
    let server = World::new().start().await;
    send(bare_client().get(server.url("/keys"))).await;
    let before = memory(&server, "VmHWM");
    let flood = async {
        let connections = (0..30).map(|_| unfinished_bodies(&server, 100));
        let mut all = Vec::new();
        // All at the same time, on this one task.
        for statuses in join_all(connections.collect()).await {
            all.extend(statuses);
        }
        all
    };
    let others = async {
        for _ in 0..20 {
            assert_eq!(send(bare_client().get(server.url("/keys"))).await.status, 200);
        }
    };
    let (statuses, ()) = tokio::join!(flood, others);
    let grown = memory(&server, "VmHWM") - before;
    assert!(grown < 64 * MIB, "{} MiB more than when idle", grown / MIB);
    let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert!(statuses.len() >= 1000, "{} were sent", statuses.len());
    assert_eq!(count(408) + count(503) + count(0), statuses.len(), "{statuses:?}");
    assert!(count(503) > 0 && count(408) > 0, "{statuses:?}");

    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(app.redeems(&request, &auth_response).await.status, 200);
}

pub async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(cx) {
                std::task::Poll::Ready(value) => *output = Some(value),
                std::task::Poll::Pending => pending = true,
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    futures.into_iter().map(|(_, output)| output.unwrap()).collect()
}

/// A body of which only the first byte is sent, on a connection of its own; the status of the first response.
pub fn unfinished_body(server: &Server) -> (std::net::TcpStream, String) {
    let mut stream = connect(&server.origin());
    let head = "POST /dex/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    let _closed = stream.write_all(b"a");
    (stream, String::from_utf8_lossy(&status[9..]).into_owned())
}

/// `limits.requestBodies`: beyond it 503 with Retry-After; a body must arrive within ten seconds.
#[tokio::test]
async fn bodies_beyond_the_limit_are_refused_and_slow_ones_end() {
    let server = World::new().with("limits:\n  requestBodies: 8\n").start().await;
    let app = server.relying_party("example-app");
    let metrics =
        async || send(bare_client().get(format!("{}/metrics", server.telemetry()))).await.body;
    let slow: Vec<_> = (0..60).map(|_| unfinished_body(&server)).collect();
    let read = slow.iter().filter(|(_, status)| status == "100").count();
    assert!((20..60).contains(&read), "{read} bodies are being read");
    assert!(slow.iter().all(|(_, status)| status == "100" || status == "503"));
    let form = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let refused = app.exchange(&form).await.page;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert!(refused.body.contains("temporarily_unavailable"), "{}", refused.body);
    assert!(metrics().await.contains("countersign_refused_request_bodies_total"));
    for (mut stream, status) in slow {
        let response = read_until_closed(&mut stream);
        assert!(status == "503" || response.contains("HTTP/1.1 408"), "{response}");
    }
    let page = app.exchange(&form).await.page;
    assert_eq!(page.status, 400, "there is room again: {}", page.body);
    assert!(metrics().await.contains("countersign_request_body_bytes 0\n"));
}

/// Headers that never end, of nearly `limits.headerBytes`. Before, each connection kept them for ten seconds.
#[tokio::test]
async fn unfinished_headers_of_many_connections_are_bounded() {
    let limits = "limits:\n  requestBodies: 32\n  headerBytes: 1048576\n";
    let server = World::new().with(limits).start().await;
    send(bare_client().get(server.url("/keys"))).await;
    let before = memory(&server, "VmHWM");
    let head = format!("GET /dex/keys HTTP/1.1\r\nHost: a\r\nx-a: {}", "a".repeat(800_000));
    let begins = |_| {
        let mut stream = connect(&server.origin());
        let _closed = stream.write_all(head.as_bytes());
        stream
    };
    let held: Vec<_> = (0..150).map(begins).collect();
    assert_eq!(send(bare_client().get(server.url("/keys"))).await.status, 200);
    let grown = memory(&server, "VmHWM") - before;
    assert!(grown < 40 * MIB, "{} MiB more than when idle", grown / MIB);
    drop(held);
    let (started, mut metrics) = (Instant::now(), String::new());
    while !metrics.contains("countersign_request_body_bytes 0\n") {
        assert!(started.elapsed() < WAIT_TIMEOUT, "the memory was returned:\n{metrics}");
        metrics = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await.body;
    }
}

/// `limits.connections`: further connections are closed at once until one ends.
#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let server = World::new().with("limits:\n  connections: 16\n").start().await;
    // A response shows that the connection is accepted.
    let kept_alive = |_| {
        let mut stream = connect(&server.origin());
        stream.write_all(b"HEAD /dex/keys HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        stream
    };
    let mut held: Vec<_> = (0..16).map(kept_alive).collect();
    let started = Instant::now();
    let request = "GET /dex/keys HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let ask = || {
        let mut stream = connect(&server.origin());
        let _closed = stream.write_all(request.as_bytes());
        read_until_closed(&mut stream)
    };
    assert_eq!(ask(), "", "it is closed without an answer");
    assert!(started.elapsed() < Duration::from_secs(9), "at once, not when others time out");
    held.pop();
    let started = Instant::now();
    while !ask().starts_with("HTTP/1.1 200") {
        assert!(started.elapsed() < WAIT_TIMEOUT, "a place was given back");
    }
}

/// `limits.headerBytes`, to the byte, whatever the version of HTTP.
#[tokio::test]
async fn headers_have_an_exact_limit() {
    let server = World::new().with("limits:\n  headerBytes: 16384\n").start().await;
    let request = |bytes: usize| {
        let head = "GET /dex/keys HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-a: ";
        let filling = bytes - head.len() - "\r\n\r\n".len();
        format!("{head}{}\r\n\r\n", "a".repeat(filling))
    };
    for (bytes, status) in [(16_384, "200"), (16_385, "431"), (30_000, "431")] {
        let mut stream = connect(&server.origin());
        stream.write_all(request(bytes).as_bytes()).unwrap();
        let text = read_until_closed(&mut stream);
        assert_eq!(text.get(9..12), Some(status), "{bytes}: {text}");
    }
    let address = server.origin().replace("http://", "");
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(tcp).await.unwrap();
    let driver = tokio::spawn(connection);
    for (bytes, status) in [(15_000, 200), (16_400, 431), (40_000, 431)] {
        let request = ::http::Request::get(server.url("/keys"));
        let request = request.header("x-a", "a".repeat(bytes)).body(()).unwrap();
        client = client.ready().await.unwrap();
        let response = client.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{bytes}");
    }
    driver.abort();
}
