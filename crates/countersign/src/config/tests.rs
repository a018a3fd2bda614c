//! Reads whole files and compares the exact messages.

use std::path::Path;

use countersign_config::Environment;

use super::{Addresses, Config, Loaded, read_blocks};

mod admin;
mod blocks;
mod clients;
mod dex_corpus;
mod dex_storage;
mod environment;
mod example;
mod files;
mod frontend_dir;
mod grpc;
mod kubernetes;
mod messages;
mod values;
mod vault;
mod warnings;

/// The smallest valid file, without its first line.
const REST: &str = "storage: {type: memory}
web: {http: 127.0.0.1:5556}
expiry: {idTokens: 10m}
connectors: [{type: mockCallback, id: mock, name: Mock}]
";

fn no_environment(_: &str) -> Option<String> {
    None
}

fn load(text: &str) -> Loaded {
    read(text, Path::new("config.yaml"), &no_environment, false)
}

fn read(text: &str, file: &Path, env: Environment<'_>, lenient: bool) -> Loaded {
    countersign_config::read(text, file, env, lenient, |root| {
        read_blocks(root, env, &Addresses::default())
    })
}

/// A file of `issuer`, the block, and the lines of [`REST`] whose keys the block does not have.
fn with(block: &str) -> String {
    let is_configured = |line: &str| {
        let key = line.split(':').next().unwrap_or_default();
        block.lines().any(|own| own.split(':').next() == Some(key))
    };
    let mut text = "issuer: https://login.example.com/dex\n".to_owned();
    text.push_str(block);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for line in REST.lines().filter(|line| !is_configured(line)) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The problems of [`with`] this block, without the file name.
fn problems(block: &str) -> Vec<String> {
    lines(&load(&with(block)))
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.to_string().lines().map(|line| line.replace("config.yaml:", "")).collect()
}

/// The configuration of [`with`] this block, which must have no errors.
fn config(block: &str) -> Config {
    let loaded = load(&with(block));
    let report = loaded.to_string();
    loaded.config.unwrap_or_else(|| panic!("{report}"))
}
