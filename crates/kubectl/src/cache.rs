//! The token cache: one record per login, a file of mode 0600 in a directory of mode 0700, replaced atomically. A build
//! with the feature `keyring` keeps the record's tokens in the system's keyring and only the rest in the file.
//!
//! A lock file beside the record is held while tokens are read, refreshed or obtained. It is locked by the kernel
//! (`flock`), which releases it when the process ends for any reason.

#[cfg(feature = "keyring")]
mod keyring;
mod lock;
mod record;

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;

pub use lock::Lock;
pub use record::{Failure, LoginRecord, Tokens};

use crate::error::Error;
use crate::profile::LoginProfile;

/// A record with thousands of groups takes some tens of kilobytes.
const MAX_RECORD_BYTES: u64 = 4 << 20;
const RECORD: &str = "json";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenCacheStorage {
    /// A file that only its owner can read
    Disk,
    /// The system's keyring
    Keyring,
    /// Nowhere: every call signs in
    None,
}

/// The directory of the records.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
    storage: Option<TokenCacheStorage>,
}

/// The record of one login, locked against other processes until this value is dropped.
pub struct LockedRecord {
    cache: Cache,
    file: PathBuf,
    _lock: Lock,
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
        if storage == Some(TokenCacheStorage::Keyring) && cfg!(not(feature = "keyring")) {
            return Err(Error::Local(
                "--token-cache-storage keyring: this build has no keyring (feature `keyring`)"
                    .to_owned(),
            ));
        }
        let directory = match directory {
            Some(directory) => directory.to_owned(),
            None => default_directory()?,
        };
        prepare(&directory)?;
        Ok(Self { directory, storage })
    }

    /// Waits for the lock for at most `patience`: another process may be logging in.
    pub async fn lock(
        &self,
        profile: &LoginProfile,
        patience: Duration,
    ) -> Result<LockedRecord, Error> {
        let name = file_name(profile);
        let lock = Lock::acquire(&self.directory.join(format!("{name}.lock")), patience).await?;
        let file = self.directory.join(format!("{name}.{RECORD}"));
        Ok(LockedRecord { cache: self.clone(), file, _lock: lock })
    }

    /// The lock held during any interactive login, so that only one browser tab is opened at a time.
    pub async fn lock_for_login(&self, patience: Duration) -> Result<Lock, Error> {
        Lock::acquire(&self.directory.join("login.lock"), patience).await
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

    fn uses_keyring(&self) -> bool {
        cfg!(feature = "keyring") && matches!(self.storage, None | Some(TokenCacheStorage::Keyring))
    }
}

impl LockedRecord {
    /// The record; an empty one, which requires a new login, if there is none or it cannot be parsed. With the storage
    /// `none` existing records are not read either.
    pub fn read(&self) -> Result<LoginRecord, Error> {
        if self.cache.storage == Some(TokenCacheStorage::None) {
            return Ok(LoginRecord::default());
        }
        #[cfg_attr(
            not(feature = "keyring"),
            expect(unused_mut, reason = "filled from the keyring")
        )]
        let mut record = read_record(&self.file)?;
        #[cfg(feature = "keyring")]
        if record.is_in_keyring {
            record.tokens = keyring::read(&self.name()).unwrap_or_default();
        }
        Ok(record)
    }

    /// Replaces the file atomically, so that a reader sees the old or the new content.
    pub fn write(&self, record: &LoginRecord) -> Result<(), Error> {
        if self.cache.storage == Some(TokenCacheStorage::None) {
            return Ok(());
        }
        let is_in_keyring = self.cache.uses_keyring() && self.write_to_keyring(&record.tokens);
        let tokens = if is_in_keyring { &Tokens::default() } else { &record.tokens };
        let kept = LoginRecord { tokens: tokens.clone(), is_in_keyring, ..record.clone() };
        let text = serde_json::to_vec(&kept).map_err(|cause| Error::Local(cause.to_string()))?;
        replace(&self.file, &text, None).map_err(|cause| local(&self.file, &cause))
    }

    /// Deletes the record; succeeds if there is none.
    pub fn remove(&self) -> Result<(), Error> {
        #[cfg(feature = "keyring")]
        keyring::remove(&self.name());
        match fs::remove_file(&self.file) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(local(&self.file, &cause)),
            _ => Ok(()),
        }
    }

    /// `false`: there is no keyring, or it refused the tokens (some limit their size).
    #[cfg(feature = "keyring")]
    fn write_to_keyring(&self, tokens: &Tokens) -> bool {
        keyring::write(&self.name(), tokens)
    }

    #[cfg(not(feature = "keyring"))]
    #[expect(clippy::unused_self, reason = "the same signature as with a keyring")]
    fn write_to_keyring(&self, _tokens: &Tokens) -> bool {
        false
    }

    #[cfg(feature = "keyring")]
    fn name(&self) -> String {
        self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Writes a new file beside `file` and renames it, so that a killed process leaves the old or the new file. The mode
/// is that of `like`, otherwise 0600.
pub fn replace(file: &Path, bytes: &[u8], like: Option<&fs::Metadata>) -> std::io::Result<()> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".new");
    // Left behind by a process that was killed.
    match fs::remove_file(&temporary) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    if let Some(like) = like {
        new.set_permissions(like.permissions())?;
    }
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&temporary, file)
}

/// # Errors
/// Others can read the file, it belongs to another user, or it is not a regular file (for example a symbolic link).
fn read_record(file: &Path) -> Result<LoginRecord, Error> {
    let metadata = match fs::symlink_metadata(file) {
        Ok(metadata) => metadata,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(LoginRecord::default()),
        Err(cause) => return Err(local(file, &cause)),
    };
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 || metadata.uid() != own_uid() {
        return Err(Error::Local(format!(
            "{} must be a regular file of your own that only you can read (mode 0600); delete it and sign in again",
            file.display()
        )));
    }
    if metadata.len() > MAX_RECORD_BYTES {
        return Err(Error::Local(format!("{} is over {MAX_RECORD_BYTES} bytes", file.display())));
    }
    let bytes = fs::read(file).map_err(|cause| local(file, &cause))?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// A hash of everything that tokens depend on.
fn file_name(profile: &LoginProfile) -> String {
    let mut parameters = profile.extra_parameters.clone();
    parameters.sort();
    let mut scopes = profile.scopes.clone();
    scopes.sort();
    let key = serde_json::json!([profile.issuer, profile.client_id, scopes, parameters]);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.to_string().as_bytes());
    URL_SAFE_NO_PAD.encode(digest).replace('-', "_")
}

fn default_directory() -> Result<PathBuf, Error> {
    let home = crate::environment::variable("HOME")
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
    if !metadata.is_dir() || metadata.uid() != own_uid() {
        let text = format!("{} is not a directory of your own", directory.display());
        return Err(Error::Local(text));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
            .map_err(|cause| local(directory, &cause))?;
    }
    Ok(())
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn local(path: &Path, cause: &std::io::Error) -> Error {
    Error::Local(format!("{}: {cause}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    use super::{Cache, LoginRecord};
    use crate::profile::{LoginProfile, Transport};

    fn profile() -> LoginProfile {
        let issuer = "https://id.example".parse().unwrap();
        LoginProfile::new(&issuer, "kubectl", &["groups".to_owned()], Transport::default())
    }

    #[tokio::test]
    async fn a_record_is_private_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("a/b");
        let cache = Cache::open(Some(&directory), None).unwrap();
        let record = LoginRecord { profile: Some(profile()), ..LoginRecord::default() };
        let locked = cache.lock(&profile(), Duration::ZERO).await.unwrap();
        locked.write(&record).unwrap();
        assert_eq!(cache.profiles().unwrap(), [profile()]);
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&locked.file)), (0o700, 0o600));
        // A second process waits, and fails after its time limit.
        assert!(cache.lock(&profile(), Duration::from_millis(60)).await.is_err());
        drop(locked);
        let locked = cache.lock(&profile(), Duration::ZERO).await.unwrap();
        assert_eq!(locked.read().unwrap().profile, Some(profile()));
        locked.remove().unwrap();
        assert_eq!(locked.read().unwrap().profile, None);
    }

    #[tokio::test]
    async fn a_link_a_readable_file_and_a_half_written_one() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(folder.path()), None).unwrap();
        let locked = cache.lock(&profile(), Duration::ZERO).await.unwrap();
        std::fs::write(folder.path().join("other"), "{}").unwrap();
        symlink(folder.path().join("other"), &locked.file).unwrap();
        assert!(locked.read().is_err(), "a symbolic link");
        std::fs::remove_file(&locked.file).unwrap();
        std::fs::write(&locked.file, "{}").unwrap();
        std::fs::set_permissions(&locked.file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(locked.read().is_err(), "readable for the group");
        std::fs::set_permissions(&locked.file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&locked.file, "{\"profile\":").unwrap();
        assert!(
            locked.read().unwrap().profile.is_none(),
            "no longer JSON: as if nothing were kept"
        );
    }
}
