//! Back-channel logout (threat D 64, design.md 2 and 3): who hears that a session is over, what exactly,
//! and that one application that does not answer delays nobody else.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, LogoutReceiver, Need, RelyingParty, Server, World, claims,
    verified,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Her ID token of an application.
async fn signs_on(alice: &mut Browser, app: &RelyingParty) -> Value {
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    claims(app.redeems(&request, &auth_response).await.id_token())
}

async fn signs_out(alice: &mut Browser, server: &Server) {
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").expect("a form that asks");
    let page = alice.submits(form).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

async fn ends_everything(alice: &mut Browser, server: &Server) {
    alice.opens(server.url("/logout")).await;
    let mut form = alice.page().form_with("csrf").expect("a form that asks");
    form.fields.push(("tools".into(), "end".into()));
    assert_eq!(alice.submits(form).await.status, 200);
}

fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

/// Back-Channel Logout 1.0 sections 2.4 to 2.6, with our published keys.
#[tokio::test]
async fn an_application_hears_that_she_signed_out() {
    let receiver = LogoutReceiver::start();
    let server = World::new().with(SKIP).client(receiver.client("grafana")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    for key in ["backchannel_logout_supported", "backchannel_logout_session_supported"] {
        assert_eq!(discovery[key], true, "{key}");
    }
    let id_token = signs_on(&mut alice, &app).await;
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    assert!(alice.submits(form).await.text().contains("The grafana"), "{}", alice.page().text());

    let tokens = receiver.waits_for_logout_tokens(1).await;
    let heard = &receiver.requests()[0];
    assert_eq!((heard.method.as_str(), heard.target.as_str()), ("POST", "/logged-out?tenant=7"));
    assert_eq!(heard.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(heard.header("authorization"), None);
    assert_eq!(header(&tokens[0])["typ"], "logout+jwt");
    let told = verified(&tokens[0], &app.gets("/keys").await.json);
    assert_eq!(told["iss"], server.issuer());
    assert_eq!(told["aud"], "grafana");
    assert_eq!((&told["sub"], &told["sid"]), (&id_token["sub"], &id_token["sid"]));
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    assert_eq!(told["events"], event);
    let lifetime = told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap();
    assert!((1..=120).contains(&lifetime), "{told}");
    assert!(told["jti"].as_str().is_some_and(|jti| jti.len() >= 16), "{told}");
    assert!(told.get("nonce").is_none(), "{told}");
    server.waits_for_log(1, "logout_notification_delivered").await;
    server.assert_no_secret_in_log(&[&tokens[0]]);
}

/// Its tokens are good for nothing else (threat 70).
#[tokio::test]
async fn a_logout_token_opens_nothing() {
    let receiver = LogoutReceiver::start();
    let server = World::new().with(SKIP).client(receiver.client("grafana")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    signs_on(&mut alice, &app).await;
    signs_out(&mut alice, &server).await;
    let token = receiver.waits_for_logout_tokens(1).await.remove(0);
    assert_eq!(app.userinfo(&token).await.status, 401);
    assert_eq!(app.posts("/token/introspect", &[("token", &token)]).await.json["active"], false);
    let mut bob = server.browser();
    bob.opens(
        app.auth_request_with("openid", &[("prompt", "none"), ("id_token_hint", &token)]).url,
    )
    .await;
    assert_eq!(bob.auth_error(), "invalid_request");
}

/// D 64: one dead application does not delay the others.
#[tokio::test]
async fn one_that_does_not_answer_delays_nobody() {
    let (live, silent, broken) =
        (LogoutReceiver::start(), LogoutReceiver::never_responding(), LogoutReceiver::start());
    broken.responds_with(503);
    let world = World::new().with(SKIP).client(silent.client("a-silent"));
    let world = world.client(broken.client("b-broken")).client(live.client("c-live"));
    let server = world.start().await;
    let apps = ["a-silent", "b-broken", "c-live"].map(|id| server.relying_party(id));
    const BROWSERS: usize = 6;
    for _ in 0..BROWSERS {
        let mut alice = server.browser();
        for app in &apps {
            signs_on(&mut alice, app).await;
        }
        signs_out(&mut alice, &server).await;
    }
    // All of it, while the silent one still holds its first connections.
    let told = live.waits_for_logout_tokens(BROWSERS).await;
    let mut sids: Vec<_> = told.iter().map(|t| claims(t)["sid"].to_string()).collect();
    sids.sort();
    sids.dedup();
    assert_eq!(sids.len(), BROWSERS, "each of her sessions once");
    assert!(!silent.requests().is_empty());
    server.waits_for_log(1, "status 503").await;
    let metrics = reqwest::get(format!("{}/metrics", server.telemetry())).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = |client: &str, result: &str| {
        metrics.contains(&format!(
            "countersign_logout_notifications_total{{client=\"{client}\",result=\"{result}\"}}"
        ))
    };
    assert!(line("c-live", "delivered") && line("b-broken", "postponed"), "{metrics}");
}

#[tokio::test]
async fn one_that_was_broken_is_told_again() {
    if Need::Clock.is_missing() {
        return;
    }
    let receiver = LogoutReceiver::start();
    receiver.responds_with(500);
    let world = World::with_clock().with(SKIP).client(receiver.client("grafana"));
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    signs_on(&mut alice, &app).await;
    signs_out(&mut alice, &server).await;
    server.waits_for_log(1, "logout_notification_postponed").await;
    receiver.responds_with(204);
    server.advance(6 * SECOND);
    let tokens = receiver.waits_for_logout_tokens(2).await;
    let [first, second] = [claims(&tokens[0]), claims(&tokens[1])];
    assert_eq!((&first["sub"], &first["sid"]), (&second["sub"], &second["sid"]));
    assert_ne!(first["jti"], second["jti"], "one that took the first is not told twice of it");
    server.waits_for_log(1, "logout_notification_delivered").await;
}

/// Section 2.8: it does not believe us, and never will.
#[tokio::test]
async fn one_that_refuses_is_not_asked_again() {
    if Need::Clock.is_missing() {
        return;
    }
    let (refusing, other) = (LogoutReceiver::start(), LogoutReceiver::start());
    refusing.responds_with(400);
    let world = World::with_clock().with(SKIP).client(refusing.client("proud"));
    let server = world.client(other.client("other")).start().await;
    let mut alice = server.browser();
    signs_on(&mut alice, &server.relying_party("proud")).await;
    signs_out(&mut alice, &server).await;
    server.waits_for_log(1, "logout_notification_failed").await;
    assert_eq!(server.count_in_log("logout_notification_postponed"), 0);
    // Whatever was due then is told before what happens now.
    server.advance(24 * HOUR);
    signs_on(&mut alice, &server.relying_party("other")).await;
    signs_out(&mut alice, &server).await;
    other.waits_for_logout_tokens(1).await;
    refusing.waits_for_logout_tokens(1).await;
}

/// D 64: bounded, and only to the address that is configured.
#[tokio::test]
async fn one_that_sends_us_elsewhere_is_given_up_at_last() {
    if Need::Clock.is_missing() {
        return;
    }
    let receiver = LogoutReceiver::start();
    receiver.responds_with(307);
    let world = World::with_clock().with(SKIP).client(receiver.client("grafana"));
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    signs_on(&mut alice, &app).await;
    signs_out(&mut alice, &server).await;
    for tries in 1..8 {
        server.waits_for_log(tries, "logout_notification_postponed").await;
        server.advance(4 * HOUR);
    }
    server.waits_for_log(1, "logout_notification_failed").await;
    let heard = receiver.requests();
    assert_eq!(heard.len(), 8);
    assert!(heard.iter().all(|heard| heard.target == "/logged-out?tenant=7"), "{heard:?}");
}

#[tokio::test]
async fn what_was_not_delivered_survives_a_crash() {
    if Need::Clock.is_missing() {
        return;
    }
    let receiver = LogoutReceiver::never_responding();
    let world = World::with_clock().with(SKIP).client(receiver.client("grafana"));
    let mut server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    let id_token = signs_on(&mut alice, &app).await;
    signs_out(&mut alice, &server).await;
    // It is on its way, and nobody has answered yet.
    receiver.waits_for_logout_tokens(1).await;
    server.kill();
    receiver.responds_with(200);
    server.restart().await;
    server.advance(31 * SECOND);
    let tokens = receiver.waits_for_logout_tokens(2).await;
    assert_eq!(claims(&tokens[1])["sid"], id_token["sid"]);
    server.waits_for_log(1, "logout_notification_delivered").await;
}

#[tokio::test]
async fn two_replicas_tell_once() {
    if Need::Postgres.is_missing() {
        return;
    }
    const SESSIONS: usize = 8;
    let receiver = LogoutReceiver::start();
    let world = World::with_postgres().with(SKIP).client(receiver.client("grafana"));
    let one = world.start().await;
    let other = one.replica().await;
    let app = one.relying_party("grafana");
    for n in 0..SESSIONS {
        let mut alice = one.browser();
        alice.via_replica(if n % 2 == 0 { &one } else { &other });
        signs_on(&mut alice, &app).await;
        signs_out(&mut alice, &one).await;
    }
    let tokens = receiver.waits_for_logout_tokens(SESSIONS).await;
    let mut sids: Vec<_> = tokens.iter().map(|token| claims(token)["sid"].to_string()).collect();
    sids.sort();
    sids.dedup();
    assert_eq!(sids.len(), SESSIONS);
}

/// design.md 2: signing out ends the browser's half; what kept its own tokens hears of the other half's end.
#[tokio::test]
async fn only_the_session_that_ended_is_told_of() {
    let receiver = LogoutReceiver::start();
    let server = World::new().with(SKIP).client(receiver.client("grafana")).start().await;
    let (mut home, mut work) = (server.browser(), server.browser());
    let app = server.relying_party("grafana");
    let at_home = signs_on(&mut home, &app).await;
    signs_on(&mut work, &app).await;
    ends_everything(&mut home, &server).await;
    let tokens = receiver.waits_for_logout_tokens(1).await;
    assert_eq!(claims(&tokens[0])["sid"], at_home["sid"]);
    let again = signs_on(&mut home, &app).await;
    assert_ne!(again["sid"], at_home["sid"]);
}

/// The command line opens the same database as another process: what it ends is told by the server, also
/// by one that is started later.
#[tokio::test]
async fn what_an_administrator_ends_is_told_too() {
    let receiver = LogoutReceiver::start();
    let mut server = World::new().with(SKIP).client(receiver.client("grafana")).start().await;
    let app = server.relying_party("grafana");
    let ends = |server: &Server, sid: &Value| {
        let end = ["sessions", "end", sid.as_str().unwrap(), "--config", "CONFIG"];
        let output = server.runs_command(&end, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let first = signs_on(&mut server.browser(), &app).await;
    ends(&server, &first["sid"]);
    assert_eq!(claims(&receiver.waits_for_logout_tokens(1).await[0])["sid"], first["sid"]);
    let second = signs_on(&mut server.browser(), &app).await;
    server.stop().await;
    ends(&server, &second["sid"]);
    server.restart().await;
    assert_eq!(claims(&receiver.waits_for_logout_tokens(2).await[1])["sid"], second["sid"]);
}
