//! Expiry (threat D 59): accepted one second before, refused one second after. The clock of these tests
//! stands still between requests.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::world::{ALICE, ALICE_PASSWORD, Browser, Need, RelyingParty, Server, World};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const MINUTE: u64 = 60;

/// A clock that stands still until it is set.
struct StandingClock {
    file: PathBuf,
    start: u64,
}

impl StandingClock {
    /// Sets the time in seconds after the start. libfaketime stands still at an absolute time.
    fn set(&self, seconds: u64) {
        let next = self.file.with_extension("standing");
        std::fs::write(&next, format!("{}\n", self.start + seconds)).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }
}

async fn start(yaml: &str) -> (Server, StandingClock) {
    let world = World::with_clock().with(SKIP).with(yaml).env("FAKETIME_FMT", "%s");
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let clock = StandingClock { file: world.dir().join("clock"), start };
    let server = world.start().await;
    clock.set(0);
    (server, clock)
}

async fn refresh_token(browser: &mut Browser, app: &RelyingParty) -> String {
    let request = app.auth_request("openid offline_access");
    let auth_response = browser.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    app.redeems(&request, &auth_response).await.refresh_token().to_owned()
}

async fn refreshed(app: &RelyingParty, token: &str) -> String {
    let response = app.refreshes(token).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    response.refresh_token().to_owned()
}

async fn assert_over(app: &RelyingParty, token: &str) {
    let refused = app.refreshes(token).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant"), "{}", refused.page.body);
}

/// True if single sign-on issues a code without a page.
async fn is_signed_in(browser: &mut Browser, app: &RelyingParty) -> bool {
    browser.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    let place = browser.page().location().unwrap();
    let is_refused =
        place.query_pairs().any(|pair| pair == ("error".into(), "login_required".into()));
    assert!(is_refused || place.query().unwrap().contains("code="), "{place}");
    !is_refused
}

#[tokio::test]
async fn an_idle_refresh_token_expires() {
    if Need::Clock.is_missing() {
        return;
    }
    let (server, clock) = start("expiry:\n  refreshTokens:\n    validIfNotUsedFor: 20m").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let first = refresh_token(&mut alice, &app).await;
    clock.set(20 * MINUTE - 1);
    let second = refreshed(&app, &first).await;
    clock.set(40 * MINUTE - 2);
    let third = refreshed(&app, &second).await;
    clock.set(60 * MINUTE - 1);
    assert_over(&app, &third).await;
}

#[tokio::test]
async fn a_refresh_token_expires_absolutely_however_often_it_is_used() {
    if Need::Clock.is_missing() {
        return;
    }
    let (server, clock) = start("expiry:\n  refreshTokens:\n    absoluteLifetime: 1h").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let mut token = refresh_token(&mut alice, &app).await;
    for minutes in [20, 40, 59] {
        clock.set(minutes * MINUTE);
        token = refreshed(&app, &token).await;
    }
    clock.set(60 * MINUTE - 1);
    token = refreshed(&app, &token).await;
    clock.set(60 * MINUTE + 1);
    assert_over(&app, &token).await;
}

#[tokio::test]
async fn an_idle_single_sign_on_session_expires() {
    if Need::Clock.is_missing() {
        return;
    }
    let (server, clock) = start("sessions:\n  validIfNotUsedFor: 20m").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let token = refresh_token(&mut alice, &app).await;
    clock.set(20 * MINUTE - 1);
    assert!(is_signed_in(&mut alice, &app).await);
    clock.set(40 * MINUTE - 2);
    assert!(is_signed_in(&mut alice, &app).await, "the last use counts");
    clock.set(60 * MINUTE - 1);
    assert!(!is_signed_in(&mut alice, &app).await);
    let page = alice.opens(server.url("/")).await;
    assert!(page.status == 200 && !page.body.contains(ALICE), "{}", page.text());
    // It only affects new logins; issued refresh tokens stay valid.
    refreshed(&app, &token).await;
}

#[tokio::test]
async fn single_sign_on_expires_after_a_day_however_often_it_is_used() {
    if Need::Clock.is_missing() {
        return;
    }
    let (server, clock) = start("sessions:\n  absoluteLifetime: 1h\n  validIfNotUsedFor: 1h").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let token = refresh_token(&mut alice, &app).await;
    for seconds in [30 * MINUTE, 59 * MINUTE, 60 * MINUTE - 1] {
        clock.set(seconds);
        assert!(is_signed_in(&mut alice, &app).await, "after {seconds} seconds");
    }
    clock.set(60 * MINUTE + 1);
    assert!(!is_signed_in(&mut alice, &app).await);
    for path in ["/", "/logout"] {
        let page = alice.opens(server.url(path)).await;
        assert!(page.status == 200 && !page.body.contains(ALICE), "{path}: {}", page.text());
    }
    refreshed(&app, &token).await;
}

/// RFC 6749 section 4.1.2 and RFC 9068 section 4: codes and access tokens.
#[tokio::test]
async fn codes_and_access_tokens_expire() {
    if Need::Clock.is_missing() {
        return;
    }
    let (server, clock) = start("expiry:\n  idTokens: 10m\n  codes: 30s").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let (in_time, late) = (app.auth_request("openid"), app.auth_request("openid"));
    let early_arrival = alice.logs_in(&in_time, ALICE, ALICE_PASSWORD).await;
    let late_arrival = alice.logs_in(&late, ALICE, ALICE_PASSWORD).await;
    clock.set(29);
    let tokens = app.redeems(&in_time, &early_arrival).await;
    assert_eq!((tokens.status, &tokens.json["expires_in"]), (200, &600.into()));
    clock.set(31);
    let refused = app.redeems(&late, &late_arrival).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant"));

    clock.set(29 + 10 * MINUTE - 1);
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
    // The clock of another replica may be five seconds behind.
    clock.set(29 + 10 * MINUTE + 6);
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 401);
}

/// An expired login form says what to do, and does not loop.
#[tokio::test]
async fn an_expired_pending_login_must_be_started_again() {
    if Need::Clock.is_missing() {
        return;
    }
    let (server, clock) = start("expiry:\n  authRequests: 10m").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    alice.opens(&request.url).await;
    clock.set(10 * MINUTE + 1);
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert!((400..500).contains(&page.status) && page.location().is_none(), "{page:?}");
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
}
