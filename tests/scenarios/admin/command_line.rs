//! The command line: with the configuration file on the server's machine, or through the API.

use std::process::Output;

use serde_json::Value;

use crate::scenarios::admin::api::ADMINS;
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, Server, World};

pub fn world() -> World {
    World::new().client(Client::new("ops")).with(ADMINS)
}

pub async fn signs_in(server: &Server, who: (&str, &str)) -> String {
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid groups offline_access");
    let auth_response = server.browser().logs_in(&request, who.0, who.1).await;
    app.redeems(&request, &auth_response).await.refresh_token().to_owned()
}

fn json(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn sessions_are_listed_and_ended_on_the_servers_machine() {
    let server = world().start().await;
    let app = server.relying_party("example-app");
    let (alices, bobs) = (
        signs_in(&server, (ALICE, ALICE_PASSWORD)).await,
        signs_in(&server, (BOB, BOB_PASSWORD)).await,
    );
    let list = ["sessions", "list", "--config", "CONFIG", "--user", BOB];
    let found = json(&server.runs_command(&list, &[]));
    assert_eq!(found["sessions"].as_array().unwrap().len(), 1);
    let id = found["sessions"][0]["id"].as_str().unwrap();
    let table = [&list[..], &["--output", "table"]].concat();
    let shown = text(&server.runs_command(&table, &[]));
    assert!(shown.starts_with("SESSION") && shown.contains(id) && shown.contains("example-app"));

    let env = [("USER", "carol")];
    let ended = json(&server.runs_command(&["sessions", "end", id, "--config", "CONFIG"], &env));
    assert_eq!(ended[0]["grants"], 1);
    assert_eq!(app.refreshes(&bobs).await.error(), "invalid_grant");
    assert_eq!(app.refreshes(&alices).await.status, 200);
    let events = ["events", "--config", "CONFIG", "--session", id, "--kind", "session_ended"];
    assert_eq!(json(&server.runs_command(&events, &[]))["events"][0]["actor"], "machine:carol");
}

/// One of the named sessions does not exist.
#[tokio::test]
async fn an_unknown_session_id_fails_and_the_others_are_ended_and_reported() {
    let server = world().start().await;
    let mut tokens = Vec::new();
    for who in [(ALICE, ALICE_PASSWORD), (BOB, BOB_PASSWORD)] {
        tokens.push(signs_in(&server, who).await);
    }
    let found = json(&server.runs_command(&["sessions", "list", "--config", "CONFIG"], &[]));
    let id = |n: usize| found["sessions"][n]["id"].as_str().unwrap().to_owned();
    let (first, last) = (id(0), id(1));
    let end = ["sessions", "end", &first, "nobody", &last, "--config", "CONFIG"];
    let output = server.runs_command(&end, &[]);
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("nobody") && !stderr.contains(&first), "{stderr}");
    let ended: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        ended[0]["tokens_until"].is_string() && ended[1]["tokens_until"].is_string(),
        "{ended}"
    );
    let app = server.relying_party("example-app");
    for token in &tokens {
        assert_eq!(app.refreshes(token).await.error(), "invalid_grant");
    }
}

/// The command of the restore guide: `sessions end --before NOW`.
#[tokio::test]
async fn all_sessions_can_be_ended_while_the_server_is_stopped() {
    let mut server = world().start().await;
    let refresh = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    server.stop().await;
    let end = ["sessions", "end", "--config", "CONFIG", "--before", "NOW"];
    let unconfirmed = server.runs_command(&end, &[]);
    assert!(!unconfirmed.status.success());
    let stderr = String::from_utf8_lossy(&unconfirmed.stderr);
    assert!(stderr.contains("sessions") && stderr.contains("--yes"), "{stderr}");
    let ended = json(&server.runs_command(&[&end[..], &["--yes"]].concat(), &[]));
    assert_eq!(ended["sessions"], 1);
    server.restart().await;
    let app = server.relying_party("example-app");
    assert_eq!(app.refreshes(&refresh).await.error(), "invalid_grant");
}

#[tokio::test]
async fn the_same_commands_work_remotely_through_the_api() {
    let server = world().start().await;
    let app = server.relying_party("example-app");
    let refresh = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let secret = server.relying_party("ops").secret.unwrap();
    let env = [("COUNTERSIGN_CLIENT_ID", "ops"), ("COUNTERSIGN_CLIENT_SECRET", secret.as_str())];
    let issuer = server.issuer();
    let at = ["--url", issuer.as_str()];
    let run = |command: &[&str]| server.runs_command(&[command, &at].concat(), &env);

    assert_eq!(json(&run(&["keys", "list"]))[0]["state"], "signing");
    assert_eq!(json(&run(&["keys", "rotate"]))["made"], true);
    let explained = json(&run(&["explain", ALICE, "--client", "example-app"]));
    assert_eq!(explained["people"][0]["groups"][1], "developers");
    assert_eq!(explained["people"][0]["client"]["may_use_connector"], true);
    let had = json(&run(&["events", "--had-group", "developers"]));
    assert_eq!(had["memberships"][0]["user_id"], "id-of-alice");
    let shown = json(&run(&["sessions", "list", "--group", "developers"]));
    let id = shown["sessions"][0]["id"].as_str().unwrap();
    assert!(text(&run(&["sessions", "show", id, "--output", "table"])).contains("signed_in"));
    let ended = json(&run(&["sessions", "end", "--group", "developers", "--yes"]));
    assert_eq!(ended["sessions"], 1);
    assert_eq!(app.refreshes(&refresh).await.error(), "invalid_grant");

    // The address may come from the environment, too.
    let env = [&env[..], &[("COUNTERSIGN_URL", issuer.as_str())]].concat();
    assert_eq!(json(&server.runs_command(&["keys", "list"], &env)).as_array().unwrap().len(), 2);

    let wrong = [("COUNTERSIGN_CLIENT_ID", "ops"), ("COUNTERSIGN_CLIENT_SECRET", "wrong")];
    let refused = server.runs_command(&[&["keys", "list"], &at[..]].concat(), &wrong);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("invalid_client"));
}

/// Threat 132 included: error messages are one line of plain text.
#[tokio::test]
async fn invalid_arguments_are_explained_on_standard_error() {
    let server = world().start().await;
    for (arguments, expected) in [
        (vec!["sessions", "list"], "COUNTERSIGN_CONFIG"),
        (
            vec!["sessions", "list", "--config", "CONFIG", "--since", "yesterday"],
            "'--since <INSTANT>'",
        ),
        (vec!["sessions", "list", "--config", "CONFIG", "--page", "x"], "--page: "),
        (vec!["sessions", "show", "nobody", "--config", "CONFIG"], "there is no session"),
        (vec!["sessions", "end", "--config", "CONFIG", "--yes"], "--everything"),
        (vec!["events", "--config", "CONFIG", "--kind", "odd"], "possible values: signed_in"),
        (
            vec!["explain", "alice", "--client", "odd", "--config", "CONFIG"],
            "--client: no client odd",
        ),
        (vec!["keys", "list", "--url", "http://127.0.0.1:1/dex"], "COUNTERSIGN_CLIENT_ID"),
    ] {
        let output = server.runs_command(&arguments, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}
