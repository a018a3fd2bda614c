//! Data that real Dex servers wrote (tests/data/dex), as a world with Dex's own configuration file.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::{Client, Server, World};

/// `iss` of every recorded token.
pub const ISSUER: &str = "http://127.0.0.1:5556/dex";

pub struct DataSet {
    folder: PathBuf,
    pub tokens: Value,
}

impl DataSet {
    pub fn named(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/dex").join(name);
        let tokens = std::fs::read_to_string(folder.join("tokens.json")).unwrap();
        Self { folder, tokens: serde_json::from_str(&tokens).unwrap() }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Dex's configuration file, except for the storage, ports and logging, which each test has of its own. Second
    /// factors are not supported, so those sections and keys are left out.
    pub fn world(&self, mut world: World) -> World {
        let yaml = std::fs::read_to_string(self.file("config.yaml")).unwrap();
        let own = ["storage", "web", "grpc", "logger", "issuer", "sessions", "mfa"];
        let mut kept = format!("issuer: {ISSUER}\n");
        let mut keeps = false;
        for line in yaml.lines().filter(|line| !line.trim_start().starts_with('#')) {
            if line.starts_with(char::is_alphabetic) {
                keeps = !own.contains(&line.split(':').next().unwrap());
            }
            if keeps && !line.contains("mfaChain") {
                kept.push_str(&format!("{line}\n"));
            }
        }
        for client in list(&self.tokens["clients"]) {
            let mut known = Client::new(text(&client["id"]));
            let secret = text(&client["secret"]);
            known.secret = (!secret.is_empty()).then(|| secret.to_owned());
            known.redirect_uris = list(&client["redirect_uris"]).map(|u| text(u).into()).collect();
            world = world.client(known);
        }
        world.with(&kept)
    }

    pub fn grants(&self) -> impl Iterator<Item = &Value> {
        list(&self.tokens["grants"])
    }

    pub fn grant(&self, name: &str) -> &Value {
        self.grants().find(|grant| grant["name"] == name).unwrap()
    }

    /// The refresh token that a client holds at the takeover.
    pub fn current_token(&self, name: &str) -> &str {
        let tokens = list(&self.grant(name)["refresh_tokens"]);
        text(&tokens.last().unwrap()["token"])
    }
}

/// Imports while the server is stopped, as the documentation says, and starts it again.
pub async fn imported(world: World, from: &str) -> Server {
    let mut server = world.start().await;
    server.stop().await;
    let done =
        server.runs_command(&["import", "dex", "--from", from, "--config", "CONFIG", "--yes"], &[]);
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{printed}\n{}", String::from_utf8_lossy(&done.stderr));
    server.assert_no_secret_in("the report", &printed);
    server.restart().await;
    server
}

pub fn list(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
