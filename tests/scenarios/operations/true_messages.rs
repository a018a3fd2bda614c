//! Issue 9, item 26: what logs, pages and metrics state is known, and names what it is about.

use serde_json::Value;

use crate::scenarios::admin::command_line::{signs_in, world};
use crate::scenarios::connectors::ldap::{connector, groups_of};
use crate::scenarios::login::passwords::attempt;
use crate::world::fakes::provider::{CLIENT, Provider, SECRET};
use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, BOB, Browser, Need, Server, World, slapd};

const WRONG: &str = "not-the-password-at-all";

/// The log lines with this event, each as JSON; waits for the first.
async fn events(server: &Server, event: &str) -> Vec<Value> {
    server.waits_for_log(1, event).await;
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains(event));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_refused_or_delayed_login_is_logged_with_the_name_that_was_typed() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_stopped_clock().start().await;
    for _ in 0..10 {
        let page = attempt(&server, "192.0.2.1", BOB, WRONG).await;
        // The page has the reference of this attempt, by which the log is searched.
        let reference = page.all("#reference");
        assert_eq!(Some(reference[0].as_str()), page.header("x-request-id"), "{}", page.text());
    }
    attempt(&server, "192.0.2.1", BOB, WRONG).await;
    for event in ["login_refused", "login_delayed"] {
        let line = &events(&server, event).await[0];
        assert_eq!((&line["login"], &line["connector"]), (&BOB.into(), &"local".into()), "{line}");
        assert!(line["address"].as_str().unwrap().starts_with("127."), "{line}");
    }
}

/// JSON logs are read by programs: from the first line on there is nothing else, and the level is a field.
#[tokio::test]
async fn json_logs_have_no_banner_and_a_warning_has_its_level_once() {
    let server = World::new().with("frontend:\n  logoURL: static/logo.svg").start().await;
    let log = server.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let warning = lines.iter().find(|line| line["level"] == "WARN").expect("a warning");
    assert!(!warning["msg"].as_str().unwrap().contains("warning"), "{warning}");
}

#[tokio::test]
async fn the_end_of_tokens_is_logged_as_an_instant() {
    let server = world().start().await;
    signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let list = ["sessions", "list", "--config", "CONFIG"];
    let found: Value = serde_json::from_slice(&server.runs_command(&list, &[]).stdout).unwrap();
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let id = found["sessions"][0]["id"].as_str().unwrap();
    let ended = ops.calls_api("DELETE", &format!("/sessions/{id}"), &token, Value::Null).await;
    assert_eq!(ended.status, 200, "{}", ended.page.body);
    let line = &events(&server, "session_ended").await[0];
    let until = line["tokens_until"].as_str().unwrap();
    assert!(until.starts_with("20") && until.ends_with('Z') && until.len() < 30, "{line}");
    assert!(line["address"].as_str().unwrap().starts_with("127."), "from where: {line}");
}

/// Twenty are shown, all are counted.
#[tokio::test]
async fn an_explanation_counts_every_session() {
    let server = world().start().await;
    for _ in 0..22 {
        signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    }
    let explain = ["explain", ALICE, "--config", "CONFIG"];
    let shown = server.runs_command(&explain, &[]);
    let explained: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let person = &explained["people"][0];
    assert_eq!((&person["sessions_total"], &person["administrator"]), (&22.into(), &true.into()));
    assert_eq!(person["sessions"].as_array().unwrap().len(), 20);
    let table = server.runs_command(&[&explain[..], &["--output", "table"]].concat(), &[]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("22, of which the newest 20"), "{table}");
}

/// A directory that does not answer does not say that somebody has no groups.
#[tokio::test]
async fn ldap_groups_of_a_silent_directory_are_unknown_and_not_none() {
    let Some(mut directory) = slapd::Slapd::start() else { return };
    let admins = "admin:\n  groups:\n  - connector: local\n    group: admins\n";
    let server = World::new().with(&connector(&directory)).with(admins).start().await;
    let app = server.relying_party("example-app");
    groups_of(&server, &app, "jane").await;
    directory.stop();
    let explain = ["explain", "jane", "--config", "CONFIG", "--output"];
    let table = server.runs_command(&[&explain[..], &["table"]].concat(), &[]);
    let table = String::from_utf8(table.stdout).unwrap();
    let (_, upstream) = table.split_once("\nldap: ").expect("the directory's part");
    assert!(!upstream.contains("groups: "), "{table}");
    let json = server.runs_command(&[&explain[..], &["json"]].concat(), &[]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    let upstreams = json["upstreams"].as_array().unwrap();
    let ldap = upstreams.iter().find(|upstream| upstream["connector"] == "ldap").unwrap();
    assert!(ldap.get("groups").is_none(), "{ldap}");

    let mut alice = server.browser();
    alice.opens(server.url("/admin/explain?user=jane")).await;
    alice.clicks("Email").await;
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert!(page.text().contains("Groups: unknown"), "{}", page.text());
}

/// A connector that no request was sent to is neither up nor down.
#[tokio::test]
async fn a_connector_without_requests_is_shown_as_unknown() {
    let corp = "connectors:\n- type: mockCallback\n  id: corp\n  name: Example Corp";
    let admins = "admin:\n  groups:\n  - connector: local\n    group: admins\n";
    let server = World::new().with(corp).with(admins).start().await;
    let mut alice = server.browser();
    alice.opens(server.url("/admin/connectors")).await;
    alice.clicks("Email").await;
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let headings = page.all("h2");
    assert!(headings.contains(&"Email Answers".to_owned()), "{headings:?}");
    assert!(headings.contains(&"Example Corp No recent request".to_owned()), "{headings:?}");
    let metrics = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await.body;
    let response = |connector: &str| {
        let name = format!(
            "countersign_connector_last_response_timestamp_seconds{{connector=\"{connector}\"}} "
        );
        metrics.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
    };
    assert!(response("local").unwrap().parse::<f64>().unwrap() > 1.7e9, "{metrics}");
    assert_eq!(response("corp"), None, "{metrics}");
}

/// The name comes from the upstream: neither the application nor the person can change it.
#[tokio::test]
async fn a_name_with_nul_is_a_fault_of_the_upstream() {
    let provider = Provider::start().await;
    provider.claims(|claims| {
        claims.insert("name".to_owned(), "Jane\u{0}Doe".into());
    });
    let yaml = format!(
        "connectors:\n- type: oidc\n  id: partner\n  name: Partners\n  config:\n    issuer: {}\n    \
         clientID: {CLIENT}\n    clientSecret: \"{SECRET}\"\n",
        provider.web.url
    );
    let server = World::new().with(&yaml).start().await;
    let app = server.relying_party("example-app");
    let mut jane: Browser = server.browser();
    jane.opens(app.auth_request_with("openid", &[("connector_id", "partner")]).url).await;
    let page = jane.continues_to_fake_upstream().await;
    assert_eq!(page.status, 502, "{}", page.text());
    assert!(page.text().contains("You did nothing wrong"), "{}", page.text());
    assert_eq!(page.all(".chips li"), ["Partners"], "{}", page.text());
    assert!(page.header("retry-after").is_none());
    server.waits_for_log(1, "contains a NUL character").await;
}
