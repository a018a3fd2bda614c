//! Root keys, which seal secrets in the database. They are never stored in the database.

use std::path::{Path, PathBuf};

use countersign_config::{Environment, Item, Section, Value, readable_by_others};
use countersign_core::Secret;
use countersign_store::Location;

#[derive(Clone, Debug)]
pub enum RootKeys {
    /// The first seals, all open. Never empty.
    Keys(Vec<Secret>),
    /// A file beside the SQLite database, created at the first start with mode 0600.
    Beside(PathBuf),
    /// Secrets are stored unsealed, as in Dex.
    None,
}

/// Shorter keys could be guessed.
const MIN_CHARACTERS: usize = 32;
const MAX_FILE_BYTES: usize = 64 * 1024;

/// `None` only after an error was recorded.
pub fn read(
    root: &Section<'_>,
    storage: Option<&Location>,
    env: Environment<'_>,
) -> Option<RootKeys> {
    let configured: Vec<(&'static str, Vec<Item<'_>>)> = ["rootKey", "rootKeyEnv", "rootKeyFile"]
        .into_iter()
        .filter_map(|key| Some((key, one_or_many(root.item(key)?))))
        .collect();
    let (key, items) = match configured.as_slice() {
        [] => return Some(default(root, storage)),
        [(key, items)] => (*key, items),
        [(first, _), (second, _), ..] => {
            root.error(
                second,
                format!("is given together with {first}, expected only one of them"),
            );
            return None;
        }
    };
    if items.is_empty() {
        root.error(key, "is an empty list");
        return None;
    }
    let keys = match key {
        "rootKey" => collect(items, Item::secret),
        "rootKeyEnv" => collect(items, |item| from_variable(item, env)),
        _ => collect(items, from_file_named),
    };
    keys.map(RootKeys::Keys)
}

/// The default if no key is configured.
fn default(root: &Section<'_>, storage: Option<&Location>) -> RootKeys {
    match storage {
        Some(Location::Sqlite { file }) => RootKeys::Beside(beside(file)),
        Some(Location::Postgres(_)) => {
            let message = "is missing: signing keys rest unsealed in the database, as in Dex";
            root.warning("rootKey", message);
            RootKeys::None
        }
        Some(Location::Memory) | None => RootKeys::None,
    }
}

/// `countersign.db` → `countersign.db.rootkey`
fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".rootkey");
    PathBuf::from(name)
}

fn one_or_many(item: Item<'_>) -> Vec<Item<'_>> {
    if matches!(item.node.value, Value::List(_)) { item.items() } else { vec![item] }
}

/// `None` after an error.
fn collect<'a>(
    items: &[Item<'a>],
    mut read: impl FnMut(&Item<'a>) -> Option<Secret>,
) -> Option<Vec<Secret>> {
    let keys: Vec<Secret> = items
        .iter()
        .filter_map(|item| {
            let key = read(item)?;
            let long_enough = key.expose().chars().count() >= MIN_CHARACTERS;
            if !long_enough {
                item.error(format!("is too short, expected at least {MIN_CHARACTERS} characters"));
            }
            long_enough.then_some(key)
        })
        .collect();
    (keys.len() == items.len()).then_some(keys)
}

fn from_variable(item: &Item<'_>, env: Environment<'_>) -> Option<Secret> {
    let name = item.text()?;
    let value = env(&name).filter(|value| !value.is_empty());
    if value.is_none() {
        item.error(format!("the environment variable {name:?} is not set or empty"));
    }
    value.map(Secret::new)
}

fn from_file_named(item: &Item<'_>) -> Option<Secret> {
    let name = item.text()?;
    let path = Path::new(&name);
    match item.files().read_text(path, MAX_FILE_BYTES) {
        Ok(text) => {
            if let Some(mode) = readable_by_others(path) {
                item.warning(format!(
                    "the file can be opened by others than its owner (mode {mode:04o}, expected 0600)"
                ));
            }
            Some(Secret::new(text.trim()))
        }
        Err(message) => {
            item.error(format!("the file {name:?} {message}"));
            None
        }
    }
}
