//! A full disk, too few file descriptors, little memory and one processor (threats M 141, M 145, O 156 and O 166): refused
//! while it lasts, nothing lost, and no restart needed.

use std::io::Write;
use std::net::TcpStream;

use serde_json::Value;

use crate::scenarios::operations::database_down::wait_until_ready;
use crate::scenarios::operations::memory::{
    ARGON2, MIB, join_all, memory, unfinished_bodies, unfinished_body, wrong_passwords_at_once,
};
use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, Need, Server, SignedInClient, World, verified};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

async fn readiness(server: &Server) -> (u16, Value) {
    let page = send(bare_client().get(format!("{}/healthz/ready", server.telemetry()))).await;
    (page.status, serde_json::from_str(&page.body).unwrap())
}

/// Writes into a new file on the server's disk until there is no space. The program sees the disk in a mount namespace
/// of its own.
fn fills_disk(server: &Server) -> std::path::PathBuf {
    let disk = server.file("disk/filler");
    let filler = format!("/proc/{}/root{}", server.pid(), disk.display());
    let mut file = std::fs::File::create(&filler).unwrap();
    let mut size = 64 * 1024;
    while size > 0 {
        if file.write_all(&vec![1; size]).is_err() {
            size /= 2;
        }
    }
    filler.into()
}

#[tokio::test]
async fn on_a_full_disk_the_server_is_unready_and_recovers_when_there_is_space() {
    if Need::Mounts.is_missing() {
        return;
    }
    let world = World::new().with(SKIP).on_small_disk();
    let server = world.start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    assert_eq!(readiness(&server).await.0, 200);

    let filler = fills_disk(&server);
    let mut token = alice.refresh_token.clone();
    let mut refused = None;
    // What is left of the write-ahead log's last block may take one or two more.
    for _ in 0..20 {
        let renewed = alice.app.refreshes(&token).await;
        if renewed.status != 200 {
            refused = Some(renewed);
            break;
        }
        renewed.refresh_token().clone_into(&mut token);
    }
    let refused = refused.expect("the disk is full");
    assert_eq!((refused.status, refused.error()), (503, "temporarily_unavailable"));
    let (status, text) = readiness(&server).await;
    assert_eq!((status, &text["database"]), (503, &false.into()), "{text}");
    assert!(text["database_problem"].as_str().unwrap().contains("full"), "{text}");
    verified(&alice.id_token, &alice.app.gets("/keys").await.json);
    assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 200, "it can be read");

    std::fs::remove_file(filler).unwrap();
    wait_until_ready(&server).await;
    let renewed = alice.app.refreshes(&token).await;
    assert_eq!(renewed.status, 200, "it was not used: {}", renewed.page.body);
}

#[tokio::test]
async fn without_file_descriptors_connections_wait_and_the_server_goes_on() {
    let server = World::new().with(SKIP).started_by("ulimit -n 64").start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    let address = server.origin().trim_start_matches("http://").to_owned();
    let held: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    // There are connections of other clients left to accept, and no descriptors for them.
    let readiness_meanwhile = TcpStream::connect(&address).unwrap();
    assert_eq!(server.count_in_log("panicked"), 0);
    drop((held, readiness_meanwhile));
    let renewed = alice.app.refreshes(&alice.refresh_token).await;
    assert_eq!(renewed.status, 200, "{}", renewed.page.body);
    assert_eq!(readiness(&server).await.0, 200);
}

/// M 141: a log that cannot be written, because its disk is full, is lost; nothing else is.
#[tokio::test]
async fn a_log_on_a_full_disk_stops_nothing() {
    let world = World::new().with(SKIP).started_by("exec >/dev/full 2>&1");
    let mut server = world.start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    let renewed = alice.app.refreshes(&alice.refresh_token).await;
    assert_eq!(renewed.status, 200, "{}", renewed.page.body);
    assert_eq!(alice.app.refreshes("not-a-token").await.error(), "invalid_grant");
    assert_eq!(readiness(&server).await.0, 200);
    let status = server.stop().await;
    assert!(status.success(), "{status}");
    assert_eq!(server.log(), "", "nothing could be written");
}

/// M 145 and O 156: 128 MiB for heap and stacks (`ulimit -d` also counts what was never touched) and one processor. Guesses
/// at passwords of 19 MiB each, 2 500 streams with unfinished bodies and 200 slow bodies at the same time.
#[tokio::test]
async fn storms_are_survived_with_128_mib_and_one_processor() {
    let world = World::new().with(SKIP).with(ARGON2);
    let world = world.started_by("ulimit -d 131072 && taskset -cp 0 $$ >/dev/null");
    let server = world.start().await;
    let slow: Vec<_> = (0..200).map(|_| unfinished_body(&server)).collect();
    assert!(slow.iter().all(|(_, status)| status == "100" || status == "503"));
    let connections = (0..25).map(|_| unfinished_bodies(&server, 100));
    let (bodies, ()) =
        tokio::join!(join_all(connections.collect()), wrong_passwords_at_once(&server, 40));
    for status in bodies.into_iter().flatten() {
        assert!(matches!(status, 0 | 408 | 503), "{status}");
    }
    drop(slow);
    let peak = memory(&server, "VmHWM");
    assert!(peak < 128 * MIB, "{} MiB", peak / MIB);
    let who = (ALICE, ALICE_PASSWORD);
    let scopes = "openid offline_access";
    let alice = SignedInClient::sign_in(who, &server, "example-app", scopes, &[]).await;
    let renewed = alice.app.refreshes(&alice.refresh_token).await;
    assert_eq!(renewed.status, 200, "{}", renewed.page.body);
    assert_eq!(readiness(&server).await.0, 200);
}
