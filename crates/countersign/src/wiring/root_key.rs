//! The root key: from the configuration, or from the file beside the database, created at the first start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use countersign_core::Secret;
use countersign_jose::RootKeys;
use countersign_store::Store;

use crate::config;

pub async fn load(keys: &config::RootKeys, store: &Store) -> Result<RootKeys, String> {
    match keys {
        config::RootKeys::None => Ok(RootKeys::none()),
        config::RootKeys::Keys(keys) => RootKeys::new(keys).map_err(|e| e.to_string()),
        config::RootKeys::Beside(file) => {
            let key = match read(file)? {
                Some(key) => key,
                None => first(file, store).await?,
            };
            RootKeys::new(&[key]).map_err(|e| format!("{}: {e}", file.display()))
        }
    }
}

fn read(file: &Path) -> Result<Option<Secret>, String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(Secret::new(text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("the root key {}: {error}", file.display())),
    }
}

/// Creates the root key of an empty database. If the database has keys, it was sealed under a root key that is missing,
/// and creating a new one would conceal that.
async fn first(file: &Path, store: &Store) -> Result<Secret, String> {
    let keys = store.signing_keys().await.map_err(|e| e.to_string())?;
    if !keys.is_empty() {
        return Err(format!(
            "the root key {} is missing, and the database beside it was sealed under it: put it back",
            file.display()
        ));
    }
    let key = RootKeys::generate().map_err(|e| e.to_string())?;
    match write_new(file, &key) {
        Ok(()) => Ok(key),
        // Another process created it first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(file)?.ok_or_else(|| format!("the root key {} vanished", file.display()))
        }
        Err(error) => Err(format!("the root key {} cannot be made: {error}", file.display())),
    }
}

/// Atomic: writes a temporary file and links it to its name, which fails if the name exists.
fn write_new(file: &Path, key: &Secret) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = Path::new(&name);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    let written = writeln!(out, "{}", key.expose()).and_then(|()| out.sync_all());
    let linked = written.and_then(|()| fs::hard_link(beside, file));
    fs::remove_file(beside)?;
    linked
}
