use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_core::{Secret, Timestamp};

use super::keyring::{KeyringError, memory};
use super::{Cache, LoginRecord, TokenCacheStorage, Tokens};
use crate::profile::{LoginProfile, StoredSecret, Transport};

fn profile() -> LoginProfile {
    let issuer = "https://id.example".parse().unwrap();
    LoginProfile::new(&issuer, "kubectl", &["groups".to_owned()], Transport::default())
}

#[tokio::test]
async fn a_record_is_private_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("a/b");
    let cache = Cache::open(Some(&directory), Some(TokenCacheStorage::Disk)).unwrap();
    let mut record = LoginRecord { profile: Some(profile()), ..LoginRecord::default() };
    let locked = cache.lock(&profile(), Duration::ZERO).await.unwrap();
    locked.write(&mut record).await.unwrap();
    assert_eq!(cache.profiles().unwrap(), [profile()]);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&locked.file)), (0o700, 0o600));
    // A second process waits, and fails after its time limit.
    assert!(cache.lock(&profile(), Duration::from_millis(60)).await.is_err());
    drop(locked);
    let locked = cache.lock(&profile(), Duration::ZERO).await.unwrap();
    assert_eq!(locked.read().await.unwrap().profile, Some(profile()));
    locked.remove().await.unwrap();
    assert_eq!(locked.read().await.unwrap().profile, None);
}

/// A home directory that cannot be written: with the storage `none` nothing needs it.
#[tokio::test]
async fn a_directory_without_write_access_is_not_needed_to_keep_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // The lock cannot be opened for writing, also by root, as on a read-only file system.
    std::fs::create_dir(folder.path().join("login.lock")).unwrap();
    let cache = Cache::open(Some(folder.path()), Some(TokenCacheStorage::None)).unwrap();
    let locked = cache.lock(&profile(), Duration::ZERO).await.unwrap();
    let failure =
        super::Failure { at: Timestamp::default(), reason: String::new(), was_shown: true };
    cache.set_failed_login(Some(&failure)).unwrap();
    assert!(cache.lock_for_login(Duration::ZERO).await.unwrap().is_none());
    drop(locked);
    let kept = Cache::open(Some(folder.path()), Some(TokenCacheStorage::Disk)).unwrap();
    assert!(kept.lock_for_login(Duration::ZERO).await.is_err(), "what is kept needs its lock");
}

#[tokio::test]
async fn a_link_a_readable_file_and_a_half_written_one() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(Some(folder.path()), Some(TokenCacheStorage::Disk)).unwrap();
    let locked = cache.lock(&profile(), Duration::ZERO).await.unwrap();
    std::fs::write(folder.path().join("other"), "{}").unwrap();
    symlink(folder.path().join("other"), &locked.file).unwrap();
    assert!(locked.read().await.is_err(), "a symbolic link");
    std::fs::remove_file(&locked.file).unwrap();
    std::fs::write(&locked.file, "{}").unwrap();
    std::fs::set_permissions(&locked.file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(locked.read().await.is_err(), "readable for the group");
    std::fs::set_permissions(&locked.file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&locked.file, "{\"profile\":").unwrap();
    assert!(
        locked.read().await.unwrap().profile.is_none(),
        "no longer JSON: as if nothing were kept"
    );
}

/// A cache in `directory` with a keyring that a test controls.
fn with_keyring(
    directory: &Path,
    storage: Option<TokenCacheStorage>,
) -> (Cache, Arc<Mutex<memory::State>>) {
    let (keyring, state) = memory::keyring();
    let cache = Cache::open(Some(directory), storage).unwrap();
    (Cache { keyring, ..cache }, state)
}

fn signed_in(token: &str) -> LoginRecord {
    let refresh_token = Some(StoredSecret(Secret::new(token)));
    let tokens = Tokens { refresh_token, ..Tokens::default() };
    LoginRecord { profile: Some(profile()), tokens, ..LoginRecord::default() }
}

fn refresh_token(record: &LoginRecord) -> Option<String> {
    let token = record.tokens.refresh_token.as_ref();
    token.map(|StoredSecret(token)| token.expose().to_owned())
}

async fn lock(cache: &Cache) -> super::LockedRecord {
    cache.lock(&profile(), Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn tokens_are_in_the_keyring_and_not_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, keyring) = with_keyring(folder.path(), None);
    let locked = lock(&cache).await;
    locked.write(&mut signed_in("first")).await.unwrap();
    assert!(!std::fs::read_to_string(&locked.file).unwrap().contains("first"));
    assert_eq!(keyring.lock().unwrap().entries.len(), 1);
    let record = locked.read().await.unwrap();
    assert_eq!(refresh_token(&record).as_deref(), Some("first"));
    // The tokens stay there when only the rest changes.
    locked.update(&record).unwrap();
    assert!(!std::fs::read_to_string(&locked.file).unwrap().contains("first"));
    locked.remove().await.unwrap();
    assert!(keyring.lock().unwrap().entries.is_empty() && !locked.file.exists());
}

#[tokio::test]
async fn a_keyring_that_fails_leaves_the_tokens_in_the_file() {
    let failing = |error: KeyringError| memory::State { error: Some(error), ..Default::default() };
    let refusal = Some(KeyringError::Refused("too large".to_owned()));
    for state in [
        failing(KeyringError::Absent("no session bus".to_owned())),
        failing(KeyringError::Locked),
        failing(KeyringError::TimedOut),
        memory::State { refusal, ..Default::default() },
        memory::State { loses_entries: true, ..Default::default() },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (cache, keyring) = with_keyring(folder.path(), None);
        let shown = format!("{state:?}");
        *keyring.lock().unwrap() = state;
        let locked = lock(&cache).await;
        locked.write(&mut signed_in("first")).await.unwrap();
        let record = locked.read().await.unwrap();
        assert_eq!(refresh_token(&record).as_deref(), Some("first"), "{shown}");
        assert!(record.disk_reason.is_some() && !record.is_in_keyring, "{shown}");
        // Whoever uses this machine with a keyring and without one needs no second login.
        *keyring.lock().unwrap() = memory::State::default();
        assert!(!locked.read().await.unwrap().is_in_keyring, "{shown}");
        // The next login asks the keyring again.
        locked.write(&mut signed_in("second")).await.unwrap();
        assert!(locked.read().await.unwrap().is_in_keyring, "{shown}");
    }
}

#[tokio::test]
async fn tokens_in_a_locked_keyring_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, keyring) = with_keyring(folder.path(), None);
    let locked = lock(&cache).await;
    locked.write(&mut signed_in("first")).await.unwrap();
    keyring.lock().unwrap().error = Some(KeyringError::Locked);
    let mut record = locked.read().await.unwrap();
    assert_eq!(
        (record.unreadable.clone(), refresh_token(&record)),
        (Some(KeyringError::Locked), None)
    );
    // A login that fails meanwhile is recorded.
    let (at, reason) = (Timestamp::default(), "closed".to_owned());
    record.failure = Some(super::Failure { at, reason, was_shown: true });
    locked.write(&mut record).await.unwrap();
    keyring.lock().unwrap().error = None;
    let record = locked.read().await.unwrap();
    assert_eq!(refresh_token(&record).as_deref(), Some("first"));
    assert!(record.failure.is_some());
    // A login that succeeds while it is locked is in the file, and what is left in the keyring is found by a logout.
    keyring.lock().unwrap().error = Some(KeyringError::Locked);
    locked.write(&mut signed_in("second")).await.unwrap();
    keyring.lock().unwrap().error = None;
    let record = locked.read().await.unwrap();
    assert_eq!(refresh_token(&record).as_deref(), Some("second"));
    assert!(locked.tokens_left_in_keyring(&record).await.is_some());
}

#[tokio::test]
async fn tokens_are_moved_to_where_they_are_to_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, keyring) = with_keyring(folder.path(), None);
    let with = |storage| Cache { storage, ..cache.clone() };
    // The file of a version that had no keyring.
    let mut old = signed_in("first");
    lock(&with(Some(TokenCacheStorage::Disk))).await.write(&mut old).await.unwrap();
    old.disk_reason = None;
    lock(&cache).await.update(&old).unwrap();
    for (storage, is_in_keyring) in [
        (None, true),
        (Some(TokenCacheStorage::Disk), false),
        // The choice stays without the flag.
        (None, false),
        (Some(TokenCacheStorage::Keyring), true),
        (None, true),
    ] {
        let locked = lock(&with(storage)).await;
        let record = locked.read().await.unwrap();
        let in_file = std::fs::read_to_string(&locked.file).unwrap().contains("first");
        let entries = keyring.lock().unwrap().entries.len();
        assert_eq!(refresh_token(&record).as_deref(), Some("first"));
        assert_eq!(
            (record.is_in_keyring, !in_file, entries == 1),
            (is_in_keyring, is_in_keyring, is_in_keyring),
            "{storage:?}"
        );
    }
}

#[tokio::test]
async fn a_keyring_that_is_required_is_not_replaced_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, keyring) = with_keyring(folder.path(), Some(TokenCacheStorage::Keyring));
    keyring.lock().unwrap().error = Some(KeyringError::Locked);
    let refused = cache.lock(&profile(), Duration::ZERO).await.err().unwrap();
    assert!(refused.to_string().contains("the keyring is locked"), "{refused}");
    *keyring.lock().unwrap() = memory::State { loses_entries: true, ..Default::default() };
    let locked = lock(&cache).await;
    assert!(locked.write(&mut signed_in("first")).await.is_err());
    assert!(!locked.file.exists());
}
