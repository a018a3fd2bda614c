//! SIGTERM (threat M 144): first nobody new is sent here, then what is under way is finished.

use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use super::bare_requests::{answer, connect, http, until_closed};
use crate::world::{Server, World};

/// How long a busy machine may take to hear a signal. Not a sleep.
const PATIENCE: Duration = Duration::from_secs(20);

fn asks_to_stop(server: &Server) {
    let sent = Command::new("kill").args(["-TERM", &server.pid().to_string()]).status().unwrap();
    assert!(sent.success());
}

async fn readiness(server: &Server) -> u16 {
    answer(http().get(format!("{}/healthz/ready", server.telemetry()))).await.status
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

    asks_to_stop(&server);
    let begun = Instant::now();
    while readiness(&server).await != 503 {
        assert!(begun.elapsed() < PATIENCE, "it is still ready:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let live = answer(http().get(format!("{}/healthz/live", server.telemetry()))).await;
    assert_eq!(live.status, 200, "probes still find it alive");

    stream.write_all(body.as_bytes()).unwrap();
    let rest = until_closed(&mut stream);
    assert!(rest.contains("HTTP/1.1 400") && rest.contains("invalid_grant"), "{rest}");
    let status = server.stop().await;
    assert!(status.success(), "{status}:\n{}", server.log());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[tokio::test]
async fn idle_connections_do_not_keep_it_from_stopping() {
    let mut server = World::new().start().await;
    let client = http();
    assert_eq!(answer(client.get(server.url("/keys"))).await.status, 200);
    let silent = connect(&server.origin());
    let begun = Instant::now();
    let status = server.stop().await;
    assert!(status.success(), "{status}");
    // Neither the one that is kept alive nor the silent one is waited for until the grace is over.
    assert!(begun.elapsed() < PATIENCE, "it took {:?}", begun.elapsed());
    drop((client, silent));
}
