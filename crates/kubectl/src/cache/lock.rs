//! A lock between processes: `flock` on a file that is not deleted. The kernel releases it when the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use super::file::local;
use crate::error::Error;

/// Interval at which a waiting process tries to acquire the lock.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Held until this value is dropped.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// # Errors
    /// Another process has held the lock for longer than `wait_limit`.
    pub async fn acquire(path: &Path, wait_limit: Duration) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|cause| local(path, &cause))?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if waited < wait_limit => {
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
                Err(TryLockError::Error(cause)) => return Err(local(path, &cause)),
            }
        }
    }
}
