//! The log and the metrics (threats L 131-133): one event is one line whatever a stranger sends, no
//! secret stands in it (which the test harness checks after every test), and only operators read numbers.

use reqwest::Method;
use serde_json::Value;

use crate::scenarios::login::passwords::verifications;
use crate::world::http::{bare_client, send, send_bytes};
use crate::world::{ALICE, ALICE_PASSWORD, Server, World};

/// Everything it said, to its last line.
async fn whole_log(mut server: Server) -> String {
    assert!(server.stop().await.success());
    server.log()
}

/// The lines that are not the greeting to a person at a terminal, each as JSON.
fn lines(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| !line.starts_with("  ") && !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// What somebody sends who wants a line of his own in the log.
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
async fn nobody_writes_a_line_of_his_own_into_the_log() {
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
    assert!(lines.len() > 60, "there was much to tell: {}", lines.len());
    for line in &lines {
        assert_ne!(line["event"], "forged", "{line}");
        assert!(line["level"].is_string() && line["time"].is_string(), "{line}");
    }
    let control = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!log.contains(control), "{:?}", log.lines().find(|line| line.contains(control)));
}

/// L 132, for those who read the log as text.
#[tokio::test]
async fn a_line_of_text_is_one_line_too() {
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
    assert!(log.contains("forged"), "what was sent is told, escaped");
}

/// L 132: the log is not the place to keep what people send.
#[tokio::test]
async fn a_name_of_a_megabyte_is_not_logged() {
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

/// L 131: a person who asks why may give the reference of the page, and the log has it.
#[tokio::test]
async fn the_reference_on_an_error_page_is_in_the_log() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let page = alice.opens(server.url("/auth?client_id=nobody")).await.clone();
    let reference = page.all("#reference").remove(0);
    assert_eq!(page.header("x-request-id"), Some(reference.as_str()));
    let lines = lines(&whole_log(server).await);
    let about: Vec<_> = lines.iter().filter(|line| line["request_id"] == *reference).collect();
    assert!(about.len() >= 2, "the page and the request: {about:?}");
}

/// L 133.
#[tokio::test]
async fn metrics_are_on_the_telemetry_port_alone() {
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

/// L 133: a label for every word of a stranger is a way to fill somebody's memory.
#[tokio::test]
async fn strangers_make_no_labels() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let metrics = async || {
        let page = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await;
        page.body
    };
    let ask_all = async |word: &str| {
        send(bare_client().get(server.url(&format!("/{word}")))).await;
        send(bare_client().get(server.url(&format!("/auth/{word}?client_id={word}")))).await;
        send(bare_client().get(server.url(&format!("/static/{word}")))).await;
        let method = Method::from_bytes(word.as_bytes()).unwrap();
        send(bare_client().request(method, server.url("/keys"))).await;
        app.exchange(&[("grant_type", word), ("client_id", word)]).await;
        let mut mallory = server.browser();
        mallory.opens(app.auth_request("openid").url).await;
        mallory.signs_in(word, "not-the-password").await;
        mallory.post_form(server.url(&format!("/auth/{word}/login")), &[("login", word)]).await;
    };
    ask_all("MALLORY-0").await;
    let before = metrics().await;
    for n in 1..8 {
        ask_all(&format!("MALLORY-{n}")).await;
    }
    let after = metrics().await;
    assert!(!after.contains("MALLORY"), "{after}");
    assert_eq!(after.lines().count(), before.lines().count(), "{before}\n{after}");
    assert!(after.contains("http_requests_total{") && after.contains("countersign_logins_total{"));
    assert!(verifications(&server).await >= 8);
}
