//! Several servers with one PostgreSQL: any replica answers any request, and tokens and sessions that one replica
//! issues or ends are accepted or refused by all of them at once (promises 4 and 5).

use std::time::Duration;

use countersign_core::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::scenarios::admin::api::ADMINS;
use crate::scenarios::kubernetes::{distributed_groups, webhook};
use crate::scenarios::tokens::signing_keys::published;
use crate::world::{
    ALICE, ALICE_PASSWORD, Client, Need, RelyingParty, Server, SignedInClient, World, claims,
    refusal, verified,
};

#[tokio::test]
async fn a_login_may_change_the_replica_at_every_step() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().start().await;
    let other = one.replica().await;
    let (mut alice, mut app) = (one.browser(), one.relying_party("example-app"));
    let request = app.auth_request("openid email offline_access");

    alice.opens(&request.url).await;
    alice.via_replica(&other).signs_in(ALICE, ALICE_PASSWORD).await;
    alice.via_replica(&one).approves().await;
    let auth_response = alice.auth_response();
    let response = app.via_replica(&other).redeems(&request, &auth_response).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    let refreshed = app.via_replica(&one).refreshes(response.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    for replica in [&one, &other] {
        let keys = app.via_replica(replica).gets("/keys").await.json;
        verified(refreshed.id_token(), &keys);
    }
}

#[tokio::test]
async fn a_code_is_used_once_across_replicas() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().start().await;
    let other = one.replica().await;
    let mut alice = one.browser();
    let (mut here, mut there) =
        (one.relying_party("example-app"), one.relying_party("example-app"));
    let request = here.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;

    here.via_replica(&one);
    there.via_replica(&other);
    let (a, b) = tokio::join!(
        here.redeems(&request, &auth_response),
        there.redeems(&request, &auth_response)
    );
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400], "{a:?}\n{b:?}");
}

fn world() -> World {
    World::with_postgres().client(Client::new("ops")).with(ADMINS)
}

async fn new_session(server: &Server) -> (String, String) {
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid email groups offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    (response.access_token().to_owned(), response.refresh_token().to_owned())
}

/// The ids of Alice's sessions with a grant for the client, newest first.
async fn sessions(ops: &RelyingParty, token: &str) -> Vec<String> {
    let found = ops.calls_api("GET", "/sessions?client=example-app", token, Value::Null).await;
    let found = found.json["sessions"].as_array().unwrap().clone();
    found.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_session_ended_at_one_replica_is_over_at_all_and_the_other_stays_live() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = world().start().await;
    let other = one.replica().await;
    let (lost_access, lost) = new_session(&one).await;
    let (kept_access, kept) = new_session(&one).await;
    let ops = one.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let [_, lost_id] = sessions(&ops, &token).await.try_into().unwrap();

    let ended = ops.calls_api("DELETE", &format!("/sessions/{lost_id}"), &token, Value::Null).await;
    assert_eq!(ended.status, 200, "{}", ended.page.body);
    let mut app = one.relying_party("example-app");
    for replica in [&other, &one] {
        app.via_replica(replica);
        assert_eq!(app.refreshes(&lost).await.error(), "invalid_grant");
        assert_eq!(app.userinfo(&lost_access).await.status, 401);
        let introspected = app.posts("/token/introspect", &[("token", &lost_access)]).await;
        assert_eq!(introspected.json, json!({ "active": false }));
        assert_eq!(app.userinfo(&kept_access).await.status, 200);
    }
    let renewed = app.refreshes(&kept).await;
    assert_eq!(renewed.status, 200, "{}", renewed.page.body);
    assert_eq!(app.via_replica(&other).refreshes(renewed.refresh_token()).await.status, 200);
}

/// Refreshes continue at both replicas while the session ends: no issued token outlives the announced time.
#[tokio::test]
async fn no_refresh_concurrent_with_an_end_outlives_the_announced_time() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = world().start().await;
    let other = one.replica().await;
    let (_, refresh) = new_session(&one).await;
    let ops = one.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let [id] = sessions(&ops, &token).await.try_into().unwrap();

    let mut racing = JoinSet::new();
    for n in 0..50 {
        let mut app = one.relying_party("example-app");
        app.via_replica(if n % 2 == 0 { &one } else { &other });
        let refresh = refresh.clone();
        racing.spawn(async move { app.refreshes(&refresh).await });
    }
    let path = format!("/sessions/{id}");
    let end = ops.calls_api("DELETE", &path, &token, Value::Null);
    let (ended, responses) = tokio::join!(end, racing.join_all());

    let announced: Timestamp = ended.json["tokens_until"].as_str().unwrap().parse().unwrap();
    let (issued, refused): (Vec<_>, Vec<_>) = responses.iter().partition(|a| a.status == 200);
    for response in &issued {
        for token in [response.access_token(), response.id_token()] {
            let dies = Timestamp::from_secs(claims(token)["exp"].as_i64().unwrap());
            // The announced time has whole seconds.
            assert!(dies < announced + Duration::from_secs(1), "{dies} after {announced}");
        }
    }
    assert!(refused.iter().all(|response| response.error() == "invalid_grant"));
    let mut app = one.relying_party("example-app");
    for response in issued {
        app.via_replica(&other);
        assert_eq!(app.refreshes(response.refresh_token()).await.error(), "invalid_grant");
    }
}

/// An administrator ends the oldest of Alice's sessions.
async fn an_administrator_ends_the_oldest(server: &Server) {
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let found = ops.calls_api("GET", "/sessions?client=kubernetes", &token, Value::Null).await.json;
    let first = found["sessions"].as_array().unwrap().last().unwrap()["id"].clone();
    let path = format!("/sessions/{}", first.as_str().unwrap());
    assert_eq!(ops.calls_api("DELETE", &path, &token, Value::Null).await.status, 200);
}

/// The main advantage of the webhook.
#[tokio::test]
async fn kubernetes_webhook_refuses_at_once_when_an_administrator_ends_the_session() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let world = webhook::world().client(Client::new("ops")).with(ADMINS);
    let server = world.start().await;
    let mut api = webhook::api_server(&server, "kubernetes", "v1");
    let lost = webhook::alices(&server, "kubernetes").await;
    let kept = webhook::alices(&server, "kubernetes").await;
    assert_eq!(api.authenticates(&lost.id_token)["ok"], true);
    an_administrator_ends_the_oldest(&server).await;
    assert!(refusal(&api.authenticates(&lost.id_token)).contains("ended"));
    assert_eq!(api.authenticates(&kept.id_token)["ok"], true);
    assert_eq!(kept.app.refreshes(&kept.refresh_token).await.status, 200);
}

/// The same with distributed groups and Kubernetes' own OIDC authenticator, which caches for ten seconds.
#[tokio::test]
async fn kubernetes_groups_are_refused_once_an_administrator_ends_the_session() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let world = distributed_groups::on(World::https()).client(Client::new("ops")).with(ADMINS);
    let server = world.start().await;
    let sign_in = async || {
        SignedInClient::sign_in_alice(&server, "kubernetes", distributed_groups::SCOPES).await
    };
    let (lost, kept) = (sign_in().await, sign_in().await);
    let mut api = distributed_groups::api_server(&server, &lost.id_token);
    an_administrator_ends_the_oldest(&server).await;
    let started = std::time::Instant::now();
    while api.authenticates(&lost.id_token)["ok"] == true {
        assert!(started.elapsed() < Duration::from_mins(1), "the cache lives for ten seconds");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(api.authenticates(&kept.id_token)["ok"], true);
}

/// A key that an administrator publishes at one replica is published by the other within seconds: replicas notify one
/// another, and read the keys again by themselves only every half minute.
#[tokio::test]
async fn a_key_published_at_one_replica_is_known_at_the_other_at_once() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = world().start().await;
    let other = one.replica().await;
    let ops = one.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let mut app = one.relying_party("example-app");
    app.via_replica(&other);
    assert_eq!(published(&app).await.len(), 1);
    let rotated = ops.calls_api("POST", "/keys/rotate", &token, Value::Null).await;
    assert_eq!(rotated.status, 200, "{}", rotated.page.body);
    let began = std::time::Instant::now();
    while published(&app).await.len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(10), "the other replica was not notified");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
