//! The root key, under which everything secret in the database is sealed: a wrong one or none does
//! not start, and never makes new keys (design.md 3, threat 73).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::scenarios::tokens::signing_keys::{published, token};
use crate::world::{World, verified};

const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

const ONE_KEY: &str = "rootKey: the-root-key-of-january-0123456789abcdef";
const OTHER_KEY: &str = "rootKey: the-root-key-of-february-123456789abcdef";
const BOTH_KEYS: &str = "rootKey:\n- the-root-key-of-february-123456789abcdef\n\
                         - the-root-key-of-january-0123456789abcdef";

#[tokio::test]
async fn a_wrong_root_key_does_not_start_and_makes_no_new_keys() {
    let world = World::new();
    let january = world.clone().with(ONE_KEY);
    let mut server = january.clone().start().await;
    let known = published(&server.relying_party("example-app")).await;
    server.stop().await;

    let said = world.clone().with(OTHER_KEY).refuses_to_start().await;
    assert!(said.contains("signing-key") && said.contains("cannot be opened"), "{said}");
    assert!(!said.contains("february") && !said.contains("january"), "{said}");
    // Nor without one, which would look into a file it has to make first.
    let said = world.clone().refuses_to_start().await;
    assert!(said.contains("root key"), "{said}");

    let mut server = january.start().await;
    assert_eq!(published(&server.relying_party("example-app")).await, known);
    server.stop().await;
    // The new one in front of the old one is how it is changed.
    let server = world.with(BOTH_KEYS).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    assert_eq!(published(&app).await, known);
    verified(&token(&mut alice, &app).await, &app.gets("/keys").await.json);
}

#[tokio::test]
async fn a_missing_root_key_beside_a_used_database_does_not_start_and_is_not_made_anew() {
    let world = World::new();
    let mut server = world.clone().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let before = token(&mut alice, &app).await;
    server.stop().await;
    let file = world.dir().join("countersign.db.rootkey");
    let aside = world.dir().join("aside");
    std::fs::rename(&file, &aside).unwrap();

    let said = world.clone().refuses_to_start().await;
    assert!(said.contains("countersign.db.rootkey") && said.contains("missing"), "{said}");
    assert!(!file.exists(), "none was made in its place");

    std::fs::rename(&aside, &file).unwrap();
    let server = world.start().await;
    let app = server.relying_party("example-app");
    verified(&before, &app.gets("/keys").await.json);
}

/// Threat 73: it dies after it has made its root key, and before it has made the keys it seals.
#[tokio::test]
async fn a_server_killed_while_it_makes_its_first_keys_starts_with_what_is_there() {
    let world = World::new();
    let (config, root_key) =
        (world.dir().join("first.yaml"), world.dir().join("countersign.db.rootkey"));
    std::fs::write(&config, world.yaml()).unwrap();
    let mut first = Command::new(env!("CARGO_BIN_EXE_countersign"));
    first.arg("serve").arg(&config).env_clear().stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = first.spawn().unwrap();
    let begun = Instant::now();
    while !root_key.exists() {
        assert!(
            begun.elapsed() < WAIT_TIMEOUT && first.try_wait().unwrap().is_none(),
            "no root key"
        );
        std::thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let made = std::fs::read(&root_key).unwrap();

    let server = world.clone().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    assert_eq!(published(&app).await.len(), 1);
    verified(&token(&mut alice, &app).await, &app.gets("/keys").await.json);
    assert_eq!(std::fs::read(&root_key).unwrap(), made, "the root key is the first one");
}
