//! Logs and metrics (threats L 131-133): one event is one line whatever a request contains, no secret is
//! logged (the harness checks that after every test), and metrics are on the telemetry port.

use reqwest::Method;
use serde_json::Value;

use crate::scenarios::login::passwords::verifications;
use crate::world::http::{bare_client, send, send_bytes};
use crate::world::{ALICE, ALICE_PASSWORD, Server, World};

/// The whole log, after the server has stopped.
async fn whole_log(mut server: Server) -> String {
    assert!(server.stop().await.success());
    server.log()
}

/// The lines without the startup banner, each as JSON.
fn lines(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| !line.starts_with("  ") && !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// An attempt to forge a log line.
const FORGERIES: [&str; 6] = [
    "x\r\n{\"level\":\"INFO\",\"event\":\"forged\",\"msg\":\"root signed in\"}\r\n",
    "x\n2026-01-01T00:00:00Z INFO forged",
    "\u{1b}[2J\u{1b}[31mforged\u{1b}[0m\u{7}",
    "\",\"event\":\"forged\",\"x\":\"",
    "\\\",\\u000a forged \\",
    "\u{2028}forged\u{2029}\u{85}forged\u{9b}31m",
];

/// L 132.
#[tokio::test]
async fn input_cannot_forge_log_lines() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for forged in FORGERIES {
        let mut mallory = server.browser();
        mallory.opens(app.auth_request("openid").url).await;
        mallory.signs_in(forged, "not-the-password").await;
        for parameter in ["scope", "redirect_uri", "client_id", "state", "prompt", "acr_values"] {
            mallory.get(app.auth_request_with("openid", &[(parameter, forged)]).url).await;
        }
        app.exchange(&[("grant_type", forged)]).await;
        app.exchange(&[("grant_type", "refresh_token"), ("refresh_token", forged)]).await;
        let narrowed = [("grant_type", "refresh_token"), ("refresh_token", "t"), ("scope", forged)];
        app.exchange(&narrowed).await;
        let path: String = forged.bytes().map(|byte| format!("%{byte:02x}")).collect();
        send(bare_client().get(server.url(&format!("/auth/{path}")))).await;
        send(bare_client().get(server.url(&format!("/{path}")))).await;
    }
    send_bytes(
        &server,
        "GET /dex/x HTTP/1.1\r\nHost: a\r\nUser-Agent: a\tb\u{9b}\r\nConnection: close\r\n\r\n",
    );
    let mut alice = server.browser();
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;

    let log = whole_log(server).await;
    let lines = lines(&log);
    assert!(lines.len() > 60, "all events are logged: {}", lines.len());
    for line in &lines {
        assert_ne!(line["event"], "forged", "{line}");
        assert!(line["level"].is_string() && line["time"].is_string(), "{line}");
    }
    let control = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!log.contains(control), "{:?}", log.lines().find(|line| line.contains(control)));
}

/// L 132, for the text format.
#[tokio::test]
async fn in_the_text_format_an_event_is_one_line() {
    let server = World::new().with("logger:\n  level: debug\n  format: text").start().await;
    let app = server.relying_party("example-app");
    for forged in FORGERIES {
        let mut mallory = server.browser();
        mallory.opens(app.auth_request("openid").url).await;
        mallory.signs_in(forged, "not-the-password").await;
        mallory
            .get(app.auth_request_with("openid", &[("scope", forged), ("prompt", forged)]).url)
            .await;
    }
    let log = whole_log(server).await;
    let control = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!log.contains(control), "{:?}", log.lines().find(|line| line.contains(control)));
    for line in log.lines().filter(|line| !line.starts_with("  ") && !line.is_empty()) {
        let is_ours = ["ERROR", "WARN", "INFO", "DEBUG"].iter().any(|level| line.contains(level));
        assert!(is_ours && !line.starts_with("2026-01-01T00:00:00Z"), "{line}");
        assert!(!line.starts_with("{\"level\""), "{line}");
    }
    assert!(log.contains("forged"), "the input is logged, escaped");
}

/// L 132.
#[tokio::test]
async fn a_login_of_one_megabyte_is_not_logged() {
    let server = World::new().start().await;
    let (mut mallory, app) = (server.browser(), server.relying_party("example-app"));
    for size in [300, 10_000, 60_000] {
        mallory.opens(app.auth_request("openid").url).await;
        mallory.signs_in(&"N".repeat(size), "not-the-password").await;
        send(bare_client().get(server.url(&format!("/{}", "P".repeat(size / 4))))).await;
    }
    let longest = whole_log(server).await.lines().map(str::len).max().unwrap();
    assert!(longest < 2_000, "a line of {longest} bytes");
}

/// L 131.
#[tokio::test]
async fn the_reference_on_an_error_page_is_in_the_log() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let page = alice.opens(server.url("/auth?client_id=nobody")).await.clone();
    let reference = page.all("#reference").remove(0);
    assert_eq!(page.header("x-request-id"), Some(reference.as_str()));
    let lines = lines(&whole_log(server).await);
    let about: Vec<_> = lines.iter().filter(|line| line["request_id"] == *reference).collect();
    assert!(about.len() >= 2, "the error and the request: {about:?}");
}

/// L 133.
#[tokio::test]
async fn metrics_are_served_on_the_telemetry_port_only() {
    let server = World::new().start().await;
    for path in
        ["/metrics", "/debug/pprof/", "/debug", "/healthz/live", "/healthz/ready", "/healthz"]
    {
        let page = send(bare_client().get(format!("{}{path}", server.origin()))).await;
        assert_eq!(page.status, 404, "{path}");
    }
    for path in ["/metrics", "/debug/pprof/"] {
        assert_eq!(send(bare_client().get(server.url(path))).await.status, 404, "{path}");
    }
    let telemetry = |path: &str| bare_client().get(format!("{}{path}", server.telemetry()));
    for path in ["/metrics", "/healthz", "/healthz/live", "/healthz/ready"] {
        assert_eq!(send(telemetry(path)).await.status, 200, "{path}");
    }
    for path in ["/dex/token", "/dex/auth", "/token", "/"] {
        assert_eq!(send(telemetry(path)).await.status, 404, "{path}");
    }
}

/// L 133: a label for every value in a request would fill the memory.
#[tokio::test]
async fn request_values_do_not_become_metric_labels() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let metrics = async || {
        let page = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await;
        page.body
    };
    let send_all = async |value: &str| {
        send(bare_client().get(server.url(&format!("/{value}")))).await;
        send(bare_client().get(server.url(&format!("/auth/{value}?client_id={value}")))).await;
        send(bare_client().get(server.url(&format!("/static/{value}")))).await;
        let method = Method::from_bytes(value.as_bytes()).unwrap();
        send(bare_client().request(method, server.url("/keys"))).await;
        app.exchange(&[("grant_type", value), ("client_id", value)]).await;
        let mut mallory = server.browser();
        mallory.opens(app.auth_request("openid").url).await;
        mallory.signs_in(value, "not-the-password").await;
        mallory.post_form(server.url(&format!("/auth/{value}/login")), &[("login", value)]).await;
    };
    send_all("MALLORY-0").await;
    let before = metrics().await;
    for n in 1..8 {
        send_all(&format!("MALLORY-{n}")).await;
    }
    let after = metrics().await;
    assert!(!after.contains("MALLORY"), "{after}");
    assert_eq!(after.lines().count(), before.lines().count(), "{before}\n{after}");
    assert!(after.contains("http_requests_total{") && after.contains("countersign_logins_total{"));
    assert!(verifications(&server).await >= 8);
}
