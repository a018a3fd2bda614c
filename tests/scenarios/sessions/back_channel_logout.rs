//! Back-channel logout (threat D 64): which clients receive a logout token, its contents, retries, and that a
//! client that does not respond delays no other.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, LogoutReceiver, Need, RelyingParty, Server, World, claims,
    verified,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const BROWSERS: usize = 6;
const SESSIONS: usize = 8;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// Logs Alice in and returns the claims of her ID token.
async fn logs_in_at(alice: &mut Browser, app: &RelyingParty) -> Value {
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    claims(app.redeems(&request, &auth_response).await.id_token())
}

async fn signs_out(alice: &mut Browser, server: &Server) {
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").expect("a confirmation form");
    let page = alice.submits(form).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

async fn signs_out_everywhere(alice: &mut Browser, server: &Server) {
    alice.opens(server.url("/logout")).await;
    let mut form = alice.page().form_with("csrf").expect("a confirmation form");
    form.fields.push(("tools".into(), "end".into()));
    assert_eq!(alice.submits(form).await.status, 200);
}

fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

/// Back-Channel Logout 1.0 sections 2.4 to 2.6, verified with our published keys.
#[tokio::test]
async fn a_client_receives_a_logout_token_when_alice_signs_out() {
    let receiver = LogoutReceiver::start();
    let server = World::new().with(SKIP).client(receiver.client("grafana")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    for key in ["backchannel_logout_supported", "backchannel_logout_session_supported"] {
        assert_eq!(discovery[key], true, "{key}");
    }
    let id_token = logs_in_at(&mut alice, &app).await;
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    assert!(alice.submits(form).await.text().contains("The grafana"), "{}", alice.page().text());

    let tokens = receiver.waits_for_logout_tokens(1).await;
    let request = &receiver.requests()[0];
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/logged-out?tenant=7")
    );
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(header(&tokens[0])["typ"], "logout+jwt");
    let claims = verified(&tokens[0], &app.gets("/keys").await.json);
    assert_eq!(claims["iss"], server.issuer());
    assert_eq!(claims["aud"], "grafana");
    assert_eq!((&claims["sub"], &claims["sid"]), (&id_token["sub"], &id_token["sid"]));
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    assert_eq!(claims["events"], event);
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!((1..=120).contains(&lifetime), "{claims}");
    assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() >= 16), "{claims}");
    assert!(claims.get("nonce").is_none(), "{claims}");
    server.waits_for_log(1, "logout_notification_delivered").await;
    server.assert_no_secret_in_log(&[&tokens[0]]);
}

/// Issue 9, item 12: an API server ignores `typ`, so with `sub` and its own `aud` the token would sign in. The client of
/// a cluster receives `sid` alone (section 2.4 permits it), whether it is known as one by its `kubernetes` block or by the
/// list of clusters, as for an API server that is set up by flags.
#[tokio::test]
async fn the_client_of_a_cluster_receives_no_sub() {
    let listed = "clusters:\n- name: production\n  server: https://api.example.com:6443\n  \
                  clientID: cluster\n";
    let receiver = LogoutReceiver::start();
    let by_list = World::new().with(listed).client(receiver.client("cluster"));
    let other = LogoutReceiver::start();
    let block = other.client("cluster").with("kubernetes: {groups: distributed}");
    for (receiver, world) in [(&receiver, by_list), (&other, World::https().client(block))] {
        let server = world.with(SKIP).start().await;
        let (mut alice, app) = (server.browser(), server.relying_party("cluster"));
        let id_token = logs_in_at(&mut alice, &app).await;
        signs_out(&mut alice, &server).await;
        let token = claims(&receiver.waits_for_logout_tokens(1).await[0]);
        assert_eq!((&token["aud"], &token["sid"]), (&json!("cluster"), &id_token["sid"]));
        assert_eq!(token.get("sub"), None, "{token}");
    }
}

/// A logout token is not accepted as any other token (threat 70).
#[tokio::test]
async fn a_logout_token_is_refused_as_access_token_and_hint() {
    let receiver = LogoutReceiver::start();
    let server = World::new().with(SKIP).client(receiver.client("grafana")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    logs_in_at(&mut alice, &app).await;
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

/// D 64.
#[tokio::test]
async fn a_client_that_does_not_respond_delays_no_other() {
    let (live, silent, broken) =
        (LogoutReceiver::start(), LogoutReceiver::never_responding(), LogoutReceiver::start());
    broken.responds_with(503);
    let world = World::new().with(SKIP).client(silent.client("a-silent"));
    let world = world.client(broken.client("b-broken")).client(live.client("c-live"));
    let server = world.start().await;
    let apps = ["a-silent", "b-broken", "c-live"].map(|id| server.relying_party(id));
    for _ in 0..BROWSERS {
        let mut alice = server.browser();
        for app in &apps {
            logs_in_at(&mut alice, app).await;
        }
        signs_out(&mut alice, &server).await;
    }
    // All are delivered while the unresponsive client still holds its first connections.
    let tokens = live.waits_for_logout_tokens(BROWSERS).await;
    let mut sids: Vec<_> = tokens.iter().map(|t| claims(t)["sid"].to_string()).collect();
    sids.sort();
    sids.dedup();
    assert_eq!(sids.len(), BROWSERS, "each session once");
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

/// The certificate authorities are read before the first delivery and not at the start; when they cannot be read the
/// notification stays queued.
#[tokio::test]
async fn a_logout_token_waits_until_the_certificate_authorities_can_be_read() {
    let receiver = LogoutReceiver::start();
    let world = World::new().with(SKIP).client(receiver.client("grafana"));
    let authorities = world.dir().join("authorities.pem");
    let server = world.env("SSL_CERT_FILE", authorities.to_str().unwrap()).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    logs_in_at(&mut alice, &app).await;
    assert_eq!(server.count_in_log("No CA certificates"), 0);
    signs_out(&mut alice, &server).await;
    server.waits_for_log(1, "logout notifications cannot be delivered").await;
    let authority = rcgen::generate_simple_self_signed(["ca.example.com".to_owned()]).unwrap();
    std::fs::write(&authorities, authority.cert.pem()).unwrap();
    receiver.waits_for_logout_tokens(1).await;
}

#[tokio::test]
async fn delivery_is_retried_after_a_server_error() {
    if Need::Clock.is_missing() {
        return;
    }
    let receiver = LogoutReceiver::start();
    receiver.responds_with(500);
    let world = World::with_clock().with(SKIP).client(receiver.client("grafana"));
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    logs_in_at(&mut alice, &app).await;
    signs_out(&mut alice, &server).await;
    server.waits_for_log(1, "logout_notification_postponed").await;
    receiver.responds_with(204);
    server.advance(6 * SECOND);
    let tokens = receiver.waits_for_logout_tokens(2).await;
    let [first, second] = [claims(&tokens[0]), claims(&tokens[1])];
    assert_eq!((&first["sub"], &first["sid"]), (&second["sub"], &second["sid"]));
    assert_ne!(first["jti"], second["jti"], "each attempt has a jti of its own");
    server.waits_for_log(1, "logout_notification_delivered").await;
}

/// Section 2.8: 400 means that the client rejected the token, so it is not sent again.
#[tokio::test]
async fn a_rejected_logout_token_is_not_sent_again() {
    if Need::Clock.is_missing() {
        return;
    }
    let (refusing, other) = (LogoutReceiver::start(), LogoutReceiver::start());
    refusing.responds_with(400);
    let world = World::with_clock().with(SKIP).client(refusing.client("proud"));
    let server = world.client(other.client("other")).start().await;
    let mut alice = server.browser();
    logs_in_at(&mut alice, &server.relying_party("proud")).await;
    signs_out(&mut alice, &server).await;
    server.waits_for_log(1, "logout_notification_failed").await;
    assert_eq!(server.count_in_log("logout_notification_postponed"), 0);
    // Notifications that are due are sent before new ones.
    server.advance(24 * HOUR);
    logs_in_at(&mut alice, &server.relying_party("other")).await;
    signs_out(&mut alice, &server).await;
    other.waits_for_logout_tokens(1).await;
    refusing.waits_for_logout_tokens(1).await;
}

/// D 64: retries are limited, and go to the configured address only.
#[tokio::test]
async fn a_redirecting_client_is_not_followed_and_abandoned_after_eight_attempts() {
    if Need::Clock.is_missing() {
        return;
    }
    let receiver = LogoutReceiver::start();
    receiver.responds_with(307);
    let world = World::with_clock().with(SKIP).client(receiver.client("grafana"));
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    logs_in_at(&mut alice, &app).await;
    signs_out(&mut alice, &server).await;
    for attempt in 1..8 {
        server.waits_for_log(attempt, "logout_notification_postponed").await;
        server.advance(4 * HOUR);
    }
    server.waits_for_log(1, "logout_notification_failed").await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 8);
    assert!(requests.iter().all(|r| r.target == "/logged-out?tenant=7"), "{requests:?}");
}

#[tokio::test]
async fn undelivered_notifications_survive_a_crash() {
    if Need::Clock.is_missing() {
        return;
    }
    let receiver = LogoutReceiver::never_responding();
    let world = World::with_clock().with(SKIP).client(receiver.client("grafana"));
    let mut server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("grafana"));
    let id_token = logs_in_at(&mut alice, &app).await;
    signs_out(&mut alice, &server).await;
    // The request has been sent, and not answered.
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
async fn two_replicas_send_each_logout_token_once() {
    if Need::Postgres.is_missing() {
        return;
    }
    let receiver = LogoutReceiver::start();
    let world = World::with_postgres().with(SKIP).client(receiver.client("grafana"));
    let one = world.start().await;
    let other = one.replica().await;
    let app = one.relying_party("grafana");
    for n in 0..SESSIONS {
        let mut alice = one.browser();
        alice.via_replica(if n % 2 == 0 { &one } else { &other });
        logs_in_at(&mut alice, &app).await;
        signs_out(&mut alice, &one).await;
    }
    let tokens = receiver.waits_for_logout_tokens(SESSIONS).await;
    let mut sids: Vec<_> = tokens.iter().map(|token| claims(token)["sid"].to_string()).collect();
    sids.sort();
    sids.dedup();
    assert_eq!(sids.len(), SESSIONS);
}

/// Signing out with the grants of command-line tools ends one session; only that one is notified.
#[tokio::test]
async fn only_the_ended_session_gets_a_logout_token() {
    let receiver = LogoutReceiver::start();
    let server = World::new().with(SKIP).client(receiver.client("grafana")).start().await;
    let (mut browser, mut other) = (server.browser(), server.browser());
    let app = server.relying_party("grafana");
    let id_token = logs_in_at(&mut browser, &app).await;
    logs_in_at(&mut other, &app).await;
    signs_out_everywhere(&mut browser, &server).await;
    let tokens = receiver.waits_for_logout_tokens(1).await;
    assert_eq!(claims(&tokens[0])["sid"], id_token["sid"]);
    let again = logs_in_at(&mut browser, &app).await;
    assert_ne!(again["sid"], id_token["sid"]);
}

/// The command line opens the same database from another process: the server notifies clients of what it
/// ended, also a server that starts later.
#[tokio::test]
async fn sessions_ended_by_the_command_line_are_notified() {
    let receiver = LogoutReceiver::start();
    let mut server = World::new().with(SKIP).client(receiver.client("grafana")).start().await;
    let app = server.relying_party("grafana");
    let ends = |server: &Server, sid: &Value| {
        let end = ["sessions", "end", sid.as_str().unwrap(), "--config", "CONFIG"];
        let output = server.runs_command(&end, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let first = logs_in_at(&mut server.browser(), &app).await;
    ends(&server, &first["sid"]);
    assert_eq!(claims(&receiver.waits_for_logout_tokens(1).await[0])["sid"], first["sid"]);
    let second = logs_in_at(&mut server.browser(), &app).await;
    server.stop().await;
    ends(&server, &second["sid"]);
    server.restart().await;
    assert_eq!(claims(&receiver.waits_for_logout_tokens(2).await[1])["sid"], second["sid"]);
}
