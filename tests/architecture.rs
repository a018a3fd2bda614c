//! The rules of the workspace that the compiler does not check: licences, duplicate dependencies, and which crate may
//! use which.
//!
//! Licences and duplicates are checked here instead of by cargo-deny, which takes minutes to build on a
//! fresh machine and whose advisory database cannot be fetched where these tests run. Only dependencies
//! for this platform are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Licences that require attribution only; MPL-2.0 also requires that changes to its own files are published.
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

/// Crates of which the program contains two versions, each with the reason.
const TWICE: [(&str, &str); 16] = [
    ("base64", "bcrypt is ahead of everybody else"),
    ("bitflags", "nix, inside pprof, is still on 1"),
    ("block-buffer", SQLX_SHA2),
    ("cpufeatures", SQLX_SHA2),
    ("crypto-common", SQLX_SHA2),
    ("digest", SQLX_SHA2),
    ("getrandom", "octocrab is still on 0.2"),
    ("hashbrown", "sqlx-core is one behind indexmap"),
    ("hmac", "octocrab is still on 0.12, the hkdf of sqlx-postgres on 0.13"),
    ("rand", OPENTELEMETRY_RAND),
    ("rand_core", OPENTELEMETRY_RAND),
    ("rustc-hash", "rowan, inside yaml-edit, is one behind"),
    ("sha2", SQLX_SHA2),
    ("spin", "flume, inside sqlx-sqlite, is one behind pprof"),
    ("syn", "runs while compiling only; zeroize, tracing and openssl have not moved to 3"),
    ("synstructure", "runs while compiling only, with syn"),
];
const OPENTELEMETRY_RAND: &str = "opentelemetry_sdk is still on rand 0.9";
const SQLX_SHA2: &str = "sqlx-core 0.9 is still on sha2 0.10, rsa and argon2 on 0.11";

/// A library and the only crate that may depend on it.
const OWNERS: [(&str, &str); 21] = [
    ("axum", "countersign-server"),
    ("askama", "countersign-server"),
    ("sqlx", "countersign-store"),
    ("josekit", "countersign-jose"),
    ("rsa", "countersign-jose"),
    ("ldap3", "countersign-connectors"),
    ("argon2", "countersign-connectors"),
    ("octocrab", "countersign-connectors"),
    ("roxmltree", "countersign-connectors"),
    ("tonic", "countersign-grpc"),
    ("prost", "countersign-grpc"),
    ("opentelemetry", "countersign"),
    ("opentelemetry-otlp", "countersign"),
    ("opentelemetry_sdk", "countersign"),
    ("tracing-opentelemetry", "countersign"),
    ("tracing-subscriber", "countersign"),
    ("pprof", "countersign-server"),
    ("keyring", "countersign-kubectl"),
    ("secret-service", "countersign-kubectl"),
    ("webbrowser", "countersign-kubectl"),
    ("yaml-edit", "countersign-kubectl"),
];

/// The crates of the workspace that each crate may depend on (design: Crates).
const CRATE_DEPENDENCIES: [(&str, &[&str]); 12] = [
    // Uses a running server over HTTP only.
    ("countersign-bench", &[]),
    ("countersign-core", &[]),
    // It uses the protocol only, and no code of the server.
    ("countersign-kubectl", &["countersign-core"]),
    ("countersign-jose", &["countersign-core"]),
    ("countersign-store", &["countersign-core"]),
    ("countersign-config", &["countersign-core"]),
    ("countersign-connectors", &["countersign-config", "countersign-core", "countersign-jose"]),
    ("countersign-issuer", &["countersign-core", "countersign-jose", "countersign-store"]),
    ("countersign-server", &["countersign-core", "countersign-issuer"]),
    ("countersign-grpc", &["countersign-core", "countersign-issuer"]),
    (
        "countersign-import",
        &["countersign-core", "countersign-issuer", "countersign-jose", "countersign-store"],
    ),
    (
        "countersign",
        &[
            "countersign-config",
            "countersign-connectors",
            "countersign-core",
            "countersign-grpc",
            "countersign-import",
            "countersign-issuer",
            "countersign-jose",
            "countersign-server",
            "countersign-store",
        ],
    ),
];

#[test]
fn every_licence_is_allowed() {
    let metadata = metadata();
    let is_allowed = |text: &str| {
        // `A OR B` needs one of them, `A AND B` all; the old slash means OR.
        let text = text.replace('/', " OR ").replace(['(', ')'], "");
        text.split(" OR ").any(|part| part.split(" AND ").all(|l| LICENCES.contains(&l.trim())))
    };
    let refused: Vec<_> = list(&metadata["packages"])
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default()))
        .map(|package| {
            format!("{} {}: {}", package["name"], package["version"], package["license"])
        })
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn no_dependency_has_two_versions_without_a_reason() {
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
        assert!(is_twice, "{name} has one version now: remove it from TWICE ({reason})");
    }
    assert!(versions.is_empty(), "new duplicates; add them to TWICE with a reason: {versions:#?}");
}

#[test]
fn every_library_is_used_by_its_owner_only() {
    for (member, dependencies) in workspace_crates() {
        for (library, owner) in OWNERS {
            assert!(
                member == owner || !dependencies.contains(library),
                "{member} depends on {library}, which only {owner} may use"
            );
        }
    }
}

#[test]
fn crates_depend_on_each_other_in_one_direction_only() {
    for (member, dependencies) in workspace_crates() {
        let row = CRATE_DEPENDENCIES.iter().find(|(name, _)| *name == member);
        let (_, allowed) =
            row.unwrap_or_else(|| panic!("{member} is new: add it to CRATE_DEPENDENCIES"));
        let ours = dependencies.iter().filter(|name| name.starts_with("countersign"));
        let refused: Vec<_> = ours.filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(refused.is_empty(), "{member} may not depend on {refused:?}");
    }
}

/// Each crate of the workspace and its dependencies, those of its tests left out.
fn workspace_crates() -> BTreeMap<String, BTreeSet<String>> {
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
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
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
