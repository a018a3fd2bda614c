//! The content of the file, key by key, for comparing two versions: a digest of each value (with environment variables
//! expanded), and the files that were read with it, whose changes cause a reload.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use countersign_config::{Key, Node, Section, Value};

use super::pages::DirFile;

/// Keys such as `expiry.idTokens`, `staticClients[grafana]` or `issuer`.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    digests: BTreeMap<String, u64>,
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
            if let Some(digest) = file.digest {
                self.digests.insert(format!("frontend.dir/{}", file.name), digest);
            }
        }
    }

    fn add(&mut self, key: String, node: &Node) {
        let mut hasher = DefaultHasher::new();
        hash(node, &mut hasher);
        self.digests.insert(key, hasher.finish());
    }

    /// The digests in hexadecimal, by key.
    pub fn digests(&self) -> BTreeMap<String, String> {
        self.digests.iter().map(|(key, digest)| (key.clone(), format!("{digest:016x}"))).collect()
    }
}

/// How the digests of `newer` differ from those of `running`, ordered by key.
pub fn differences(
    running: &BTreeMap<String, String>,
    newer: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    for (key, digest) in running {
        match newer.get(key) {
            None => found.push(Difference::Removed(key.clone())),
            Some(other) if other != digest => found.push(Difference::Changed(key.clone())),
            Some(_) => {}
        }
    }
    let added = newer.keys().filter(|key| !running.contains_key(*key));
    found.extend(added.cloned().map(Difference::Added));
    found.sort_by(|a, b| a.key().cmp(b.key()));
    found
}

/// Positions in the file and the order of keys are not hashed.
fn hash(node: &Node, hasher: &mut DefaultHasher) {
    match &node.value {
        Value::Null => 0_u8.hash(hasher),
        Value::Scalar { text, plain } => (1_u8, text, plain).hash(hasher),
        Value::List(list) => {
            (2_u8, list.len()).hash(hasher);
            for node in list {
                hash(node, hasher);
            }
        }
        Value::Map(entries) => {
            (3_u8, entries.len()).hash(hasher);
            let mut entries: Vec<_> =
                entries.iter().map(|(key, node)| (key.text.to_lowercase(), node)).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            for (key, node) in entries {
                key.hash(hasher);
                hash(node, hasher);
            }
        }
    }
}
