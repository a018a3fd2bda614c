//! The tokens on disk: one file of mode 0600 for each issuer and client, in a directory of mode 0700, replaced
//! atomically, and a lock file beside it that ends with its process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::{Secret, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cli::ClientArguments;
use crate::error::Error;

/// How often a waiting process looks whether the lock is free.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What is kept for one issuer and client.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CachedTokens {
    pub id_token: Option<StoredSecret>,
    pub access_token: Option<StoredSecret>,
    pub refresh_token: Option<StoredSecret>,
    /// When the issuer last confirmed that the access token is still accepted.
    pub checked_at: Option<Timestamp>,
    /// The last login failed at this instant; no browser is opened again until a person asks.
    pub login_failed_at: Option<Timestamp>,
}

/// A secret that is written to the cache file, and nowhere else.
#[derive(Clone, Debug)]
pub struct StoredSecret(pub Secret);

impl Serialize for StoredSecret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for StoredSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// The cache of one issuer and client, locked against every other process until it is dropped.
pub struct LockedCache {
    file: PathBuf,
    _lock: File,
}

impl LockedCache {
    /// Waits for the lock for at most `patience`: another process may be in the middle of a login.
    pub async fn open(arguments: &ClientArguments, patience: Duration) -> Result<Self, Error> {
        let directory = directory(arguments)?;
        prepare(&directory)?;
        let name = file_name(arguments);
        let lock_file = directory.join(format!("{name}.lock"));
        let lock = private_file(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&lock_file)
            .map_err(|cause| local(&lock_file, &cause))?;
        let mut waited = Duration::ZERO;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if waited < patience => {
                    tokio::time::sleep(LOCK_POLL_INTERVAL).await;
                    waited += LOCK_POLL_INTERVAL;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Local(format!(
                        "another process has been signing in for {} s; it holds {}",
                        patience.as_secs(),
                        lock_file.display()
                    )));
                }
                Err(TryLockError::Error(cause)) => return Err(local(&lock_file, &cause)),
            }
        }
        Ok(Self { file: directory.join(name), _lock: lock })
    }

    /// Nothing is kept, or what is kept cannot be read: both mean a new login.
    pub fn read(&self) -> Result<CachedTokens, Error> {
        let metadata = match fs::symlink_metadata(&self.file) {
            Ok(metadata) => metadata,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(CachedTokens::default()),
            Err(cause) => return Err(local(&self.file, &cause)),
        };
        if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
            return Err(Error::Local(format!(
                "{} must be a regular file that only its owner can read (mode 0600)",
                self.file.display()
            )));
        }
        let bytes = fs::read(&self.file).map_err(|cause| local(&self.file, &cause))?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Replaces the file as a whole: whoever reads sees the old one or the new one.
    pub fn write(&self, tokens: &CachedTokens) -> Result<(), Error> {
        let text = serde_json::to_vec(tokens).map_err(|cause| Error::Local(cause.to_string()))?;
        replace(&self.file, &text, None).map_err(|cause| local(&self.file, &cause))
    }

    pub fn remove(&self) -> Result<(), Error> {
        match fs::remove_file(&self.file) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(local(&self.file, &cause)),
            _ => Ok(()),
        }
    }
}

/// Writes a new file beside `file` and renames it over: a process that dies leaves the old one or the new one.
/// The mode is that of `like`, else 0600.
pub fn replace(file: &Path, bytes: &[u8], like: Option<&fs::Metadata>) -> std::io::Result<()> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".new");
    // A leftover of a process that was killed.
    match fs::remove_file(&temporary) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut new = private_file(OpenOptions::new().write(true).create_new(true)).open(&temporary)?;
    if let Some(like) = like {
        new.set_permissions(like.permissions())?;
    }
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&temporary, file)
}

/// The hash of everything that makes tokens different ones.
fn file_name(arguments: &ClientArguments) -> String {
    let mut parameters = arguments.oidc_auth_request_extra_params.clone();
    parameters.sort();
    let key = serde_json::json!([
        arguments.oidc_issuer_url.as_str(),
        arguments.oidc_client_id,
        arguments.scopes(),
        parameters,
    ]);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.to_string().as_bytes());
    URL_SAFE_NO_PAD.encode(digest).replace('-', "_")
}

#[expect(clippy::disallowed_methods, reason = "HOME is where kubectl keeps its cache")]
fn directory(arguments: &ClientArguments) -> Result<PathBuf, Error> {
    if let Some(directory) = &arguments.token_cache_dir {
        return Ok(directory.clone());
    }
    let home = std::env::var_os("HOME")
        .ok_or_else(|| Error::Local("HOME is not set; use --token-cache-dir".to_owned()))?;
    Ok(PathBuf::from(home).join(".kube/cache/countersign"))
}

fn prepare(directory: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|cause| local(directory, &cause))?;
    let metadata = fs::symlink_metadata(directory).map_err(|cause| local(directory, &cause))?;
    if !metadata.is_dir() {
        return Err(Error::Local(format!("{} is not a directory", directory.display())));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
            .map_err(|cause| local(directory, &cause))?;
    }
    Ok(())
}

fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

fn local(path: &Path, cause: &std::io::Error) -> Error {
    Error::Local(format!("{}: {cause}", path.display()))
}
