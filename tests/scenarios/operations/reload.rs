//! Reloading the configuration of a running server (issue 12, "Reload"): changes are applied, errors change
//! nothing, and requests in progress are not affected.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scenarios::admin::api::ADMINS;
use crate::scenarios::admin::command_line::{signs_in, world};
use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, Person, Server, World};

const RELOADED: &str = "configuration_reloaded";
const FAILED: &str = "configuration_reload_failed";
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

async fn metric(server: &Server, name: &str) -> String {
    let page = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await;
    let line = page.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}:\n{}", page.body)).to_owned()
}

#[tokio::test]
async fn sighup_applies_new_clients_and_people_and_keeps_sessions() {
    let mut server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;

    server.rewrites_config(|world| {
        world
            .client(Client::new("grafana"))
            .person(Person::new("carol@example.com", "carol-likes-5-boats"))
            .with("expiry:\n  idTokens: 7m")
    });
    server.sends_signal("HUP");
    server.waits_for_log(1, RELOADED).await;
    let grafana = server.relying_party("grafana");
    let request = grafana.auth_request("openid");
    alice.opens(&request.url).await;
    assert!(alice.page().form_with("password").is_none(), "she is still signed in");
    let mut carol = server.browser();
    let auth_response = carol.logs_in(&request, "carol@example.com", "carol-likes-5-boats").await;
    let response = grafana.redeems(&request, &auth_response).await;
    let claims = crate::world::claims(response.id_token());
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 7 * 60);
    assert_eq!(app.refreshes(tokens.refresh_token()).await.status, 200);
    let list =
        ["events", "--kind", "configuration_reloaded", "--output", "json", "--config", "CONFIG"];
    let output = server.runs_command(&list, &[]);
    let events: Value = serde_json::from_slice(&output.stdout).expect("events");
    let event = &events["events"][0];
    let trigger = event["details"]["trigger"].as_str().unwrap();
    assert!(["SIGHUP", "a changed file"].contains(&trigger), "{event}");
    assert_eq!(event["actor"], "system");
    let changes = event["details"]["changes"].as_array().unwrap();
    let added = json!({ "key": "staticClients[grafana]", "kind": "added" });
    assert!(changes.contains(&added), "{event}");
    assert!(!event.to_string().contains("carol-likes"), "{event}");

    server.rewrites_config(|world| world.without_client("grafana"));
    server.sends_signal("HUP");
    server.waits_for_log(2, RELOADED).await;
    assert_eq!(alice.opens(grafana.auth_request("openid").url).await.status, 400, "it is gone");
}

#[tokio::test]
async fn a_changed_file_is_reloaded_without_a_signal() {
    let mut server = World::new().start().await;
    server.rewrites_config(|world| world.client(Client::new("grafana")));
    server.waits_for_log(1, RELOADED).await;
    let page = server
        .browser()
        .opens(server.relying_party("grafana").auth_request("openid").url)
        .await
        .status;
    assert_eq!(page, 200);
}

/// Threat 144.
#[tokio::test]
async fn an_invalid_file_changes_nothing_and_is_reported() {
    let mut server = world().with(ADMINS).start().await;
    assert_eq!(metric(&server, "countersign_config_reload_success").await, "1");
    server.rewrites_config(|world| world.with("oauth2:\n  skipAprovalScreen: true"));
    server.sends_signal("HUP");
    server.waits_for_log(1, FAILED).await;
    assert!(server.count_in_log("skipApprovalScreen") > 0, "{}", server.log());
    assert_eq!(metric(&server, "countersign_config_reload_success").await, "0");
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid groups");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(app.redeems(&request, &auth_response).await.status, 200);
    let page = alice.opens(server.url("/admin")).await;
    let shown = page.all("#configuration-failure").join(" ");
    assert!(shown.contains("skipAprovalScreen"), "{}", page.text());

    // Another issuer or database needs a restart.
    server.rewrites_config(|world| {
        world.with("oauth2:\n  skipApprovalScreen: true\nstorage:\n  type: memory")
    });
    server.sends_signal("HUP");
    server.waits_for_log(1, "a restart is needed").await;

    server.rewrites_config(|world| world.without("storage").without("oauth2"));
    server.sends_signal("HUP");
    server.waits_for_log(1, RELOADED).await;
    assert_eq!(metric(&server, "countersign_config_reload_success").await, "1");
    let page = alice.opens(server.url("/admin")).await;
    assert!(page.all("#configuration-failure").is_empty(), "{}", page.text());
}

/// A connector that needs the file of a certificate.
fn company(ca: &Path) -> String {
    format!(
        "connectors:\n- type: saml\n  id: corp\n  name: Company\n  config:\n    ssoURL: https://idp.example.com/sso\n    \
         ca: {}\n    usernameAttr: name\n    emailAttr: email",
        ca.display()
    )
}

fn certificate() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["idp.example.com".to_owned()]).unwrap();
    params.self_signed(&key).unwrap().pem()
}

async fn offers_company(server: &Server) -> bool {
    let page = server.relying_party("example-app").auth_request("openid").url;
    server.browser().opens(page).await.text().contains("Company")
}

/// Kubernetes mounts a new Secret some seconds after it has updated the ConfigMap that names its file, or before.
#[tokio::test]
async fn a_file_that_appears_after_the_configuration_names_it_causes_a_reload() {
    let mut server = World::new().start().await;
    let ca = server.file("idp.pem");
    server.rewrites_config(|world| world.with(&company(&ca)));
    server.waits_for_log(1, FAILED).await;
    std::fs::write(&ca, certificate()).unwrap();
    server.waits_for_log(1, RELOADED).await;
    assert!(offers_company(&server).await);
}

#[tokio::test]
async fn an_unusable_file_that_a_refused_configuration_names_is_watched() {
    let mut server = World::new().start().await;
    let ca = server.file("idp.pem");
    std::fs::write(&ca, "not a certificate").unwrap();
    server.rewrites_config(|world| world.with(&company(&ca)));
    server.waits_for_log(1, FAILED).await;
    std::fs::write(&ca, certificate()).unwrap();
    server.waits_for_log(1, RELOADED).await;
    assert!(offers_company(&server).await);
}

/// A Secret and the ConfigMap that names its files change at different times.
#[tokio::test]
async fn a_file_that_the_configuration_no_longer_names_may_disappear_before() {
    let world = World::new();
    let (old, new) = (world.dir().join("old.pem"), world.dir().join("new.pem"));
    std::fs::write(&old, certificate()).unwrap();
    let mut server = world.with(&company(&old)).start().await;
    std::fs::rename(&old, &new).unwrap();
    server.waits_for_log(1, FAILED).await;
    assert!(offers_company(&server).await, "the configuration in use stays");
    server.rewrites_config(|world| world.without("connectors").with(&company(&new)));
    server.waits_for_log(1, RELOADED).await;
    assert!(offers_company(&server).await);
}

/// `countersign reload --plan`, then `reload`.
#[tokio::test]
async fn reload_plan_shows_what_a_reload_would_end() {
    let room = format!("logger:\n  level: debug\n  # {}", " ".repeat(500));
    let mut server = world().with(&room).start().await;
    let app = server.relying_party("example-app");
    let (alices, bobs) = (
        signs_in(&server, (ALICE, ALICE_PASSWORD)).await,
        signs_in(&server, (BOB, BOB_PASSWORD)).await,
    );
    let issuer = server.issuer();
    let env = [
        ("COUNTERSIGN_CLIENT_ID", "ops"),
        ("COUNTERSIGN_CLIENT_SECRET", "the-secret-of-ops-61616161"),
    ];
    server.rewrites_config_unnoticed(|world| {
        world
            .without("logger")
            .without_person(BOB)
            .with("limits:\n  connections: 99")
            .client(Client::new("grafana"))
    });
    let output = server.runs_command(&["reload", "--plan", "--url", &issuer], &env);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kinds = |key: &str| {
        let changes = plan["changes"].as_array().unwrap();
        changes.iter().find(|change| change["key"] == key).map(|c| c["kind"].clone())
    };
    assert_eq!(kinds("staticPasswords[bob@example.com]").unwrap(), "removed", "{plan}");
    assert_eq!(kinds("staticClients[grafana]").unwrap(), "added", "{plan}");
    assert_eq!(plan["needs_restart"], json!(["limits.connections"]), "{plan}");
    assert_eq!(plan["ending"][0]["sessions"], 1, "{plan}");
    assert_eq!(plan["ending"][0]["what"], "user bob@example.com", "{plan}");
    // A plan ends nothing.
    assert_eq!(server.count_in_log(RELOADED), 0);
    let bobs = app.refreshes(&bobs).await.refresh_token().to_owned();
    let output = server.runs_command(&["reload", "--url", &issuer, "--output", "table"], &env);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(app.refreshes(&alices).await.status, 200);
    assert_eq!(app.refreshes(&bobs).await.error(), "invalid_grant");
}

/// `countersign check FILE --against URL`: the file is on another machine than the server.
#[tokio::test]
async fn check_against_a_server_shows_what_a_file_would_change_there() {
    let world = world();
    let next = world.clone().without_person(BOB).client(Client::new("grafana"));
    let next = next.with("expiry:\n  idTokens: 7m\nlimits:\n  connections: 99");
    let server = world.start().await;
    let bobs = signs_in(&server, (BOB, BOB_PASSWORD)).await;
    let issuer = server.issuer();
    let env = [
        ("COUNTERSIGN_CLIENT_ID", "ops"),
        ("COUNTERSIGN_CLIENT_SECRET", "the-secret-of-ops-61616161"),
    ];
    let checks = |yaml: &str| {
        std::fs::write(server.file("next.yaml"), yaml).unwrap();
        let line = ["check", "next.yaml", "--against", &issuer, "--output", "json"];
        let output = server.runs_command(&line, &env);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), report)
    };
    let (status, report) = checks(&next.yaml());
    assert_eq!((status, &report["valid"]), (Some(0), &json!(true)), "{report}");
    let plan = &report["against"];
    let changes = plan["changes"].as_array().unwrap();
    for (key, kind) in [
        ("staticPasswords[bob@example.com]", "removed"),
        ("staticClients[grafana]", "added"),
        ("expiry.idTokens", "added"),
    ] {
        assert!(changes.contains(&json!({ "key": key, "kind": kind })), "{plan}");
    }
    assert_eq!(plan["needs_restart"], json!(["limits.connections"]), "{plan}");
    assert_eq!(plan["ending"][0]["what"], "user bob@example.com", "{plan}");
    assert_eq!(plan["applied"], false, "{plan}");
    // Nothing has changed; and a file of another server is named as such.
    let app = server.relying_party("example-app");
    assert_eq!(app.refreshes(&bobs).await.status, 200);
    let (status, report) = checks(&next.with("storage:\n  type: memory").yaml());
    assert_eq!(status, Some(78), "{report}");
    let problems = report["against"]["problems"].to_string();
    assert!(problems.contains("storage.type"), "{problems}");
}

/// Two versions that compute them differently would report every key as changed.
#[tokio::test]
async fn digests_of_another_format_are_refused_as_incomparable() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let hmacs = json!({ "issuer": "0123456789abcdef" });
    for format in [json!({ "values": hmacs }), json!({ "format": 2, "hmacs": hmacs })] {
        let mut body = json!({ "connectors": {}, "users": null, "clients": [] });
        body["is_grpc_encrypted"] = Value::Null;
        body.as_object_mut().unwrap().extend(format.as_object().unwrap().clone());
        let plan = ops.calls_api("POST", "/configuration/plan", &token, body).await;
        let problems = plan.json["problems"].to_string();
        assert!(problems.contains("cannot be compared"), "{}", plan.json);
        assert_eq!(plan.json["changes"], json!([]), "{}", plan.json);
    }
}

#[tokio::test]
async fn no_request_in_progress_fails_during_reloads() {
    let mut server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let mut tokens = app.redeems(&request, &auth_response).await;
    for round in 1..=8 {
        server.rewrites_config(|world| world.client(Client::new(&format!("app-{round}"))));
        server.sends_signal("HUP");
        while server.count_in_log(RELOADED) < round {
            tokens = app.refreshes(tokens.refresh_token()).await;
            assert_eq!(tokens.status, 200, "{}", tokens.page.body);
            assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
        }
    }
}

/// A server started in a terminal exits with the terminal and releases its port.
#[tokio::test]
async fn a_server_in_a_terminal_exits_when_the_terminal_closes() {
    let server = World::new().start().await;
    let mut world = server.into_world().await;
    world = world.with("logger:\n  level: info");
    let config = world.dir().join("by-hand.yaml");
    std::fs::write(&config, world.yaml()).unwrap();
    let program = format!("{} serve {}", env!("CARGO_BIN_EXE_countersign"), config.display());
    // util-linux' `script` runs a program in a terminal of its own, which closes when `script` is killed.
    // The tests may themselves run under `nohup`, whose ignored SIGHUP is inherited.
    let mut terminal = Command::new("env")
        .args(["--default-signal=HUP", "script", "-qfec", &program, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("env and script are part of every Debian");
    let live = format!("{}/healthz/live", world.telemetry());
    let is_there = async || bare_client().get(&live).send().await.is_ok();
    let started = Instant::now();
    while !is_there().await {
        assert!(started.elapsed() < WAIT_TIMEOUT, "it did not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    while is_there().await {
        assert!(started.elapsed() < WAIT_TIMEOUT * 2, "it stays behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
