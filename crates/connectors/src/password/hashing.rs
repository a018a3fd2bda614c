//! Bounded hashing: a login storm costs waiting, never all cores or all memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use countersign_core::Secret;
use tokio::sync::Semaphore;

use super::PasswordHash;

const MAX_PARALLEL: usize = 4;
const MAX_WAITING: usize = 64;

/// Verifies passwords off the async threads, so many at a time, with a bounded queue. Clones share
/// both bounds and the counter; one for the whole program is meant.
#[derive(Clone)]
pub struct Hashing {
    /// Running and waiting together.
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    verifications: Arc<AtomicU64>,
}

/// The queue is full: come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many logins at once")]
pub struct TooMany;

impl Default for Hashing {
    /// As many at once as there are cores, at most 4; 64 waiting.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new(cores.min(MAX_PARALLEL), MAX_WAITING)
    }
}

impl Hashing {
    pub fn new(parallel: usize, waiting: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            admitted: Arc::new(Semaphore::new(parallel + waiting)),
            running: Arc::new(Semaphore::new(parallel)),
            verifications: Arc::default(),
        }
    }

    /// How many verifications were done since the start: for metrics, and for tests that the work
    /// is the same for users that do not exist.
    pub fn verifications(&self) -> u64 {
        self.verifications.load(Ordering::Relaxed)
    }

    /// The counter itself, for a metric that reads it.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.verifications.clone()
    }

    /// Exactly one verification. A caller who goes away leaves a running one its permit, so the
    /// bound holds for work, not for callers.
    pub async fn verify(&self, hash: Arc<PasswordHash>, password: Secret) -> Result<bool, TooMany> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| TooMany)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| TooMany)?;
        let verifications = self.verifications.clone();
        let verify = move || {
            let _held = (admitted, running);
            verifications.fetch_add(1, Ordering::Relaxed);
            hash.matches(&password)
        };
        // A panicking or cancelled verification has proved nothing.
        Ok(tokio::task::spawn_blocking(verify).await.unwrap_or(false))
    }
}
