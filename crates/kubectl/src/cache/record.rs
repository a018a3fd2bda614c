//! The record of one login, and the file that it is in: written atomically, and read only where nobody else could have
//! written it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::keyring::KeyringError;
use crate::error::Error;
use crate::profile::{LoginProfile, StoredSecret, Subject};

/// A record with thousands of groups takes some tens of kilobytes.
const MAX_RECORD_BYTES: u64 = 4 << 20;

/// What the cache stores of one login.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoginRecord {
    /// `None` in a record that was never written.
    pub profile: Option<LoginProfile>,
    #[serde(default)]
    pub tokens: Tokens,
    /// The tokens are in the system's keyring instead of this file.
    #[serde(default)]
    pub is_in_keyring: bool,
    /// Why the tokens are in the file. They stay there until the next login, so that somebody who uses the same machine
    /// with a keyring and without one signs in once for both. `None` in the file of a version without keyring.
    #[serde(default)]
    pub disk_reason: Option<String>,
    /// Why the tokens in the keyring could not be read. Then `tokens` is empty.
    #[serde(skip)]
    pub unreadable: Option<KeyringError>,
    /// When the issuer last confirmed that the grant is live, or last did not respond.
    pub checked_at: Option<Timestamp>,
    /// The last login attempt, if it failed.
    pub failure: Option<Failure>,
}

/// The tokens of a login; in the system's keyring if `is_in_keyring`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tokens {
    pub id_token: Option<StoredSecret>,
    pub access_token: Option<StoredSecret>,
    pub refresh_token: Option<StoredSecret>,
    /// Secret of a confidential client, which `logout` and `status` need too.
    pub client_secret: Option<StoredSecret>,
    /// ID tokens for clusters with their own client, by that client's id.
    #[serde(default)]
    pub by_audience: BTreeMap<String, StoredSecret>,
}

/// A login that failed, or that was begun and not completed: other processes report it instead of opening a browser again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub at: Timestamp,
    pub reason: String,
    /// A login page was opened, or a URL or code was shown. `true` in the file of an earlier version.
    #[serde(default = "yes")]
    pub was_shown: bool,
}

fn yes() -> bool {
    true
}

impl Tokens {
    /// True if there is nothing to keep secret.
    pub fn is_empty(&self) -> bool {
        let own = [&self.id_token, &self.access_token, &self.refresh_token, &self.client_secret];
        own.into_iter().all(Option::is_none) && self.by_audience.is_empty()
    }
}

/// Writes a new file beside `file` and renames it, so that a killed process leaves the old or the new file. The mode
/// and, as far as that is permitted, the owner are those of `like`, otherwise 0600.
pub fn replace(file: &Path, bytes: &[u8], like: Option<&fs::Metadata>) -> std::io::Result<()> {
    let temporary = temporary(file);
    // Left behind by a process that was killed.
    match fs::remove_file(&temporary) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    if let Some(like) = like {
        // The owner changes only if root edits the file of somebody else.
        let _ = std::os::unix::fs::fchown(&new, Some(like.uid()), Some(like.gid()));
        new.set_permissions(like.permissions())?;
    }
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&temporary, file)
}

/// The file beside `file` in which [`replace`] writes; its name is not one that somebody gives to a file of their own.
pub fn temporary(file: &Path) -> PathBuf {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".kubectl-countersign-new");
    PathBuf::from(temporary)
}

/// # Errors
/// Others can read the file, it belongs to another user, or it is not a regular file (for example a symbolic link).
pub fn read_record(file: &Path) -> Result<LoginRecord, Error> {
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
pub fn file_name(profile: &LoginProfile) -> String {
    let mut parameters = profile.extra_parameters.clone();
    parameters.sort();
    let mut scopes = profile.scopes.clone();
    scopes.sort();
    let key = match &profile.subject {
        Subject::User => json!([profile.issuer, profile.client_id, scopes, parameters]),
        subject => json!([profile.issuer, profile.client_id, scopes, parameters, subject]),
    };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.to_string().as_bytes());
    URL_SAFE_NO_PAD.encode(digest).replace('-', "_")
}

/// `~/.kube/cache/countersign`. `KUBECACHEDIR` replaces `~/.kube/cache`, as for kubectl and kubelogin.
pub fn default_directory() -> Result<PathBuf, Error> {
    if let Some(parent) = crate::environment_variable("KUBECACHEDIR").filter(|dir| !dir.is_empty())
    {
        return Ok(PathBuf::from(parent).join("countersign"));
    }
    let home = crate::environment_variable("HOME")
        .ok_or_else(|| Error::Local("HOME is not set; use --token-cache-dir".to_owned()))?;
    Ok(PathBuf::from(home).join(".kube/cache/countersign"))
}

/// Creates the directory if it does not exist, with mode 0700, and returns its canonical path.
pub fn prepare(directory: &Path) -> Result<PathBuf, Error> {
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
    fs::canonicalize(directory).map_err(|cause| local(directory, &cause))
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

pub fn local(path: &Path, cause: &std::io::Error) -> Error {
    Error::Local(format!("{}: {cause}", path.display()))
}
