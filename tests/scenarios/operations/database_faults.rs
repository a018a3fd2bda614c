//! A PostgreSQL that is slow, hangs, is read-only or has no connection left, and a replica that is cut off from it
//! (threats M 140 and 142). What readiness says, what requests get, and that keys and discovery go on. Each recovers
//! without a restart. `database_down` has the one that is gone.

use serde_json::Value;

use crate::scenarios::admin::api::ADMINS;
use crate::scenarios::operations::database_down::{Database, wait_until_ready};
use crate::world::http::{bare_client, send};
use crate::world::{
    ALICE, ALICE_PASSWORD, Client, Cut, JsonResponse, Link, Need, RelyingParty, Server,
    SignedInClient, World, verified,
};

use std::time::{Duration, Instant};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

async fn readiness(server: &Server) -> (u16, Value) {
    let page = send(bare_client().get(format!("{}/healthz/ready", server.telemetry()))).await;
    (page.status, serde_json::from_str(&page.body).unwrap())
}

async fn alices(server: &Server) -> SignedInClient {
    SignedInClient::sign_in_alice(server, "example-app", "openid offline_access").await
}

/// Keys, discovery and liveness need no database.
async fn assert_keys_go_on(server: &Server, app: &RelyingParty, id_token: &str) {
    verified(id_token, &app.gets("/keys").await.json);
    assert_eq!(app.gets("/.well-known/openid-configuration").await.status, 200);
    let live = send(bare_client().get(format!("{}/healthz/live", server.telemetry()))).await;
    assert_eq!(live.status, 200, "a restart would not help");
}

fn assert_unavailable(response: &JsonResponse) {
    assert_eq!(response.status, 503, "{}", response.page.body);
    assert!(response.page.header("retry-after").is_some());
}

#[tokio::test]
async fn a_slow_database_makes_requests_slow_and_nothing_fails() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (world, proxy) = World::behind_proxy().await;
    let server = world.with(SKIP).start().await;
    proxy.set(Link::Slow(Duration::from_millis(30)));
    let alice = alices(&server).await;
    let renewed = alice.app.refreshes(&alice.refresh_token).await;
    assert_eq!(renewed.status, 200, "{}", renewed.page.body);
    assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 200);
    assert_eq!(readiness(&server).await.0, 200);
}

/// M 140: slower than the two seconds that readiness waits for. Requests may take their time or get 503, and no token is
/// lost.
#[tokio::test]
async fn a_database_slower_than_readiness_waits_makes_the_server_unready_until_it_is_faster() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (world, proxy) = World::behind_proxy().await;
    let server = world.with(SKIP).start().await;
    let alice = alices(&server).await;
    proxy.set(Link::Slow(Duration::from_secs(5)));
    let (status, text) = readiness(&server).await;
    assert_eq!((status, &text["database"]), (503, &false.into()), "{text}");
    let slow = alice.app.refreshes(&alice.refresh_token).await;
    if slow.status != 200 {
        assert_unavailable(&slow);
    }
    assert_keys_go_on(&server, &alice.app, &alice.id_token).await;
    proxy.set(Link::Up);
    wait_until_ready(&server).await;
    let renewed = alice.app.refreshes(&alice.refresh_token).await;
    assert_eq!(renewed.status, 200, "{}", renewed.page.body);
    if slow.status == 200 {
        assert_eq!(renewed.refresh_token(), slow.refresh_token(), "one family");
    }
}

/// M 140: connections that break again and again. What fails is answered 503 and works when it is repeated; a grant is
/// neither lost nor doubled.
#[tokio::test]
async fn connections_that_break_again_and_again_lose_and_double_nothing() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (world, proxy) = World::behind_proxy().await;
    let server = world.with(SKIP).start().await;
    let alice = alices(&server).await;
    proxy.set(Link::Failing(100));
    let mut token = alice.refresh_token.clone();
    for _ in 0..40 {
        let started = Instant::now();
        let renewed = loop {
            let response = alice.app.refreshes(&token).await;
            if response.status != 503 {
                break response;
            }
            assert_unavailable(&response);
            assert!(started.elapsed() < Duration::from_mins(1), "{}", response.page.body);
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(renewed.status, 200, "{}", renewed.page.body);
        renewed.refresh_token().clone_into(&mut token);
    }
    proxy.set(Link::Up);
    wait_until_ready(&server).await;
    assert_eq!(alice.app.refreshes(&token).await.status, 200, "the last one is the current one");
    // The grant is the one of the first token, whose reuse ends it.
    assert_eq!(alice.app.refreshes(&alice.refresh_token).await.error(), "invalid_grant");
    assert_eq!(alice.app.refreshes(&token).await.error(), "invalid_grant");
}

/// Threat 143, also for engines that speak PostgreSQL's protocol and refuse at COMMIT: nobody is shown a conflict.
#[tokio::test]
async fn serialization_failures_at_commit_are_retried_and_never_shown() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (world, proxy) = World::behind_proxy().await;
    let server = world.with(SKIP).start().await;
    proxy.cuts(Cut::SerializationFailure, "INSERT INTO sessions");
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    proxy.has_cut(1).await;
    proxy.cuts(Cut::SerializationFailure, "UPDATE codes SET used_at");
    let tokens = app.redeems(&request, &auth_response).await;
    proxy.has_cut(2).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    proxy.cuts(Cut::SerializationFailure, "UPDATE grants SET ended_at");
    let revoked = app.posts("/revoke", &[("token", tokens.refresh_token())]).await;
    proxy.has_cut(3).await;
    assert_eq!(revoked.status, 200, "{}", revoked.page.body);
    assert_eq!(app.refreshes(tokens.refresh_token()).await.error(), "invalid_grant");
    assert_eq!(app.redeems(&request, &auth_response).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_database_that_hangs_makes_the_server_unready_until_it_is_back() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (world, proxy) = World::behind_proxy().await;
    let server = world.with(SKIP).start().await;
    let alice = alices(&server).await;
    proxy.set(Link::Hung);
    let (status, text) = readiness(&server).await;
    assert_eq!((status, &text["database"]), (503, &false.into()), "{text}");
    assert!(text["database_problem"].is_string(), "{text}");
    assert_keys_go_on(&server, &alice.app, &alice.id_token).await;
    assert_unavailable(&alice.app.userinfo(&alice.access_token).await);
    assert_unavailable(&alice.app.refreshes(&alice.refresh_token).await);
    proxy.set(Link::Up);
    wait_until_ready(&server).await;
    assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 200);
    assert_eq!(alice.app.refreshes(&alice.refresh_token).await.status, 200, "it was not used");
}

#[tokio::test]
async fn a_read_only_database_is_reported_and_the_server_recovers() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().with(SKIP);
    let database = Database::new(&world);
    let server = world.start().await;
    let alice = alices(&server).await;
    database.sets("default_transaction_read_only = on");
    let (status, text) = readiness(&server).await;
    let problem = text["database_problem"].as_str().unwrap_or_default();
    assert!(status == 503 && problem.contains("read-only"), "{text}");
    assert_unavailable(&alice.app.refreshes(&alice.refresh_token).await);
    assert_keys_go_on(&server, &alice.app, &alice.id_token).await;
    database.sets("default_transaction_read_only = off");
    wait_until_ready(&server).await;
    assert_eq!(alice.app.refreshes(&alice.refresh_token).await.status, 200, "it was not used");
}

#[tokio::test]
async fn without_a_free_connection_the_server_is_unready_and_recovers() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().with(SKIP);
    let database = Database::new(&world);
    // Limits of connections do not hold for a superuser.
    let role = database.new_owner();
    let server = world.with_database_user(&role).start().await;
    let alice = alices(&server).await;
    database.limits_connections(&role, 0);
    let (status, text) = readiness(&server).await;
    let problem = text["database_problem"].as_str().unwrap_or_default();
    assert!(status == 503 && problem.contains("too many connections"), "{text}");
    assert_unavailable(&alice.app.userinfo(&alice.access_token).await);
    assert_keys_go_on(&server, &alice.app, &alice.id_token).await;
    database.limits_connections(&role, -1);
    wait_until_ready(&server).await;
    assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 200);
    assert_eq!(alice.app.refreshes(&alice.refresh_token).await.status, 200);
}

/// M 142: the replica without a database accepts nothing that has ended meanwhile.
#[tokio::test]
async fn a_replica_that_is_cut_off_returns_503_and_accepts_nothing_from_memory() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().with(SKIP).with(ADMINS).client(Client::new("ops"));
    let server = world.start().await;
    let (replica, link) = server.replica_behind_proxy().await;
    let mut alice = alices(&server).await;
    alice.app.via_replica(&replica);
    assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 200);

    link.set(Link::Down);
    assert_eq!(readiness(&replica).await.0, 503);
    assert_eq!(readiness(&server).await.0, 200, "the other one goes on");
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let everything = serde_json::json!({ "client": "example-app" });
    let ended = ops.calls_api("POST", "/sessions/end", &token, everything).await;
    assert_eq!(ended.status, 200, "{}", ended.page.body);
    assert_unavailable(&alice.app.userinfo(&alice.access_token).await);
    assert_unavailable(&alice.app.refreshes(&alice.refresh_token).await);
    assert_keys_go_on(&replica, &alice.app, &alice.id_token).await;

    link.set(Link::Up);
    wait_until_ready(&replica).await;
    assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 401);
    assert_eq!(alice.app.refreshes(&alice.refresh_token).await.error(), "invalid_grant");
    let request = alice.app.auth_request("openid");
    let mut browser = replica.browser();
    let auth_response =
        browser.via_replica(&replica).logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(alice.app.redeems(&request, &auth_response).await.status, 200);
}
