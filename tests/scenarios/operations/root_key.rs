//! The root key, under which secrets in the database are sealed: with a wrong or missing one the server does
//! not start and creates no new keys (threat 73).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::scenarios::tokens::signing_keys::{published, token};
use crate::world::{DexClient, Need, World, verified};

const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

const ONE_KEY: &str = "rootKey: the-root-key-of-january-0123456789abcdef";
const OTHER_KEY: &str = "rootKey: the-root-key-of-february-123456789abcdef";
const BOTH_KEYS: &str = "rootKey:\n- the-root-key-of-february-123456789abcdef\n\
                         - the-root-key-of-january-0123456789abcdef";

#[tokio::test]
async fn a_wrong_root_key_is_refused_and_no_new_keys_are_created() {
    let world = World::new();
    let january = world.clone().with(ONE_KEY);
    let mut server = january.clone().start().await;
    let known = published(&server.relying_party("example-app")).await;
    server.stop().await;

    let output = world.clone().with(OTHER_KEY).refuses_to_start().await;
    assert!(output.contains("signing-key") && output.contains("cannot be opened"), "{output}");
    assert!(!output.contains("february") && !output.contains("january"), "{output}");
    // The same without a root key, where the default key file is missing.
    let output = world.clone().refuses_to_start().await;
    assert!(output.contains("root key"), "{output}");

    let mut server = january.start().await;
    assert_eq!(published(&server.relying_party("example-app")).await, known);
    server.stop().await;
    // A new key in front of the old one is how it is rotated.
    let server = world.with(BOTH_KEYS).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    assert_eq!(published(&app).await, known);
    verified(&token(&mut alice, &app).await, &app.gets("/keys").await.json);
}

/// Clients of the database are sealed anew too, so that the old key can be removed.
#[tokio::test]
async fn grpc_clients_of_the_database_survive_the_rotation_of_the_root_key() {
    if Need::Grpc.is_missing() {
        return;
    }
    let world = World::new().with_grpc();
    let mut server = world.clone().with(ONE_KEY).start().await;
    let client = json!({"id": "reports", "secret": "the-secret-of-reports-61616161"});
    DexClient::of(&server).calls("CreateClient", json!({ "client": client }));
    server.stop().await;
    world.clone().with(BOTH_KEYS).start().await.stop().await;
    let server = world.with(OTHER_KEY).start().await;
    let stored = DexClient::of(&server).calls("GetClient", json!({"id": "reports"}));
    assert_eq!(stored["client"]["secret"], client["secret"]);
}

#[tokio::test]
async fn a_missing_root_key_file_of_a_used_database_is_refused_and_not_created() {
    let world = World::new();
    let mut server = world.clone().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let before = token(&mut alice, &app).await;
    server.stop().await;
    let file = world.dir().join("countersign.db.rootkey");
    let aside = world.dir().join("aside");
    std::fs::rename(&file, &aside).unwrap();

    let output = world.clone().refuses_to_start().await;
    assert!(output.contains("countersign.db.rootkey") && output.contains("missing"), "{output}");
    assert!(!file.exists(), "no new file was created");

    std::fs::rename(&aside, &file).unwrap();
    let server = world.start().await;
    let app = server.relying_party("example-app");
    verified(&before, &app.gets("/keys").await.json);
}

/// Threat 73: killed after creating the root key and before creating the keys sealed by it.
#[tokio::test]
async fn a_server_killed_while_creating_its_first_keys_starts_again() {
    let world = World::new();
    let (config, root_key) =
        (world.dir().join("first.yaml"), world.dir().join("countersign.db.rootkey"));
    std::fs::write(&config, world.yaml()).unwrap();
    let mut first = Command::new(env!("CARGO_BIN_EXE_countersign"));
    first.arg("serve").arg(&config).env_clear().stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = first.spawn().unwrap();
    let started = Instant::now();
    while !root_key.exists() {
        assert!(
            started.elapsed() < WAIT_TIMEOUT && first.try_wait().unwrap().is_none(),
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
