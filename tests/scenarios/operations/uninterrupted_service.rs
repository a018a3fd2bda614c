//! No request fails, for clients that repeat it once, while a replica is reloaded, restarted or killed, keys are rotated,
//! or PostgreSQL fails over (issue 12, "How it is shown"). `mixed_versions` has the upgrade.

use serde_json::Value;

use super::continuous_clients::{ContinuousClients, SETTINGS};
use crate::scenarios::admin::api::ADMINS;
use crate::scenarios::operations::database_down::wait_until_ready;
use crate::scenarios::tokens::signing_keys::published;
use crate::world::{Client, Need, Server, World};

#[tokio::test]
async fn no_request_fails_across_reload_key_rotation_rolling_restart_and_kill() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().with(SETTINGS).with(ADMINS).client(Client::new("ops"));
    let mut one = world.start().await;
    let mut other = one.replica().await;
    let clients = ContinuousClients::start(&[&one, &other]).await;
    clients.go_on().await;
    for server in [&mut one, &mut other] {
        server.rewrites_config(|world| world.client(Client::new("grafana")));
        server.sends_signal("HUP");
        server.waits_for_log(1, "configuration_reloaded").await;
        clients.go_on().await;
    }
    rotates_keys(&one).await;
    clients.go_on().await;
    for server in [&mut one, &mut other] {
        server.restart().await;
        clients.go_on().await;
    }
    for server in [&mut one, &mut other] {
        server.kill();
        server.restart().await;
        clients.go_on().await;
    }
    assert!(clients.stop().await > 0, "nobody noticed that a server was killed");
}

/// An administrator publishes the next key.
async fn rotates_keys(server: &Server) {
    let (app, ops) = (server.relying_party("example-app"), server.relying_party("ops"));
    let token = ops.client_credentials_token().await;
    let before = published(&app).await.len();
    let rotated = ops.calls_api("POST", "/keys/rotate", &token, Value::Null).await;
    assert_eq!(rotated.status, 200, "{}", rotated.page.body);
    assert_eq!(published(&app).await.len(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_across_failovers() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (world, mut servers) = World::on_primary_and_standby();
    let one = world.with(SETTINGS).start().await;
    let other = one.replica().await;
    let clients = ContinuousClients::start(&[&one, &other]).await;
    for is_first in [true, false] {
        clients.go_on().await;
        let replacing = clients.database_is_replaced().await;
        tokio::task::block_in_place(|| servers.fails_over());
        wait_until_ready(&one).await;
        wait_until_ready(&other).await;
        drop(replacing);
        clients.go_on().await;
        if is_first {
            tokio::task::block_in_place(|| servers.repairs_standby());
        }
    }
    clients.stop().await;
    // Requests wait until a writable server is found, so that it may be that none is even repeated.
    for server in [&one, &other] {
        let ended = server.count_in_log("terminating connection due to immediate shutdown");
        assert!(ended > 0, "a server was not connected to the primary that was stopped");
    }
}
