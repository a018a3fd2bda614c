//! Password verification on dedicated threads, each with argon2 memory that it allocates once and reuses. A flood of
//! logins therefore causes waiting or refusals, but never uses all cores, and memory grows by at most one block per
//! thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use countersign_core::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Argon2Memory, PasswordHash};

/// Limits of password verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingLimits {
    /// Concurrent verifications; each thread holds the memory of one.
    pub threads: usize,
    /// Verifications waiting for a thread; further ones are refused with [`HashingError::Busy`].
    pub queue: usize,
    /// Maximum memory of one argon2id hash, in KiB.
    pub memory_kib: u32,
}

impl Default for HashingLimits {
    /// As many threads as cores, at most 4; a queue of 64; every hash that [`PasswordHash::parse`] accepts.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { threads: cores.min(4), queue: 64, memory_kib: super::MAX_MEMORY_KIB }
    }
}

/// Verifies passwords within [`HashingLimits`]. Clones share threads, limits and counter; the program has one. The
/// threads end when the last clone is dropped.
#[derive(Clone)]
pub struct Hashing {
    /// Permits for running and waiting verifications.
    permit: Arc<Semaphore>,
    jobs: Sender<Job>,
    memory_kib: u32,
    verifications: Arc<AtomicU64>,
}

/// Why a verification was not performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// The queue is full; temporary.
    #[error("too many logins at once")]
    Busy,
    #[error("the hash needs {needed_kib} KiB of memory, and at most {limit_kib} KiB are allowed")]
    TooMuchMemory { needed_kib: u32, limit_kib: u32 },
}

struct Job {
    hash: Arc<PasswordHash>,
    password: Secret,
    reply: oneshot::Sender<bool>,
    /// Held until the job is done, even if the caller was dropped: the limit applies to the work.
    permit: OwnedSemaphorePermit,
}

impl Default for Hashing {
    fn default() -> Self {
        Self::new(HashingLimits::default())
    }
}

impl Hashing {
    pub fn new(limits: HashingLimits) -> Self {
        let threads = limits.threads.max(1);
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let verifications = Arc::<AtomicU64>::default();
        for number in 0..threads {
            let (queue, counter) = (queue.clone(), verifications.clone());
            let thread = thread::Builder::new().name(format!("hashing-{number}"));
            if let Err(error) = thread.spawn(move || run(&queue, &counter)) {
                tracing::error!(cause = %error, "a thread for password hashing could not be started");
            }
        }
        Self {
            permit: Arc::new(Semaphore::new(threads + limits.queue)),
            jobs,
            memory_kib: limits.memory_kib,
            verifications,
        }
    }

    /// Number of verifications since the start, for tests that unknown users cost as much as known ones.
    pub fn verifications(&self) -> u64 {
        self.verifications.load(Ordering::Relaxed)
    }

    /// The counter, for a metric.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.verifications.clone()
    }

    /// Performs exactly one verification, whatever the result.
    pub async fn verify(
        &self,
        hash: Arc<PasswordHash>,
        password: Secret,
    ) -> Result<bool, HashingError> {
        let (needed_kib, limit_kib) = (hash.memory_kib(), self.memory_kib);
        if needed_kib > limit_kib {
            return Err(HashingError::TooMuchMemory { needed_kib, limit_kib });
        }
        let permit = self.permit.clone().try_acquire_owned().map_err(|_| HashingError::Busy)?;
        let (reply, result) = oneshot::channel();
        let job = Job { hash, password, reply, permit };
        self.jobs.send(job).map_err(|_| HashingError::Busy)?;
        // A verification that panicked counts as a mismatch.
        Ok(result.await.unwrap_or(false))
    }
}

/// One thread: processes jobs until every [`Hashing`] is dropped.
fn run(queue: &Mutex<Receiver<Job>>, verifications: &AtomicU64) {
    let mut memory = Argon2Memory::default();
    loop {
        // The lock is released once a job is received, so that another thread waits for the next one.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { hash, password, reply, permit }) = job else { return };
        if reply.is_closed() {
            continue;
        }
        verifications.fetch_add(1, Ordering::Relaxed);
        let matches = catch_unwind(AssertUnwindSafe(|| hash.matches(&password, &mut memory)));
        drop(permit);
        let _ = reply.send(matches.unwrap_or(false));
    }
}
