//! Configuration errors (threats L 130 and F 80): all are reported at once with their places, before anything
//! is opened.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use reqwest::Url;

use crate::world::{ALICE, World};

/// `EX_CONFIG` of sysexits.
const BAD_CONFIGURATION: i32 = 78;

/// Runs the program with the world's file or another, until it exits.
fn run(world: &World, subcommand: &str, yaml: &str) -> Output {
    let file = world.dir().join("config.yaml");
    std::fs::write(&file, yaml).unwrap();
    run_with(world.dir(), subcommand, &file)
}

fn run_with(folder: &Path, subcommand: &str, file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args([subcommand.as_ref(), file.as_os_str()]).current_dir(folder).env_clear();
    command.output().unwrap()
}

fn output_text(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    streams.concat()
}

/// L 130.
#[tokio::test]
async fn all_errors_are_reported_at_once_and_nothing_is_opened() {
    let world = World::new()
        .with("expiry:\n  idTokens: soon\n  codes: 0s")
        .with("oauth2:\n  skipAprovalScreen: true\n  alwaysShowLoginScreen: maybe")
        .with("logger:\n  level: [loud]")
        .with("staticClients:\n- id: web\n  name: Web\n- id: web\n  name: Twin\n  public: true")
        .with("frontend:\n  theme: pink")
        .with("made-up: 1");
    for subcommand in ["serve", "check"] {
        let output = run(&world, subcommand, &world.yaml());
        let text = output_text(&output);
        assert_eq!(output.status.code(), Some(BAD_CONFIGURATION), "{subcommand}: {text}");
        for place in [
            "expiry.idTokens",
            "expiry.codes",
            "oauth2.skipAprovalScreen",
            "oauth2.alwaysShowLoginScreen",
            "logger.level",
            "staticClients[0].secret",
            "staticClients[1].id",
            "frontend.theme",
            "made-up",
        ] {
            let line = text.lines().find(|line| line.contains(place));
            let line =
                line.unwrap_or_else(|| panic!("{subcommand} does not name {place}:\n{text}"));
            let numbers: Vec<_> = line.split(':').skip(1).take(2).collect();
            assert!(numbers.iter().all(|n| n.parse::<u32>().is_ok()), "file:line:column: {line}");
        }
        assert!(text.contains("skipApprovalScreen"), "the most similar key is suggested: {text}");
        assert!(!world.dir().join("countersign.db").exists(), "{subcommand} made a database");
    }
    for origin in [world.origin(), world.telemetry()] {
        let address = Url::parse(&origin).unwrap().socket_addrs(|| None).unwrap()[0];
        assert!(TcpStream::connect(address).is_err(), "somebody listens at {address}");
    }
}

/// L 130: no start, no hang, no large memory use.
#[tokio::test]
async fn a_malformed_file_is_refused_with_the_line() {
    let world = World::new();
    let valid = world.yaml();
    let bomb: String =
        (1..30).map(|n| format!("a{n}: &a{n} [*a{p}, *a{p}]\n", p = n - 1)).collect();
    for (what, yaml, names) in [
        ("a key twice", format!("{valid}issuer: http://127.0.0.1:5556/dex\n"), "issuer"),
        ("a tab", format!("{valid}oauth2:\n\tskipApprovalScreen: true\n"), ":"),
        ("an open quote", format!("{valid}frontend:\n  issuer: \"never closed\n"), ":"),
        ("anchors on anchors", format!("{valid}a0: &a0 [1, 2]\n{bomb}"), ":"),
        ("another type", valid.replace("staticClients:", "staticClients: 7\nx:"), "staticClients"),
        ("a list", "- a\n- b\n".to_owned(), ":"),
        ("nothing", String::new(), "a map"),
        ("two documents", format!("{valid}---\nissuer: x\n"), ":"),
        ("a NUL", format!("{valid}frontend:\n  issuer: a\0b\n"), ":"),
    ] {
        let output = run(&world, "serve", &yaml);
        let text = output_text(&output);
        assert_eq!(output.status.code(), Some(BAD_CONFIGURATION), "{what}: {text}");
        assert!(text.contains("config.yaml:") && text.contains(names), "{what}: {text}");
        assert!(text.len() < 20_000, "{what}: {} bytes of errors", text.len());
    }
    let output = run_with(world.dir(), "serve", &world.dir().join("not-there.yaml"));
    assert_eq!(output.status.code(), Some(BAD_CONFIGURATION));
    assert!(output_text(&output).contains("not-there.yaml"), "{}", output_text(&output));
}

/// F 80: the cost of password hashes is limited by us.
#[tokio::test]
async fn a_password_hash_with_too_low_or_too_high_a_cost_is_refused() {
    let world = World::new();
    let salt = "c29tZXNhbHRzb21lc2FsdA";
    let sum = "RdescudvJCsgt3ub+b+dWRWJTmaaJObGv5iuiGC4Pgs";
    let bcrypt = bcrypt::hash("a-password-of-alice", 10).unwrap();
    for hash in [
        bcrypt.replace("$10$", "$04$"),
        bcrypt.replace("$10$", "$31$"),
        bcrypt[..40].to_owned(),
        format!("$argon2id$v=19$m=4194304,t=2,p=1${salt}${sum}"),
        format!("$argon2id$v=19$m=19456,t=1000000,p=1${salt}${sum}"),
        format!("$argon2i$v=19$m=19456,t=2,p=1${salt}${sum}"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$"),
        "$1$saltsalt$2vnaRpHa6Jxjz5n83ok8Z0".to_owned(),
        "a-password-of-alice".to_owned(),
    ] {
        let people = format!(
            "enablePasswordDB: true\nstaticPasswords:\n- email: {ALICE}\n  userID: a\n  username: a\n  \
             hash: '{hash}'"
        );
        let output = run(&world, "serve", &world.clone().with(&people).yaml());
        let text = output_text(&output);
        assert_eq!(output.status.code(), Some(BAD_CONFIGURATION), "{hash}: {text}");
        assert!(text.contains("staticPasswords[0].hash"), "{hash}: {text}");
        assert!(!text.contains(&hash) && !text.contains(sum), "it is shown: {text}");
    }
}

/// The example file starts unchanged, and `check` summarizes it.
#[tokio::test]
async fn the_example_configuration_is_valid() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config.example.yaml");
    let world = World::new();
    let output = run_with(world.dir(), "check", &example);
    let text = output_text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("example-app") && text.contains("http://127.0.0.1:5556/dex"), "{text}");
    assert!(!text.contains("example-app-secret") && !text.contains("$argon2id$"), "{text}");
    assert_eq!(std::fs::read_dir(world.dir()).unwrap().count(), 0, "check makes nothing");
}
