//! Starting and stopping: configuration errors, restarts without loss, and a graceful shutdown (threat M
//! 144): SIGTERM first fails readiness, then finishes the requests in progress.

use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::http::{bare_client, connect, read_until_closed, send};
use crate::world::{ALICE, ALICE_PASSWORD, Client, Need, Person, Server, World, verified};

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_most_similar_one() {
    let output = World::new().with("oauth2:\n  skipAprovalScreen: true").refuses_to_start().await;
    assert!(
        output.contains("skipAprovalScreen") && output.contains("skipApprovalScreen"),
        "{output}"
    );
}

#[tokio::test]
async fn a_secret_from_an_unset_variable_is_refused() {
    let world = || {
        World::empty().person(Person::new(ALICE, ALICE_PASSWORD)).with(
        "staticClients:\n- id: app\n  name: App\n  secretEnv: APP_SECRET\n  redirectURIs: ['https://app.example.com/cb']",
    )
    };
    let output = world().refuses_to_start().await;
    assert!(output.contains("APP_SECRET"), "{output}");
    let mut server = world().env("APP_SECRET", "a-secret-from-outside").start().await;
    server.assert_no_secret_in_log(&["a-secret-from-outside"]);
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_restart_keeps_keys_sessions_and_tokens() {
    let mut server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;

    server.kill();
    server.restart().await;
    verified(response.id_token(), &app.gets("/keys").await.json);
    let refreshed = app.refreshes(response.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    let again = app.auth_request("openid");
    alice.opens(&again.url).await;
    assert!(alice.page().form_with("password").is_none(), "she is still signed in");
}

#[tokio::test]
async fn sigterm_ends_with_status_0_and_soon() {
    let mut server = World::new().client(Client::public("cli")).start().await;
    let status = server.stop().await;
    assert!(status.success(), "{status}:\n{}", server.log());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[tokio::test]
async fn the_test_clock_is_the_clock_of_the_server() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    server.advance(std::time::Duration::from_hours(960));
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let iat = crate::world::claims(response.id_token())["iat"].as_u64().unwrap();
    let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((iat - real.as_secs()).abs_diff(40 * 86_400) < 120, "issued at {iat}");
}

/// How long a busy machine may take to deliver a signal.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

fn sends_sigterm(server: &Server) {
    let sent = Command::new("kill").args(["-TERM", &server.pid().to_string()]).status().unwrap();
    assert!(sent.success());
}

async fn readiness(server: &Server) -> u16 {
    send(bare_client().get(format!("{}/healthz/ready", server.telemetry()))).await.status
}

/// Threat 144.
#[tokio::test]
async fn requests_in_progress_are_finished_and_no_new_ones_accepted() {
    let mut server = World::new().start().await;
    let body = "grant_type=authorization_code&code=no-such-code&client_id=example-app&\
                client_secret=the-secret-of-example-app-61616161";
    let mut stream = connect(&server.origin());
    let head = format!(
        "POST /dex/token HTTP/1.1\r\nHost: id.example.com\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server sends "100 Continue" when it reads the body: then the request is in progress.
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");

    sends_sigterm(&server);
    let started = Instant::now();
    while readiness(&server).await != 503 {
        assert!(started.elapsed() < WAIT_TIMEOUT, "it is still ready:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let live = send(bare_client().get(format!("{}/healthz/live", server.telemetry()))).await;
    assert_eq!(live.status, 200, "liveness is unaffected");

    stream.write_all(body.as_bytes()).unwrap();
    let rest = read_until_closed(&mut stream);
    assert!(rest.contains("HTTP/1.1 400") && rest.contains("invalid_grant"), "{rest}");
    let status = server.stop().await;
    assert!(status.success(), "{status}:\n{}", server.log());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_shutdown() {
    let mut server = World::new().start().await;
    let client = bare_client();
    assert_eq!(send(client.get(server.url("/keys"))).await.status, 200);
    let silent = connect(&server.origin());
    let started = Instant::now();
    let status = server.stop().await;
    assert!(status.success(), "{status}");
    // Neither a kept-alive nor a silent connection is waited for.
    assert!(started.elapsed() < WAIT_TIMEOUT, "it took {:?}", started.elapsed());
    drop((client, silent));
}

/// `web.shutdownDelay`: load balancers have time to notice that a replica is not ready, and kept-alive connections end
/// with a response and not with a reset.
#[tokio::test]
async fn after_sigterm_connections_are_accepted_until_the_delay_is_over() {
    let world = World::new();
    let listen = world.origin().replace("http://", "");
    let web = format!("web:\n  http: {listen}\n  shutdownDelay: 3s\n");
    let mut server = world.with(&web).start().await;
    let mut kept_alive = connect(&server.origin());
    let request = "GET /dex/keys HTTP/1.1\r\nHost: a\r\n\r\n";
    kept_alive.write_all(request.as_bytes()).unwrap();
    let mut text = BufReader::new(kept_alive.try_clone().unwrap());
    let mut line = String::new();
    text.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");

    sends_sigterm(&server);
    let pending = Instant::now();
    while readiness(&server).await != 503 {
        assert!(pending.elapsed() < WAIT_TIMEOUT, "it is still ready:\n{}", server.log());
    }
    let new = send(bare_client().get(server.url("/keys"))).await;
    assert_eq!((new.status, new.header("connection")), (200, Some("close")));
    kept_alive.write_all(request.as_bytes()).unwrap();
    let rest = read_until_closed(&mut kept_alive).to_lowercase();
    assert!(rest.contains("http/1.1 200") && rest.contains("connection: close"), "{rest}");
    assert!(server.stop().await.success());
    // A number, for programs that read the log.
    assert!(server.log().contains(r#""delay_seconds":3.0"#), "{}", server.log());
}

/// RFC 9113 section 6.8: the client learns which requests were processed, and sends the others elsewhere.
#[tokio::test]
async fn an_http2_connection_gets_goaway_and_its_request_a_response() {
    let mut server = World::new().start().await;
    let address = server.origin().replace("http://", "");
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = ::http::Request::post(server.url("/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(())
        .unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(bytes::Bytes::from("grant_type=refresh"), false).unwrap();
    // This response shows that the request before was received.
    let keys = ::http::Request::get(server.url("/keys")).body(()).unwrap();
    assert_eq!(client.send_request(keys, true).unwrap().0.await.unwrap().status(), 200);
    sends_sigterm(&server);
    let pending = Instant::now();
    while readiness(&server).await != 503 {
        assert!(pending.elapsed() < WAIT_TIMEOUT, "it is still ready:\n{}", server.log());
    }
    body.send_data(bytes::Bytes::from("_token&refresh_token=x"), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 401);
    drop(client);
    driver.await.unwrap().expect("it ends without an error");
    assert!(server.stop().await.success());
}
