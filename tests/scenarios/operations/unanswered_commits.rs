//! The answer to COMMIT is lost (threat O 164): the server finds out what happened and answers truthfully, or says
//! that it may have been done, and nothing that can be used once is lost. On PostgreSQL; SQLite has no connection that
//! could be lost.

use serde_json::Value;

use crate::scenarios::admin::api::ADMINS;
use crate::scenarios::login::device::{self, Device, confirms_device, types_code};
use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, AuthResponse, Client, Cut, JsonResponse, Link, Need,
    PostgresProxy, RelyingParty, Server, World,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
/// So that nothing but knowing the outcome makes the same refresh token work again.
const NO_REUSE: &str = "expiry:\n  refreshTokens:\n    reuseInterval: 0s";

const REDEEMS: &str = "UPDATE codes SET used_at";
const ROTATES: &str = "UPDATE grants SET generation";
const ISSUES_CODE: &str = "INSERT INTO codes";
const ENDS: &str = "UPDATE sessions SET ended_at";
const REDEEMS_DEVICE_CODE: &str = "UPDATE device_requests SET status = 'used'";

async fn start() -> (Server, PostgresProxy) {
    let (world, proxy) = World::behind_proxy().await;
    let world = world.with(SKIP).with(NO_REUSE).with(ADMINS).client(Client::new("ops"));
    (world.start().await, proxy)
}

async fn signs_in(server: &Server, app: &RelyingParty) -> (AuthRequest, AuthResponse) {
    let request = app.auth_request("openid offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    (request, auth_response)
}

/// The ids of Alice's live sessions with a grant for example-app.
async fn live_sessions(ops: &RelyingParty, token: &str) -> Vec<String> {
    let path = "/sessions?client=example-app&state=live";
    let found = ops.calls_api("GET", path, token, Value::Null).await;
    let all = found.json["sessions"].as_array().unwrap().clone();
    all.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

/// 503, try again, and no claim that nothing was changed.
fn assert_may_have_been_done(response: &JsonResponse) {
    assert_eq!(response.status, 503, "{}", response.page.body);
    assert!(response.page.header("retry-after").is_some());
    assert!(response.page.body.contains("may have been made"), "{}", response.page.body);
}

#[tokio::test]
async fn exchange_refresh_and_approval_succeed_although_the_result_of_commit_was_lost() {
    if Need::Postgres.is_missing() {
        return;
    }
    for cut in [Cut::BeforeCommit, Cut::AfterCommit] {
        let (server, proxy) = start().await;
        let app = server.relying_party("example-app");
        proxy.cuts(cut, ISSUES_CODE);
        let (request, auth_response) = signs_in(&server, &app).await;
        proxy.has_cut(1).await;

        proxy.cuts(cut, REDEEMS);
        let tokens = app.redeems(&request, &auth_response).await;
        proxy.has_cut(2).await;
        assert_eq!(tokens.status, 200, "{cut:?}: {}", tokens.page.body);
        assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);

        proxy.cuts(cut, ROTATES);
        let renewed = app.refreshes(tokens.refresh_token()).await;
        proxy.has_cut(3).await;
        assert_eq!(renewed.status, 200, "{cut:?}: {}", renewed.page.body);
        let next = app.refreshes(renewed.refresh_token()).await;
        assert_eq!(next.status, 200, "{cut:?}: {}", next.page.body);

        // Rotated once, and used once: what was used before ends the grant.
        assert_eq!(app.refreshes(tokens.refresh_token()).await.error(), "invalid_grant");
        assert_eq!(app.refreshes(next.refresh_token()).await.error(), "invalid_grant");
    }
}

#[tokio::test]
async fn a_session_is_ended_once_although_the_result_of_commit_was_lost() {
    if Need::Postgres.is_missing() {
        return;
    }
    for cut in [Cut::BeforeCommit, Cut::AfterCommit] {
        let (server, proxy) = start().await;
        let (app, ops) = (server.relying_party("example-app"), server.relying_party("ops"));
        let token = ops.client_credentials_token().await;
        let (request, auth_response) = signs_in(&server, &app).await;
        let tokens = app.redeems(&request, &auth_response).await;
        let [id] = live_sessions(&ops, &token).await.try_into().unwrap();

        proxy.cuts(cut, ENDS);
        let ended = ops.calls_api("DELETE", &format!("/sessions/{id}"), &token, Value::Null).await;
        proxy.has_cut(1).await;
        assert_eq!(ended.status, 200, "{cut:?}: {}", ended.page.body);
        assert_eq!(app.refreshes(tokens.refresh_token()).await.error(), "invalid_grant");
        let shown = ops.calls_api("GET", &format!("/sessions/{id}"), &token, Value::Null).await;
        let kinds = shown.json["events"].as_array().unwrap().iter().map(|event| &event["kind"]);
        assert_eq!(kinds.filter(|kind| *kind == "session_ended").count(), 1, "{}", shown.page.body);
    }
}

/// The database stays away after COMMIT. The same code and the same refresh token work when it is back.
#[tokio::test]
async fn an_unknown_outcome_is_reported_as_such_and_a_retry_works() {
    if Need::Postgres.is_missing() {
        return;
    }
    for cut in [Cut::BeforeCommit, Cut::AfterCommit] {
        let (server, proxy) = start().await;
        let app = server.relying_party("example-app");
        let (request, auth_response) = signs_in(&server, &app).await;

        proxy.cuts_for_long(cut, REDEEMS, Link::Down);
        assert_may_have_been_done(&app.redeems(&request, &auth_response).await);
        proxy.set(Link::Up);
        let tokens = retried(async || app.redeems(&request, &auth_response).await).await;
        assert_eq!(tokens.status, 200, "{cut:?}: {}", tokens.page.body);

        proxy.cuts_for_long(cut, ROTATES, Link::Down);
        assert_may_have_been_done(&app.refreshes(tokens.refresh_token()).await);
        proxy.set(Link::Up);
        let renewed = retried(async || app.refreshes(tokens.refresh_token()).await).await;
        assert_eq!(renewed.status, 200, "{cut:?}: {}", renewed.page.body);
        assert_eq!(app.refreshes(renewed.refresh_token()).await.status, 200);
    }
}

/// `prompt=none` shows no page (OpenID Connect Core 3.1.2.1): the application in a frame is told, and asks again.
#[tokio::test]
async fn a_silent_request_whose_outcome_is_unknown_returns_an_error_to_the_client() {
    if Need::Postgres.is_missing() {
        return;
    }
    for cut in [Cut::BeforeCommit, Cut::AfterCommit] {
        let (server, proxy) = start().await;
        let app = server.relying_party("example-app");
        let (mut alice, first) = (server.browser(), app.auth_request("openid"));
        let auth_response = alice.logs_in(&first, ALICE, ALICE_PASSWORD).await;
        let tokens = app.redeems(&first, &auth_response).await;
        let silent = || app.auth_request_with("openid", &[("prompt", "none")]);

        proxy.cuts_for_long(cut, ISSUES_CODE, Link::Down);
        alice.opens(silent().url).await;
        assert_eq!(alice.auth_error(), "temporarily_unavailable", "{cut:?}");
        proxy.set(Link::Up);
        retried(async || app.userinfo(tokens.access_token()).await).await;
        let request = silent();
        alice.opens(&request.url).await;
        assert_eq!(app.redeems(&request, &alice.auth_response()).await.status, 200, "{cut:?}");
    }
}

/// The server that used the code takes that back by itself, so that another replica can redeem it.
#[tokio::test]
async fn a_code_whose_redemption_was_not_answered_can_be_redeemed_at_another_replica() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (server, proxy) = start().await;
    let (replica, _other_proxy) = server.replica_behind_proxy().await;
    let mut app = server.relying_party("example-app");
    let (request, auth_response) = signs_in(&server, &app).await;
    proxy.cuts_for_long(Cut::AfterCommit, REDEEMS, Link::Down);
    assert_may_have_been_done(&app.redeems(&request, &auth_response).await);
    proxy.set(Link::Up);
    server.waits_for_log(1, "which can be used again").await;
    app.via_replica(&replica);
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    assert_eq!(app.redeems(&request, &auth_response).await.error(), "invalid_grant");
}

/// A server that stops reverts it before it ends: nobody else knows of it.
#[tokio::test]
async fn a_server_that_stops_reverts_a_redemption_that_was_not_answered() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (mut server, proxy) = start().await;
    let (replica, _other_proxy) = server.replica_behind_proxy().await;
    let mut app = server.relying_party("example-app");
    let (request, auth_response) = signs_in(&server, &app).await;
    proxy.cuts_for_long(Cut::AfterCommit, REDEEMS, Link::Down);
    assert_may_have_been_done(&app.redeems(&request, &auth_response).await);
    proxy.set(Link::Up);
    let status = server.stop().await;
    assert!(status.success(), "{status}:\n{}", server.log());
    app.via_replica(&replica);
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
}

/// Another replica answers the client's retry meanwhile, with the same successor. It is not taken back, and its next use
/// is not mistaken for a database restored from a backup.
#[tokio::test]
async fn a_refresh_token_that_another_replica_has_issued_again_stays_the_current_one() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().with(SKIP).with(ADMINS).client(Client::new("ops"));
    let server = world.start().await;
    let (cut_off, proxy) = server.replica_behind_proxy().await;
    let (mut app, ops) = (server.relying_party("example-app"), server.relying_party("ops"));
    let (request, auth_response) = signs_in(&server, &app).await;
    let tokens = app.redeems(&request, &auth_response).await;
    proxy.cuts_for_long(Cut::AfterCommit, ROTATES, Link::Down);
    assert_may_have_been_done(&app.via_replica(&cut_off).refreshes(tokens.refresh_token()).await);
    let answered = app.via_replica(&server).refreshes(tokens.refresh_token()).await;
    assert_eq!(answered.status, 200, "{}", answered.page.body);
    proxy.set(Link::Up);
    cut_off.waits_for_log(1, "another replica has answered since").await;
    let next = app.refreshes(answered.refresh_token()).await;
    assert_eq!(next.status, 200, "{}", next.page.body);
    let token = ops.client_credentials_token().await;
    let events = ops.calls_api("GET", "/events?kind=database_restored", &token, Value::Null).await;
    assert_eq!(events.json["events"], serde_json::json!([]), "{}", events.page.body);
    // The token from before the retry was used long ago as far as the grant is concerned.
    assert_eq!(app.refreshes(tokens.refresh_token()).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_device_code_whose_redemption_was_not_answered_can_be_redeemed_again() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (world, proxy) = World::behind_proxy().await;
    let server = device::world(world).start().await;
    let device = Device::requests(&server, "openid offline_access").await;
    let mut alice = server.browser();
    types_code(&mut alice, &server, &device.user_code).await;
    confirms_device(&mut alice, ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    proxy.cuts_for_long(Cut::AfterCommit, REDEEMS_DEVICE_CODE, Link::Down);
    assert_may_have_been_done(&device.polls().await);
    proxy.set(Link::Up);
    let tokens = retried(async || device.polls().await).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
}

/// An administrator who ends a session is told that it may have ended, and may repeat it.
#[tokio::test]
async fn an_administrator_learns_that_a_session_may_have_ended() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (server, proxy) = start().await;
    let (app, ops) = (server.relying_party("example-app"), server.relying_party("ops"));
    let token = ops.client_credentials_token().await;
    let (request, auth_response) = signs_in(&server, &app).await;
    let tokens = app.redeems(&request, &auth_response).await;
    let [id] = live_sessions(&ops, &token).await.try_into().unwrap();
    let path = format!("/sessions/{id}");

    proxy.cuts_for_long(Cut::AfterCommit, ENDS, Link::Down);
    let ended = ops.calls_api("DELETE", &path, &token, Value::Null).await;
    assert_may_have_been_done(&ended);
    proxy.set(Link::Up);
    let again = retried(async || ops.calls_api("DELETE", &path, &token, Value::Null).await).await;
    assert_ne!(again.status, 500, "{}", again.page.body);
    assert_eq!(live_sessions(&ops, &token).await, [""; 0]);
    assert_eq!(app.refreshes(tokens.refresh_token()).await.error(), "invalid_grant");
}

/// Repeats a request as `Retry-After` says, while the server has not noticed that the database is back.
async fn retried(request: impl AsyncFn() -> JsonResponse) -> JsonResponse {
    let started = std::time::Instant::now();
    loop {
        let response = request().await;
        if response.status != 503 || started.elapsed().as_secs() > 30 {
            return response;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
