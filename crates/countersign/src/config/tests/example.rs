//! `config.example.yaml` is the reference: it is valid unchanged, and contains every key.

use std::collections::BTreeSet;
use std::path::Path;

use countersign_config::{Key, Node, Severity, Value, parse_yaml, read_tree};

use crate::config::{Addresses, Loaded, load, read_blocks};

fn example() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config.example.yaml");
    std::fs::read_to_string(file).unwrap()
}

/// The example with every setting enabled: `#` directly before a word marks a setting, before a space a comment.
fn all_switched_on() -> Node {
    let uncomment = |line: &str| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => {
                format!("{indent}{setting}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    parse_yaml(&example().lines().map(uncomment).collect::<String>()).unwrap()
}

fn env(name: &str) -> Option<String> {
    match name {
        "BOB_PASSWORD_HASH" | "DEX_EXPAND_ENV" | "DEX_FRONTEND_DIR" => None,
        "COUNTERSIGN_ROOT_KEY" => Some("0123456789abcdef0123456789abcdef".into()),
        _ => Some("from-the-environment".into()),
    }
}

/// Selects one of several alternatives for a repeated key.
fn alternative(node: &Node, last: bool) -> Node {
    let value = match &node.value {
        Value::Map(entries) => {
            let mut kept: Vec<(Key, Node)> = Vec::new();
            for (key, node) in entries {
                let node = alternative(node, last);
                match kept.iter_mut().find(|(other, _)| other.text == key.text) {
                    Some(own) if last => own.1 = node,
                    Some(_) => {}
                    None => kept.push((key.clone(), node)),
                }
            }
            Value::Map(kept)
        }
        Value::List(nodes) => {
            Value::List(nodes.iter().map(|node| alternative(node, last)).collect())
        }
        other => other.clone(),
    };
    Node { mark: node.mark, value }
}

pub(super) fn paths(node: &Node, path: &str, into: &mut BTreeSet<String>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, node) in entries {
                let path =
                    if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
                into.insert(path.clone());
                paths(node, &path, into);
            }
        }
        Value::List(nodes) => nodes.iter().for_each(|node| paths(node, &format!("{path}[]"), into)),
        _ => {}
    }
}

#[test]
fn the_example_is_valid() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config.example.yaml");
    let loaded = load(&file, &|_| None, false);
    assert_eq!(loaded.errors(), 0, "{loaded}");
    // No warnings, although a fresh clone is readable by everyone.
    assert_eq!(loaded.to_string(), "");
    let config = loaded.config.unwrap();
    assert_eq!(config.issuer.as_str(), "http://127.0.0.1:5556/dex");
    assert_eq!(config.clients.len(), 2);
    assert_eq!(config.password_db.unwrap().users.len(), 1);
}

/// Errors caused by enabling alternatives, or by files that do not exist.
fn is_expected(message: &str, path: &str) -> bool {
    let file = [
        ".tlsCert",
        ".tlsKey",
        ".tlsClientCA",
        ".rootCA",
        ".rootCAData",
        ".rootCAs[0]",
        ".clientCert",
        ".clientKey",
        ".serviceAccountFilePath",
        ".ca",
        ".caData",
        ".certificateAuthority",
        ".certificateAuthorityData",
    ];
    message.contains("together with")
        || message.contains("are both given")
        || message.contains("the environment has no BOB_PASSWORD_HASH")
        || file.iter().any(|key| path.ends_with(key))
}

fn read_alternative(last: bool) -> Loaded {
    let tree = alternative(&all_switched_on(), last);
    let file = Path::new("config.example.yaml");
    read_tree(tree, file, &env, false, |root| read_blocks(root, &env, &Addresses::default()))
}

#[test]
fn every_block_of_the_example_can_be_enabled() {
    for last in [false, true] {
        let loaded = read_alternative(last);
        for problem in &loaded.problems {
            let warning = problem.severity == Severity::Warning;
            assert!(warning || is_expected(&problem.message, &problem.path), "{problem}");
        }
    }
}

#[test]
fn the_example_contains_every_key() {
    let tree = all_switched_on();
    let mut named = BTreeSet::new();
    paths(&tree, "", &mut named);
    let mut known = BTreeSet::new();
    for last in [false, true] {
        known.extend(read_alternative(last).known_keys().iter().cloned());
    }
    assert!(known.contains("staticClients[].redirectURIs") && known.len() > 100, "{known:?}");
    // Keys of an LDAP connector beyond Dex's, to verify that this test covers connectors.
    for key in ["hosts", "timeout", "poolSize", "userSearch.idAttr"] {
        assert!(known.contains(&format!("connectors[].config.{key}")), "{key}: {known:?}");
    }
    // Dex's older keys for userMatchers, which the example mentions only in a comment.
    let older = |path: &&String| {
        path.starts_with("connectors[].config.groupSearch.") && {
            ["userAttr", "groupAttr", "recursionGroupAttr"]
                .iter()
                .any(|key| path.strip_prefix("connectors[].config.groupSearch.") == Some(*key))
        }
    };
    let missing: Vec<_> = known.difference(&named).filter(|path| !older(path)).collect();
    assert!(missing.is_empty(), "not in config.example.yaml: {missing:?}");
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "in config.example.yaml, but unknown: {unknown:?}");
}

#[test]
fn dexs_keys_without_effect_are_mentioned_in_the_example() {
    let text = example();
    for key in [
        "grpc",
        "dir",
        "extra",
        "ssoSharedWith",
        "clientCredentialsClaims",
        "cookieName",
        "mfaChain",
        "cookieEncryptionKey",
        "rememberMeCheckedByDefault",
        "ssoSharedWithDefault",
        "mfa",
        "passwordConnector",
        "kerberos",
        "mysql",
        "etcd",
        "kubernetes",
        "vault",
    ] {
        assert!(text.contains(key), "{key}");
    }
}
