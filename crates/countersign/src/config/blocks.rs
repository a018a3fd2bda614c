//! The content of the file, key by key, for comparing two versions: a hash of each value (with environment variables
//! expanded), and the files that were read with it, whose changes cause a reload.

use std::collections::BTreeMap;
use std::path::PathBuf;

use countersign_config::{Key, Node, Section, Value};
use countersign_core::Secret;
use countersign_jose::hash::{hmac_sha256, sha256_hex};

use super::pages::DirFile;

/// The number of the encoding that is hashed, and of the HMAC over it. To be raised with any change of either, so that
/// two programs that compute them differently do not report every key as changed.
pub const FORMAT: u32 = 1;

/// Keys such as `expiry.idTokens`, `staticClients[grafana]` or `issuer`. Without `Debug`: weak secrets could be guessed
/// from the hashes.
#[derive(Clone, Default)]
pub struct Blocks {
    /// SHA-256 of each encoded value.
    hashes: BTreeMap<String, String>,
    /// Files that the configuration file or the environment names and that were read: keys, certificates, tokens.
    pub files: Vec<PathBuf>,
    /// Files of `frontend.dir`, which need not exist.
    pub optional_files: Vec<PathBuf>,
}

/// Lists whose entries are identified by a key, and these keys.
const LISTS: [(&str, &[&str]); 3] =
    [("connectors", &["id"]), ("staticclients", &["id", "idenv"]), ("staticpasswords", &["email"])];

/// Called after all readers: the files are those that they have read.
pub fn read(root: &Section<'_>) -> Blocks {
    let mut blocks = Blocks { files: root.files().paths(), ..Blocks::default() };
    for (key, node) in root.entries() {
        let name = key.text.to_lowercase();
        let names = LISTS.iter().find(|(list, _)| *list == name).map(|(_, names)| *names);
        match (&node.value, names) {
            (Value::List(entries), Some(names)) => {
                for (index, entry) in entries.iter().enumerate() {
                    let id = id_of(entry, names).unwrap_or_else(|| index.to_string());
                    blocks.add(format!("{}[{id}]", key.text), entry);
                }
            }
            (Value::Map(entries), _) => {
                for (inner, node) in entries {
                    blocks.add(format!("{}.{}", key.text, inner.text), node);
                }
            }
            _ => blocks.add(key.text.clone(), node),
        }
    }
    blocks
}

fn id_of(entry: &Node, names: &[&str]) -> Option<String> {
    let Value::Map(entries) = &entry.value else { return None };
    names.iter().find_map(|name| text_of(entries, name)).map(str::to_owned)
}

fn text_of<'a>(entries: &'a [(Key, Node)], name: &str) -> Option<&'a str> {
    let (_, node) = entries.iter().find(|(key, _)| key.text.eq_ignore_ascii_case(name))?;
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// One difference between two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    Added(String),
    Removed(String),
    Changed(String),
}

impl Difference {
    pub fn key(&self) -> &str {
        match self {
            Self::Added(key) | Self::Removed(key) | Self::Changed(key) => key,
        }
    }
}

impl Blocks {
    /// Adds the files of `frontend.dir`, as keys such as `frontend.dir/texts.yaml`.
    pub fn add_files(&mut self, files: &[DirFile]) {
        for file in files {
            self.optional_files.push(file.path.clone());
            if let Some(hash) = file.hash.clone() {
                self.hashes.insert(format!("frontend.dir/{}", file.name), hash);
            }
        }
    }

    fn add(&mut self, key: String, node: &Node) {
        let mut encoded = Vec::new();
        encode(node, &mut encoded);
        self.hashes.insert(key, sha256_hex(&encoded));
    }

    /// An HMAC of each value with this secret, by key. Equal values of two keys have different ones.
    pub fn hmacs(&self, secret: &Secret) -> BTreeMap<String, String> {
        let hmac = |(key, hash): (&String, &String)| {
            (key.clone(), hmac_sha256(secret, format!("{key}\0{hash}").as_bytes()))
        };
        self.hashes.iter().map(hmac).collect()
    }
}

/// How the HMACs of `newer` differ from those of `running`, with the same secret, ordered by key.
pub fn differences(
    running: &BTreeMap<String, String>,
    newer: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    for (key, hmac) in running {
        match newer.get(key) {
            None => found.push(Difference::Removed(key.clone())),
            Some(other) if other != hmac => found.push(Difference::Changed(key.clone())),
            Some(_) => {}
        }
    }
    let added = newer.keys().filter(|key| !running.contains_key(*key));
    found.extend(added.cloned().map(Difference::Added));
    found.sort_by(|a, b| a.key().cmp(b.key()));
    found
}

/// Appends an encoding that is the same for equal values only. Positions in the file and the order of keys are not
/// encoded.
fn encode(node: &Node, out: &mut Vec<u8>) {
    match &node.value {
        Value::Null => out.push(b'n'),
        Value::Scalar { text, plain } => {
            out.push(if *plain { b'p' } else { b's' });
            encode_text(text, out);
        }
        Value::List(list) => {
            out.push(b'l');
            encode_length(list.len(), out);
            for node in list {
                encode(node, out);
            }
        }
        Value::Map(entries) => {
            out.push(b'm');
            encode_length(entries.len(), out);
            let mut entries: Vec<_> =
                entries.iter().map(|(key, node)| (key.text.to_lowercase(), node)).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            for (key, node) in entries {
                encode_text(&key, out);
                encode(node, out);
            }
        }
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    encode_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn encode_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{length}:").as_bytes());
}
