//! The shape of the house: licences, duplicates, owners, arrows, file lengths.
//!
//! Why not cargo-deny: it takes minutes to build on every fresh machine, and its advisory database
//! cannot be fetched where these tests run. What is left of it is the hundred lines below, over
//! `cargo metadata`. Only what is built for this platform is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// No licence here asks more of a user than to be named; MPL-2.0 only if its files are changed.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Crates that are in the program twice, and why that is borne.
const TWICE: [(&str, &str); 12] = [
    ("base64", "bcrypt is ahead of everybody else"),
    ("block-buffer", SQLX_SHA2),
    ("cpufeatures", SQLX_SHA2),
    ("crypto-common", SQLX_SHA2),
    ("digest", SQLX_SHA2),
    ("getrandom", "octocrab is still on 0.2"),
    ("hashbrown", "sqlx-core is one behind indexmap"),
    ("hmac", "octocrab is still on 0.12, the hkdf of sqlx-postgres on 0.13"),
    ("rustc-hash", "rowan, inside yaml-edit, is one behind"),
    ("sha2", SQLX_SHA2),
    ("syn", "runs while compiling only; zeroize, tracing and openssl have not moved to 3"),
    ("synstructure", "runs while compiling only, with syn"),
];
const SQLX_SHA2: &str = "sqlx-core 0.9 is still on sha2 0.10, rsa and argon2 on 0.11";

/// A library and the one room that sees it.
const OWNERS: [(&str, &str); 11] = [
    ("axum", "countersign-server"),
    ("askama", "countersign-server"),
    ("sqlx", "countersign-store"),
    ("josekit", "countersign-jose"),
    ("rsa", "countersign-jose"),
    ("ldap3", "countersign-connectors"),
    ("argon2", "countersign-connectors"),
    ("octocrab", "countersign-connectors"),
    ("keyring", "countersign-kubectl"),
    ("webbrowser", "countersign-kubectl"),
    ("yaml-edit", "countersign-kubectl"),
];

/// Whom each room may know: the arrows of the design, and what they pass on the way.
const ARROWS: [(&str, &[&str]); 10] = [
    // It knows the program from outside only.
    ("countersign-bench", &[]),
    ("countersign-core", &[]),
    // The engineer's program knows the protocol, not the server.
    ("countersign-kubectl", &["countersign-core"]),
    ("countersign-jose", &["countersign-core"]),
    ("countersign-store", &["countersign-core"]),
    ("countersign-config", &["countersign-core"]),
    ("countersign-connectors", &["countersign-config", "countersign-core", "countersign-jose"]),
    ("countersign-issuer", &["countersign-core", "countersign-jose", "countersign-store"]),
    ("countersign-server", &["countersign-core", "countersign-issuer"]),
    (
        "countersign",
        &[
            "countersign-config",
            "countersign-connectors",
            "countersign-core",
            "countersign-issuer",
            "countersign-jose",
            "countersign-server",
            "countersign-store",
        ],
    ),
];

const MAX_LINES: usize = 400;

#[test]
fn every_licence_is_one_we_may_ship() {
    let metadata = metadata();
    let is_fine = |text: &str| {
        // `A OR B` needs one of them, `A AND B` all; the old slash means OR.
        let text = text.replace('/', " OR ").replace(['(', ')'], "");
        text.split(" OR ").any(|way| way.split(" AND ").all(|l| LICENCES.contains(&l.trim())))
    };
    let strange: Vec<_> = list(&metadata["packages"])
        .filter(|package| !is_fine(package["license"].as_str().unwrap_or_default()))
        .map(|package| {
            format!("{} {}: {}", package["name"], package["version"], package["license"])
        })
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn nothing_is_in_the_program_twice_without_a_reason() {
    let programs = ["--package=countersign", "--package=countersign-kubectl"];
    let tree =
        cargo(&[&["tree", "--locked", "--edges=normal", "--prefix=none"], &programs[..]].concat());
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    versions.retain(|_, all| all.len() > 1);
    for (name, reason) in TWICE {
        let is_twice = versions.remove(name).is_some();
        assert!(is_twice, "{name} is there once now; take it out of TWICE ({reason})");
    }
    assert!(versions.is_empty(), "new duplicates; say in TWICE why they stay: {versions:#?}");
}

#[test]
fn every_library_has_one_owner() {
    for (room, dependencies) in rooms() {
        for (library, owner) in OWNERS {
            assert!(
                room == owner || !dependencies.contains(library),
                "{room} sees {library}, which belongs to {owner}"
            );
        }
    }
}

#[test]
fn no_arrow_runs_back() {
    for (room, dependencies) in rooms() {
        let arrows = ARROWS.iter().find(|(name, _)| *name == room);
        let (_, may_know) = arrows.unwrap_or_else(|| panic!("a new room, {room}: draw its arrows"));
        let knows = dependencies.iter().filter(|name| name.starts_with("countersign"));
        let strange: Vec<_> = knows.filter(|name| !may_know.contains(&name.as_str())).collect();
        assert!(strange.is_empty(), "{room} knows {strange:?}");
    }
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let mut long = Vec::new();
    let mut folders = vec![root().join("crates"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                if lines > MAX_LINES {
                    long.push(format!("{} has {lines} lines", path.display()));
                }
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// Each room and the names it depends on, dependencies of its tests left out.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let members: Vec<_> = list(&metadata["workspace_members"]).collect();
    list(&metadata["packages"])
        .filter(|package| members.contains(&&package["id"]))
        .map(|package| {
            let known = list(&package["dependencies"])
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| text(&dependency["name"]).to_owned());
            (text(&package["name"]).to_owned(), known.collect())
        })
        .collect()
}

fn metadata() -> Value {
    let platform = format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH);
    let text = cargo(&["metadata", "--format-version=1", "--locked", &platform]);
    serde_json::from_str(&text).unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let answer = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8(answer.stdout).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
