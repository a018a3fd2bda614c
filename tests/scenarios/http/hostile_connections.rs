//! Hostile TLS and HTTP/2 connections (threats M 136 and 137): old protocol versions are refused, floods of frames end
//! their own connection, and others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::net::TcpStream as AsyncTcpStream;

use crate::scenarios::operations::memory::{MIB, memory};
use crate::world::http::{bare_client, connect, send};
use crate::world::{Server, World};

/// A ClientHello (RFC 5246 section 7.4.1.2) of this version, which lacks nothing that TLS 1.2 requires.
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and, for older versions, with AES_128_CBC_SHA.
    const CIPHER_SUITES: [u8; 6] = [0, 4, 0xc0, 0x2b, 0xc0, 0x09];
    // supported_groups: secp256r1; ec_point_formats: uncompressed; signature_algorithms: ecdsa_secp256r1_sha256.
    const EXTENSIONS: [u8; 24] =
        [0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    let mut hello = version.to_vec();
    hello.extend([7; 32]);
    // No session.
    hello.push(0);
    hello.extend(CIPHER_SUITES);
    // No compression.
    hello.extend([1, 0]);
    hello.extend(EXTENSIONS);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}

/// The content type of the first record that the server sends: 22 is a handshake, 21 an alert.
fn first_record(server: &Server, bytes: &[u8]) -> u8 {
    let mut stream = connect(&server.origin());
    stream.write_all(bytes).unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    first[0]
}

/// What the TLS listener sends before it closes the connection.
fn tls_response(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(&server.origin());
    let _closed = stream.write_all(bytes);
    let mut received = Vec::new();
    let _reset = stream.read_to_end(&mut received);
    received
}

async fn assert_others_are_served(server: &Server) {
    let app = server.relying_party("example-app");
    assert_eq!(app.gets("/keys").await.status, 200);
}

/// M 136, also after a reload (CVE-2024-23656).
#[tokio::test]
async fn tls_1_0_and_1_1_are_refused_also_after_a_reload() {
    let server = World::https().start().await;
    for reloads in 0..2 {
        for version in [[3, 0], [3, 1], [3, 2]] {
            let alert = tls_response(&server, &client_hello(version));
            // RFC 8446 section 6.2: alert, fatal, protocol_version.
            assert_eq!(alert.first(), Some(&21), "{version:?}: {alert:?}");
            assert_eq!(alert.get(5..), Some(&[2, 70][..]), "{version:?}: {alert:?}");
        }
        assert_eq!(first_record(&server, &client_hello([3, 3])), 22, "TLS 1.2 is accepted");
        assert_others_are_served(&server).await;
        if reloads == 0 {
            server.sends_signal("HUP");
            server.waits_for_log(1, "configuration_reload").await;
        }
    }
}

#[tokio::test]
async fn junk_in_a_tls_handshake_closes_that_connection() {
    let server = World::https().start().await;
    let long = [&[22, 3, 1, 0xff, 0xff][..], &vec![1; 65_535]].concat();
    let server_name = [&[22, 3, 1, 0, 9, 1, 0, 0, 5][..], &[0xff; 5]].concat();
    let http = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    for junk in [long, server_name, http, vec![0; 4096]] {
        let received = tls_response(&server, &junk);
        assert!(received.len() < 100, "an alert or nothing: {received:?}");
    }
    assert_others_are_served(&server).await;
}

/// Until the server closes the connection.
async fn opens_and_resets(mut client: SendRequest<Bytes>, url: &str, streams: usize) {
    for _ in 0..streams {
        let request = http::Request::get(url).body(()).unwrap();
        client = match client.ready().await {
            Ok(client) => client,
            Err(_) => return,
        };
        let Ok((_response, mut stream)) = client.send_request(request, false) else { return };
        stream.send_reset(h2::Reason::CANCEL);
    }
}

/// M 137, CVE-2023-44487: streams are opened and reset at once.
#[tokio::test]
async fn rapid_resets_use_no_memory() {
    let server = World::new().start().await;
    send(bare_client().get(server.url("/keys"))).await;
    let before = memory(&server, "VmHWM");
    let address = server.origin().replace("http://", "");
    for _ in 0..10 {
        let tcp = AsyncTcpStream::connect(&address).await.unwrap();
        let (client, connection) = h2::client::handshake(tcp).await.unwrap();
        let driver = tokio::spawn(connection);
        opens_and_resets(client, &server.url("/keys"), 2_000).await;
        // It may have ended with GOAWAY and ENHANCE_YOUR_CALM.
        let _ended = driver.await.unwrap();
    }
    let grown = memory(&server, "VmHWM") - before;
    assert!(grown < 32 * MIB, "{} MiB more", grown / MIB);
    assert_others_are_served(&server).await;
}

/// M 137, RUSTSEC-2024-0332: a header block that never ends.
#[tokio::test]
async fn endless_continuation_frames_are_cut_off() {
    const FRAME: usize = 16_000;
    let server = World::new().start().await;
    send(bare_client().get(server.url("/keys"))).await;
    let before = memory(&server, "VmHWM");
    let mut stream: TcpStream = connect(&server.origin());
    // RFC 9113 sections 3.4, 6.5, 6.2 and 6.10; HEADERS without END_HEADERS.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    stream.write_all(&[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]).unwrap();
    let length = u32::try_from(FRAME).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], 9, 0, 0, 0, 0, 1];
    // Literal header fields of one byte each, never indexed (RFC 7541 section 6.2.3).
    frame.extend([0x10, 1, b'a', 1, b'b'].iter().cycle().take(FRAME));
    let sent = (0..10_000).take_while(|_| stream.write_all(&frame).is_ok()).count();
    assert!(sent < 10_000, "the server read {} MiB", sent * FRAME / (1024 * 1024));
    let grown = memory(&server, "VmHWM") - before;
    assert!(grown < 32 * MIB, "{} MiB more", grown / MIB);
    assert_others_are_served(&server).await;
}

/// RFC 9113 section 3.4: the preface and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const FRAMES: usize = 1_000_000;

/// An HTTP/2 frame without payload (RFC 9113 section 4.1).
fn empty_frame(kind: u8, stream: u8) -> Vec<u8> {
    vec![0, 0, 0, kind, 0, 0, 0, 0, stream]
}

/// HEADERS of `POST /dex/token` on stream 1, whose body follows (RFC 9113 section 6.2, RFC 7541 section 6.2.2).
fn token_request() -> Vec<u8> {
    let literal = |name: &[u8], value: &str| {
        [name, &[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
    };
    // Static table: 3 is `:method POST`, 6 is `:scheme http`, 4 is `:path`, 1 is `:authority`, 31 is `content-type`.
    let block = [
        vec![0x83, 0x86],
        literal(&[0x04], "/dex/token"),
        literal(&[0x01], "a"),
        literal(&[0x0f, 0x10], "application/x-www-form-urlencoded"),
    ]
    .concat();
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, 4, 0, 0, 0, 1];
    frame.extend(block);
    frame
}

/// Sends the frame again and again until the server closes the connection, reads no more, or `FRAMES` are sent. Others
/// are served meanwhile. Returns by how much the server's memory has grown.
async fn floods(server: &Server, first: Vec<u8>, frame: Vec<u8>) -> u64 {
    send(bare_client().get(server.url("/keys"))).await;
    let before = memory(server, "VmHWM");
    let origin = server.origin();
    let flood = tokio::task::spawn_blocking(move || {
        let mut stream = connect(&origin);
        stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        stream.write_all(&[PREFACE, &first].concat()).unwrap();
        let chunk = frame.repeat(1000);
        (0..FRAMES / 1000).take_while(|_| stream.write_all(&chunk).is_ok()).count()
    });
    while !flood.is_finished() {
        assert_others_are_served(server).await;
    }
    flood.await.unwrap();
    assert_others_are_served(server).await;
    memory(server, "VmHWM") - before
}

/// M 137: DATA frames that carry nothing, of a request whose body never ends.
#[tokio::test]
async fn a_million_empty_data_frames_use_no_memory() {
    let server = World::new().start().await;
    let grown = floods(&server, token_request(), empty_frame(0, 1)).await;
    assert!(grown < 32 * MIB, "{} MiB more", grown / MIB);
}

/// M 137, CVE-2019-9515 and CVE-2019-9512: each SETTINGS and PING frame is answered, and the answers are not read.
#[tokio::test]
async fn settings_and_pings_without_a_reader_of_their_responses_use_no_memory() {
    let server = World::new().start().await;
    let grown = floods(&server, Vec::new(), empty_frame(4, 0)).await;
    assert!(grown < 32 * MIB, "SETTINGS: {} MiB more", grown / MIB);
    let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[1; 8]].concat();
    let server = World::new().start().await;
    let grown = floods(&server, Vec::new(), ping).await;
    assert!(grown < 32 * MIB, "PING: {} MiB more", grown / MIB);
}
