//! The system clock jumps (threats D 73 and M 146): nobody is signed out by it, and no key or token is refused that
//! was good before.

use std::time::{Duration, Instant};

use crate::scenarios::tokens::signing_keys::published;
use crate::world::http::{bare_client, send};
use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Need, RelyingParty, Server, World, claims, verified,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true\nexpiry:\n  idTokens: 10m";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// At the latest when the keys have been read again, which is every 30 seconds.
async fn waits_until_ready(server: &Server) {
    let started = Instant::now();
    let ready = format!("{}/healthz/ready", server.telemetry());
    while send(bare_client().get(&ready)).await.status != 200 {
        assert!(started.elapsed() < Duration::from_mins(1), "not ready:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A new login in a browser of its own works, and its token verifies.
async fn assert_somebody_signs_in(server: &Server, app: &RelyingParty) {
    let request = app.auth_request("openid");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    verified(tokens.id_token(), &app.gets("/keys").await.json);
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
    waits_until_ready(server).await;
}

async fn has_single_sign_on(alice: &mut Browser, app: &RelyingParty) -> bool {
    let request = app.auth_request_with("openid", &[("prompt", "none")]);
    alice.opens(&request.url).await;
    alice.page().location().is_some_and(|to| to.query_pairs().any(|(name, _)| name == "code"))
}

#[tokio::test]
async fn a_clock_that_jumps_back_signs_nobody_out() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    let mut refresh_token = tokens.refresh_token().to_owned();
    for back in [HOUR, DAY] {
        server.turns_back(back);
        let renewed = app.refreshes(&refresh_token).await;
        assert_eq!(renewed.status, 200, "{back:?}: {}", renewed.page.body);
        renewed.refresh_token().clone_into(&mut refresh_token);
        verified(renewed.id_token(), &app.gets("/keys").await.json);
        assert_eq!(app.userinfo(renewed.access_token()).await.status, 200, "{back:?}");
        assert!(has_single_sign_on(&mut alice, &app).await, "{back:?}");
        assert_somebody_signs_in(&server, &app).await;
    }
    // Back to the real time.
    server.advance(DAY + HOUR);
    assert_eq!(app.refreshes(&refresh_token).await.status, 200);
    assert_somebody_signs_in(&server, &app).await;
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_ends_what_is_expired_and_nothing_else() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    let before = published(&app).await;
    server.advance(DAY + HOUR);
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 401, "it has expired");
    assert!(!has_single_sign_on(&mut alice, &app).await, "a day is the limit");
    let renewed = app.refreshes(tokens.refresh_token()).await;
    assert_eq!(renewed.status, 200, "{}", renewed.page.body);
    verified(renewed.id_token(), &app.gets("/keys").await.json);
    assert_somebody_signs_in(&server, &app).await;

    // Corrected: what was good before the jump is good again.
    server.turns_back(DAY + HOUR);
    let known = published(&app).await;
    assert!(before.iter().all(|key| known.contains(key)), "{before:?} {known:?}");
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
    assert_eq!(app.refreshes(renewed.refresh_token()).await.status, 200);
    assert_somebody_signs_in(&server, &app).await;
}

/// Threats 73 and M 142: on PostgreSQL the database's clock counts. A replica whose own clock is minutes or an hour off is
/// not sent requests, and what it issues all the same has the right time and a published key.
#[tokio::test]
async fn a_replica_whose_clock_is_wrong_is_unready_and_issues_no_wrong_time() {
    if Need::Postgres.is_missing() || Need::Clock.is_missing() {
        return;
    }
    let world = World::with_postgres().with(SKIP);
    let second = world.second_replica();
    let server = world.start().await;
    for ahead in [300_i64, -300, 3600, -3600] {
        let starts_at = real_time().checked_add_signed(ahead).unwrap();
        let wrong = second.clone().with_own_clock().starting_at(starts_at);
        let wrong = wrong.starts_unready().await;
        let page = send(bare_client().get(format!("{}/healthz/ready", wrong.telemetry()))).await;
        assert!(page.body.contains("\"clock\":false"), "{}", page.body);

        let mut app = server.relying_party("example-app");
        let request = app.auth_request("openid");
        let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let tokens = app.via_replica(&wrong).redeems(&request, &auth_response).await;
        assert_eq!(tokens.status, 200, "{}", tokens.page.body);
        let issued = claims(tokens.id_token())["iat"].as_u64().unwrap();
        assert!(issued.abs_diff(real_time()) < 60, "issued at {issued}");
        verified(tokens.id_token(), &app.via_replica(&server).gets("/keys").await.json);
        assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
        // M 142: used once, whichever replica is asked.
        let again = app.redeems(&request, &auth_response).await;
        assert_eq!((again.status, again.error()), (400, "invalid_grant"), "{ahead}");
    }
}

fn real_time() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
