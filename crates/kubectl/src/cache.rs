//! The token cache: one record per login, a file of mode 0600 in a directory of mode 0700, replaced atomically. Its tokens
//! are in the system's keyring if there is one that can be used, otherwise in the file too.
//!
//! A lock file beside the record is held while tokens are read, refreshed or obtained, wherever they are kept. It is locked
//! by the kernel (`flock`), which releases it when the process ends for any reason.

mod keyring;
mod locked_record;
mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use keyring::Keyring;
use locked_record::required;
pub use locked_record::{Lock, LockedRecord};
pub use record::{Failure, LoginRecord, Tokens, replace};
use record::{default_directory, file_name, local, prepare, read_record};

use crate::error::Error;
use crate::profile::LoginProfile;

const RECORD: &str = "json";

/// Where tokens are kept: the flag `--token-cache-storage`, with kubelogin's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenCacheStorage {
    /// A file that only its owner can read
    Disk,
    /// The system's keyring, and never a file
    Keyring,
    /// Nowhere: every call signs in
    None,
}

/// The directory of the records.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
    /// `None`: the keyring if it can be used, otherwise the file.
    storage: Option<TokenCacheStorage>,
    keyring: Keyring,
}

impl Cache {
    /// Creates the directory if it does not exist.
    ///
    /// # Errors
    /// The directory belongs to another user, or is not a directory.
    pub fn open(
        directory: Option<&Path>,
        storage: Option<TokenCacheStorage>,
    ) -> Result<Self, Error> {
        let directory = match directory {
            Some(directory) => directory.to_owned(),
            None => default_directory()?,
        };
        prepare(&directory)?;
        let directory = fs::canonicalize(&directory).map_err(|cause| local(&directory, &cause))?;
        Ok(Self { directory, storage, keyring: Keyring::default() })
    }

    /// Waits for the lock for at most `wait_limit`: another process may be logging in.
    ///
    /// # Errors
    /// The keyring is required by `--token-cache-storage=keyring` and cannot be used. This is known before a refresh or a
    /// login, whose tokens would be lost.
    pub async fn lock(
        &self,
        profile: &LoginProfile,
        wait_limit: Duration,
    ) -> Result<LockedRecord, Error> {
        let name = file_name(profile);
        let lock = Lock::acquire(&self.directory.join(format!("{name}.lock")), wait_limit).await?;
        if self.storage == Some(TokenCacheStorage::Keyring) {
            self.keyring.check().await.map_err(|problem| required(&problem))?;
        }
        Ok(LockedRecord {
            file: self.directory.join(format!("{name}.{RECORD}")),
            entry: self.directory.join(name).display().to_string(),
            storage: self.storage,
            keyring: self.keyring.clone(),
            _lock: lock,
        })
    }

    /// The lock held during any interactive login, so that only one browser tab is opened at a time.
    pub async fn lock_for_login(&self, wait_limit: Duration) -> Result<Lock, Error> {
        Lock::acquire(&self.directory.join("login.lock"), wait_limit).await
    }

    /// The logins that have a record, in a stable order. Other files are ignored.
    pub fn profiles(&self) -> Result<Vec<LoginProfile>, Error> {
        let entries =
            fs::read_dir(&self.directory).map_err(|cause| local(&self.directory, &cause))?;
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let mut profiles: Vec<LoginProfile> = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == RECORD))
            .filter_map(|path| read_record(&path).ok()?.profile)
            .collect();
        profiles.sort_by(|a, b| {
            (&a.issuer, &a.client_id, &a.scopes).cmp(&(&b.issuer, &b.client_id, &b.scopes))
        });
        Ok(profiles)
    }
}

#[cfg(test)]
mod tests;
