//! The commands on a terminal: column widths, colours, empty lists, confirmation.

use std::process::Output;

use serde_json::Value;

use super::command_line::{signs_in, world};
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Person, Server};

const CONFIG: (&str, &str) = ("COUNTERSIGN_CONFIG", "config.yaml");

/// Removes colours and carriage returns.
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap().replace('\r', "");
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => assert!(characters.any(|end| end == 'm'), "{text:?}"),
            other => plain.push(other),
        }
    }
    plain.lines().map(str::to_owned).collect()
}

/// The sessions of this user in this state.
fn sessions(server: &Server, user: &str, state: &str) -> Vec<Value> {
    let list = ["sessions", "list", "--config", "CONFIG", "--user", user, "--state", state];
    let output = server.runs_command(&list, &[]);
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    page["sessions"].as_array().unwrap().clone()
}

fn sessions_of(server: &Server, user: &str) -> usize {
    sessions(server, user, "live").len()
}

/// Issue 9: tables fit 80 and 120 columns; `--wide` leaves out nothing.
#[tokio::test]
async fn tables_fit_the_width_of_the_terminal() {
    let long = "a.person.with.a.very.long.name.indeed@engineering.example.com";
    let server = world().person(Person::new(long, BOB_PASSWORD)).start().await;
    for who in [(ALICE, ALICE_PASSWORD), (BOB, BOB_PASSWORD), (long, BOB_PASSWORD)] {
        signs_in(&server, who).await;
    }
    let reason =
        "Laptop stolen on the train from Hamburg to Munich, police report is in ticket 4711";
    let blocks = ["users", "block", "id-of-bob", "--connector", "local", "--reason", reason];
    let blocks = [&blocks[..], &["--keep-sessions", "--yes", "--config", "CONFIG"]].concat();
    assert!(server.runs_command(&blocks, &[]).status.success());
    let show = sessions(&server, long, "live")[0]["id"].as_str().unwrap().to_owned();
    let show = format!("countersign sessions show {show}");
    for command in [
        "countersign sessions list",
        "countersign users list",
        &show,
        "countersign sessions list --state all",
        "countersign keys list",
        "countersign events",
        "countersign events --had-group developers",
        "countersign explain alice@example.com --client example-app",
        "countersign sessions end --everything --yes",
        "countersign sessions end --help",
        "countersign events --help",
    ] {
        for columns in [80, 120] {
            let shown = lines(&server.runs_on_terminal(columns, command, &[CONFIG], ""));
            assert!(
                shown.len() > 1 || command.contains("end --everything"),
                "{command}: {shown:?}"
            );
            let too_long = shown.iter().find(|line| line.chars().count() > columns.into());
            assert_eq!(too_long, None, "{command} at {columns} columns");
        }
    }
    let wide = lines(&server.runs_on_terminal(80, "countersign events --wide", &[CONFIG], ""));
    let header = wide.first().unwrap();
    assert!(header.contains("SESSION") && header.contains("ADDRESS"), "{header}");
    let id = "id-of-a.person.with.a.very.long.name.indeed";
    assert!(wide.iter().any(|line| line.contains(id)), "{wide:?}");
}

/// Issue 9: names, not ids.
#[tokio::test]
async fn an_ended_session_is_shown_with_the_name_of_who_ended_it() {
    let server = world().start().await;
    let mut alice = server.browser();
    alice.opens(server.url("/sign-in")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let form = alice.opens(server.url("/logout")).await.form_with("csrf").unwrap();
    alice.submits(form).await;
    let ended = sessions(&server, ALICE, "ended");
    let show = format!("countersign sessions show {}", ended[0]["id"].as_str().unwrap());
    let shown = lines(&server.runs_on_terminal(80, &show, &[CONFIG], "")).join("\n");
    assert!(shown.contains(" by alice: "), "{shown}");
    assert!(!shown.contains("user:id-of-alice"), "{shown}");
}

#[tokio::test]
async fn times_are_relative_on_a_terminal_and_no_color_is_respected() {
    let server = world().start().await;
    signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let list = |env: &[(&str, &str)]| {
        let env = [&[CONFIG], env].concat();
        let shown = server.runs_on_terminal(80, "countersign sessions list", &env, "");
        String::from_utf8(shown.stdout).unwrap()
    };
    let coloured = list(&[]);
    assert!(coloured.contains(" s ago") && coloured.contains("\u{1b}[1mSESSION"), "{coloured:?}");
    assert!(!coloured.contains("CONFIG"), "{coloured:?}");
    assert!(!list(&[("NO_COLOR", "1")]).contains('\u{1b}'));
    assert!(list(&[("NO_COLOR", "")]).contains('\u{1b}'), "an empty NO_COLOR counts as unset");
    let piped = server.runs_script("countersign sessions list --output table | cat", &[CONFIG]);
    let piped = String::from_utf8(piped.stdout).unwrap();
    assert!(!piped.contains('\u{1b}') && !piped.contains(" ago") && piped.contains('Z'), "{piped}");
}

#[tokio::test]
async fn an_empty_list_prints_a_message() {
    let server = world().start().await;
    for (command, expected) in [
        ("countersign sessions list", "There are no live sessions."),
        ("countersign sessions list --state ended", "There are no ended sessions."),
        ("countersign sessions list --user nobody", "No live session matches."),
        ("countersign events --kind session_ended", "No event matches."),
        ("countersign events --had-group x", "Nobody had the group \"x\" then."),
        ("countersign sessions end --user nobody", "Nothing was ended."),
    ] {
        let shown = lines(&server.runs_on_terminal(80, command, &[CONFIG], "")).join("\n");
        assert!(shown.contains(expected), "{command}: {shown}");
    }
}

/// Only `yes` confirms.
#[tokio::test]
async fn ending_many_sessions_requires_confirmation_on_a_terminal() {
    let server = world().start().await;
    signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    signs_in(&server, (BOB, BOB_PASSWORD)).await;
    let end = format!("countersign sessions end --user {ALICE}");
    for response in ["no\n", "\n", "y\n", ""] {
        let refused = server.runs_on_terminal(80, &end, &[CONFIG], response);
        let shown = lines(&refused).join("\n");
        assert!(!refused.status.success(), "{response:?}: {shown}");
        assert!(shown.contains("End them? Type yes: "), "{response:?}: {shown}");
        assert!(shown.contains("nothing was ended"), "{response:?}: {shown}");
        assert_eq!(sessions_of(&server, ALICE), 1, "{response:?}");
    }
    let ended = server.runs_on_terminal(80, &end, &[CONFIG], "yes\n");
    let shown = lines(&ended).join("\n");
    assert!(ended.status.success(), "{shown}");
    assert!(shown.contains("sessions          1\n"), "{shown}");
    assert!(shown.contains("Ended 1 session and 1 grant."), "{shown}");
    assert_eq!((sessions_of(&server, ALICE), sessions_of(&server, BOB)), (0, 1));
}
