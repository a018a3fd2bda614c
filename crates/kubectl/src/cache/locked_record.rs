//! The record of one login while it is locked: what is in its file, and what is in the system's keyring.
//!
//! The lock is `flock` on a file that is not deleted. The kernel releases it when the process ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::TokenCacheStorage;
use super::keyring::{Keyring, KeyringError};
use super::record::{LoginRecord, Tokens, local, read_record, replace, temporary};
use crate::error::Error;

/// Interval at which a waiting process tries to acquire the lock.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The record of one login, locked against other processes until this value is dropped.
pub struct LockedRecord {
    pub(super) file: PathBuf,
    /// The entry in the keyring, named by the file: another cache directory has logins of its own.
    pub(super) entry: String,
    pub(super) storage: Option<TokenCacheStorage>,
    pub(super) keyring: Keyring,
    pub(super) _lock: Option<Lock>,
}

impl LockedRecord {
    /// The record; an empty one, which requires a new login, if there is none or it cannot be parsed. With the storage
    /// `none` existing records are not read either. Tokens that are not where they are to be kept are moved.
    pub async fn read(&self) -> Result<LoginRecord, Error> {
        if self.storage == Some(TokenCacheStorage::None) {
            return Ok(LoginRecord::default());
        }
        let mut record = read_record(&self.file)?;
        if record.is_in_keyring {
            match self.tokens_in_keyring().await {
                Ok(tokens) => record.tokens = tokens.unwrap_or_default(),
                Err(problem) => {
                    record.unreadable = Some(problem);
                    return Ok(record);
                }
            }
        }
        if self.is_misplaced(&record) {
            self.write(&mut record).await?;
        }
        Ok(record)
    }

    /// Keeps the tokens in the keyring or, with the rest, in the file, and records in `record` where they are.
    ///
    /// # Errors
    /// The file cannot be written, or `--token-cache-storage=keyring` was given and the keyring refuses the tokens.
    pub async fn write(&self, record: &mut LoginRecord) -> Result<(), Error> {
        if self.storage == Some(TokenCacheStorage::None) {
            return Ok(());
        }
        if record.unreadable.is_some() && record.tokens.is_empty() {
            // The tokens in the keyring are found again when it can be read.
            return self.update(record);
        }
        let was_in_keyring = self.is_in_keyring();
        record.unreadable = None;
        self.place(record).await?;
        self.update(record)?;
        if was_in_keyring && !record.is_in_keyring {
            // An entry that cannot be deleted now is replaced by a later login, or deleted by a later logout.
            let _ = self.keyring.remove(&self.entry).await;
        }
        Ok(())
    }

    /// Replaces the file atomically, so that a reader sees the old or the new content. The tokens must be those that
    /// were read or written before: the keyring is not written.
    pub fn update(&self, record: &LoginRecord) -> Result<(), Error> {
        if self.storage == Some(TokenCacheStorage::None) {
            return Ok(());
        }
        let tokens = if record.is_in_keyring { Tokens::default() } else { record.tokens.clone() };
        let kept = LoginRecord { tokens, ..record.clone() };
        let text = serde_json::to_vec(&kept).map_err(|cause| Error::Local(cause.to_string()))?;
        replace(&self.file, &text, None).map_err(|cause| local(&self.file, &cause))
    }

    /// Deletes the tokens from the keyring and the file; succeeds if there are none.
    ///
    /// # Errors
    /// The file was deleted, but the tokens are in a keyring that cannot be used now.
    pub async fn remove(&self) -> Result<(), Error> {
        let is_in_keyring = self.is_in_keyring();
        let removed = match self.storage {
            Some(TokenCacheStorage::Disk) if !is_in_keyring => Ok(()),
            _ => self.keyring.remove(&self.entry).await,
        };
        // A process that was killed while it wrote has left its tokens in the temporary file.
        for file in [&temporary(&self.file), &self.file] {
            match fs::remove_file(file) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => {
                    return Err(local(file, &cause));
                }
                _ => {}
            }
        }
        match removed {
            Err(problem) if is_in_keyring => Err(Error::Local(format!(
                "the tokens in the system's keyring were not deleted: {problem}"
            ))),
            _ => Ok(()),
        }
    }

    /// The tokens of an earlier login, left in a keyring that could not be used when these tokens were written.
    pub async fn tokens_left_in_keyring(&self, record: &LoginRecord) -> Option<Tokens> {
        match (record.is_in_keyring, self.storage) {
            (true, _) | (_, Some(TokenCacheStorage::Disk | TokenCacheStorage::None)) => None,
            _ => self.tokens_in_keyring().await.ok().flatten(),
        }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Tokens in a file of a version without keyring are moved to the keyring; those in a file for a reason stay.
    fn is_misplaced(&self, record: &LoginRecord) -> bool {
        !record.tokens.is_empty()
            && match self.storage {
                None => !record.is_in_keyring && record.disk_reason.is_none(),
                Some(TokenCacheStorage::Keyring) => !record.is_in_keyring,
                Some(TokenCacheStorage::Disk) => record.is_in_keyring,
                Some(TokenCacheStorage::None) => false,
            }
    }

    /// Writes the tokens to the keyring if they are to be kept there and it accepts them.
    async fn place(&self, record: &mut LoginRecord) -> Result<(), Error> {
        record.is_in_keyring = false;
        if record.tokens.is_empty() {
            return Ok(());
        }
        match self.storage {
            Some(TokenCacheStorage::Disk) => {
                record.disk_reason = Some("--token-cache-storage=disk".to_owned());
            }
            None if record.disk_reason.is_some() => {}
            storage => match self.write_to_keyring(record).await {
                Ok(()) => (record.is_in_keyring, record.disk_reason) = (true, None),
                Err(problem) if storage.is_some() => return Err(required(&problem)),
                Err(problem) => record.disk_reason = Some(problem.to_string()),
            },
        }
        Ok(())
    }

    async fn write_to_keyring(&self, record: &LoginRecord) -> Result<(), KeyringError> {
        let text = serde_json::to_string(&record.tokens)
            .map_err(|cause| KeyringError::Refused(cause.to_string()))?;
        let login = record.profile.as_ref();
        let login = login.map(|profile| format!(" ({})", profile.issuer)).unwrap_or_default();
        self.keyring.write(&self.entry, &format!("kubectl-countersign{login}"), &text).await
    }

    /// `None`: it has no such entry, or one that cannot be parsed.
    async fn tokens_in_keyring(&self) -> Result<Option<Tokens>, KeyringError> {
        let text = self.keyring.read(&self.entry).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// As recorded in the file.
    fn is_in_keyring(&self) -> bool {
        read_record(&self.file).is_ok_and(|record| record.is_in_keyring)
    }
}

/// The error if the keyring cannot be used although `--token-cache-storage=keyring` was given.
pub fn required(problem: &KeyringError) -> Error {
    Error::Local(format!(
        "--token-cache-storage=keyring: {problem}; without this flag the tokens are kept in a file"
    ))
}

/// A wait that is longer is explained on standard error; a refresh takes less.
const SILENT_WAIT: Duration = Duration::from_secs(2);

/// A lock between processes, held until this value is dropped.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// The file of the lock, which is created if it does not exist.
    pub fn open(path: &Path) -> Result<File, Error> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|cause| local(path, &cause))
    }

    /// # Errors
    /// Another process has held the lock for longer than `wait_limit`.
    pub async fn acquire(path: &Path, wait_limit: Duration) -> Result<Self, Error> {
        let file = Self::open(path)?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if waited < wait_limit => {
                    if waited == SILENT_WAIT {
                        eprintln!("Another process is signing in; waiting for it ...");
                    }
                    tokio::time::sleep(POLL_INTERVAL).await;
                    waited += POLL_INTERVAL;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Local(format!(
                        "another process has been signing in for {} s; it holds {}",
                        wait_limit.as_secs(),
                        path.display()
                    )));
                }
                // A network file system whose server has no locks.
                Err(TryLockError::Error(cause)) => {
                    return Err(Error::Local(format!(
                        "{} cannot be locked: {cause}; put the cached tokens on a local disk with --token-cache-dir or \
                         KUBECTL_COUNTERSIGN_CACHE_DIR",
                        path.display()
                    )));
                }
            }
        }
    }
}
