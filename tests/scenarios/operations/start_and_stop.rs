//! Starting and stopping: the first line names a configuration error, a restart loses nothing that was
//! acknowledged, and SIGTERM (threat M 144) first makes readiness fail, then finishes the requests in flight.

use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::http::{bare_client, connect, read_until_closed, send};
use crate::world::{ALICE, ALICE_PASSWORD, Client, Need, Person, Server, World, verified};

#[tokio::test]
async fn it_does_not_start_with_a_key_it_does_not_know_and_names_the_nearest() {
    let said = World::new().with("oauth2:\n  skipAprovalScreen: true").refuses_to_start().await;
    assert!(said.contains("skipAprovalScreen") && said.contains("skipApprovalScreen"), "{said}");
}

#[tokio::test]
async fn it_does_not_start_with_a_secret_from_an_unset_variable() {
    let world = || {
        World::empty().person(Person::new(ALICE, ALICE_PASSWORD)).with(
        "staticClients:\n- id: app\n  name: App\n  secretEnv: APP_SECRET\n  redirectURIs: ['https://app.example.com/cb']",
    )
    };
    let said = world().refuses_to_start().await;
    assert!(said.contains("APP_SECRET"), "{said}");
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
async fn a_clean_stop_ends_well_and_soon() {
    let mut server = World::new().client(Client::public("cli")).start().await;
    let status = server.stop().await;
    assert!(status.success(), "{status}:\n{}", server.log());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[tokio::test]
async fn the_story_clock_is_the_clock_of_the_server() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    server.advance(std::time::Duration::from_secs(40 * 86_400));
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let iat = crate::world::claims(response.id_token())["iat"].as_u64().unwrap();
    let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((iat - real.as_secs()).abs_diff(40 * 86_400) < 120, "issued at {iat}");
}

/// How long a busy machine may take to hear a signal. Not a sleep.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

fn sends_sigterm(server: &Server) {
    let sent = Command::new("kill").args(["-TERM", &server.pid().to_string()]).status().unwrap();
    assert!(sent.success());
}

async fn readiness(server: &Server) -> u16 {
    send(bare_client().get(format!("{}/healthz/ready", server.telemetry()))).await.status
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_nothing_new_begun() {
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
    // It says "100 Continue" when it reads the body: from here on the request is under way.
    let mut said = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");

    sends_sigterm(&server);
    let begun = Instant::now();
    while readiness(&server).await != 503 {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "it is still ready:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let live = send(bare_client().get(format!("{}/healthz/live", server.telemetry()))).await;
    assert_eq!(live.status, 200, "probes still find it alive");

    stream.write_all(body.as_bytes()).unwrap();
    let rest = read_until_closed(&mut stream);
    assert!(rest.contains("HTTP/1.1 400") && rest.contains("invalid_grant"), "{rest}");
    let status = server.stop().await;
    assert!(status.success(), "{status}:\n{}", server.log());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[tokio::test]
async fn idle_connections_do_not_keep_it_from_stopping() {
    let mut server = World::new().start().await;
    let client = bare_client();
    assert_eq!(send(client.get(server.url("/keys"))).await.status, 200);
    let silent = connect(&server.origin());
    let begun = Instant::now();
    let status = server.stop().await;
    assert!(status.success(), "{status}");
    // Neither the one that is kept alive nor the silent one is waited for until the grace is over.
    assert!(begun.elapsed() < WAIT_TIMEOUT, "it took {:?}", begun.elapsed());
    drop((client, silent));
}
