//! The token cache: one record per login, a file of mode 0600 in a directory of mode 0700, replaced atomically. Its tokens
//! are in the system's keyring if there is one that can be used, otherwise in the file too.
//!
//! A lock file beside the record is held while tokens are read, refreshed or obtained, wherever they are kept. It is locked
//! by the kernel (`flock`), which releases it when the process ends for any reason.

mod keyring;
mod locked_record;
mod record;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use keyring::Keyring;
use locked_record::required;
pub use locked_record::{Lock, LockedRecord};
pub use record::{Failure, LoginRecord, Tokens, replace, temporary};
use record::{default_directory, file_name, local, prepare, read_record};

use crate::error::Error;
use crate::profile::LoginProfile;

const RECORD: &str = "json";
const LOGIN_LOCK: &str = "login.lock";
/// The file of the last login that a person was asked for and that failed, whatever its profile.
const FAILED_LOGIN: &str = "login.failed";

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
    /// `false` only with the storage `none`: nothing is kept, and processes do not wait for one another.
    has_directory: bool,
    /// `None`: the keyring if it can be used, otherwise the file.
    storage: Option<TokenCacheStorage>,
    keyring: Keyring,
}

impl Cache {
    /// Creates the directory if it does not exist.
    ///
    /// # Errors
    /// The directory belongs to another user, or is not a directory. With the storage `none` it is only for locks, and
    /// a machine without a writable home directory needs none.
    pub fn open(
        directory: Option<&Path>,
        storage: Option<TokenCacheStorage>,
    ) -> Result<Self, Error> {
        let opened = match directory {
            Some(directory) => prepare(directory),
            None => default_directory().and_then(|directory| prepare(&directory)),
        };
        let opened = match storage {
            // The directory may be on a file system that is read-only.
            Some(TokenCacheStorage::None) => opened.and_then(|directory| {
                Lock::open(&directory.join(LOGIN_LOCK)).map(|_file| directory)
            }),
            _ => opened,
        };
        let (directory, has_directory) = match opened {
            Ok(directory) => (directory, true),
            Err(_) if storage == Some(TokenCacheStorage::None) => (PathBuf::new(), false),
            Err(error) => return Err(error),
        };
        Ok(Self { directory, has_directory, storage, keyring: Keyring::default() })
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
        let lock = self.lock_file(&format!("{name}.lock"), wait_limit).await?;
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
    pub async fn lock_for_login(&self, wait_limit: Duration) -> Result<Option<Lock>, Error> {
        self.lock_file(LOGIN_LOCK, wait_limit).await
    }

    async fn lock_file(&self, name: &str, wait_limit: Duration) -> Result<Option<Lock>, Error> {
        match self.has_directory {
            true => Lock::acquire(&self.directory.join(name), wait_limit).await.map(Some),
            false => Ok(None),
        }
    }

    /// The last login of any profile that a person was asked for, if it failed or was not completed.
    pub fn failed_login(&self) -> Option<Failure> {
        if !self.has_directory {
            return None;
        }
        let text = fs::read(self.directory.join(FAILED_LOGIN)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Records the failure of a login, or with `None` that one succeeded.
    pub fn set_failed_login(&self, failure: Option<&Failure>) -> Result<(), Error> {
        let file = self.directory.join(FAILED_LOGIN);
        let result = match failure {
            _ if !self.has_directory => Ok(()),
            Some(failure) => match serde_json::to_vec(failure) {
                Ok(text) => replace(&file, &text, None),
                Err(cause) => return Err(Error::Local(cause.to_string())),
            },
            None => match fs::remove_file(&file) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
                result => result,
            },
        };
        result.map_err(|cause| local(&file, &cause))
    }

    /// The directory, if it is not the default one.
    pub fn other_directory(&self) -> Option<&Path> {
        let default = default_directory().ok().and_then(|path| fs::canonicalize(path).ok());
        (self.has_directory && default.as_ref() != Some(&self.directory))
            .then_some(self.directory.as_path())
    }

    /// The logins that have a record, in a stable order. Other files are ignored.
    pub fn profiles(&self) -> Result<Vec<LoginProfile>, Error> {
        if !self.has_directory {
            return Ok(Vec::new());
        }
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
