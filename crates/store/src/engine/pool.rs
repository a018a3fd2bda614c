//! A bounded set of connections of either engine.
//!
//! sqlx's pool is not used because it spawns a task and sends a ping for each returned connection, which costs more
//! than most of our statements. Here a connection is returned as it is once its operation has completed. If the
//! operation was cancelled, the connection is dropped, because a response may still arrive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that were not used for this long are closed.
const MAX_IDLE: Duration = Duration::from_mins(10);
/// Time limit for closing a discarded connection gracefully.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Pool<C: Connection>(Arc<State<C>>);

struct State<C: Connection> {
    permits: Arc<Semaphore>,
    size: u32,
    /// The most recently used connection is last.
    idle: Mutex<Vec<Idle<C>>>,
}

struct Idle<C> {
    connection: C,
    opened: Instant,
    used: Instant,
}

/// A permit for one connection, and an idle connection if there is one.
pub(super) struct Slot<C: Connection> {
    pool: Arc<State<C>>,
    permit: OwnedSemaphorePermit,
    idle: Option<Idle<C>>,
}

/// A connection in use. It is closed when dropped, unless [`Pooled::release`] returns it.
pub(super) struct Pooled<C: Connection> {
    pub(super) connection: C,
    opened: Instant,
    pool: Arc<State<C>>,
    permit: OwnedSemaphorePermit,
}

impl<C: Connection> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Connection> Pool<C> {
    pub(super) fn new(size: u32) -> Self {
        let size = size.max(1);
        let permits = Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(usize::MAX)));
        Self(Arc::new(State { permits, size, idle: Mutex::default() }))
    }

    /// Waits until a connection is available. `None`: the pool is closed.
    pub(super) async fn slot(&self) -> Option<Slot<C>> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await.ok()?;
        let idle = self.0.idle().pop();
        Some(Slot { pool: Arc::clone(&self.0), permit, idle })
    }

    /// Waits for the connections in use, and closes all of them.
    pub(super) async fn close(&self) {
        // An error means that another call has closed it already.
        let all = self.0.permits.acquire_many(self.0.size).await;
        self.0.permits.close();
        drop(all);
        let idle = std::mem::take(&mut *self.0.idle());
        for Idle { connection, .. } in idle {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a connection was not closed cleanly");
            }
        }
    }
}

impl<C: Connection> State<C> {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Connection> Slot<C> {
    /// Takes the idle connection, with the times since it was opened and since it was last used.
    pub(super) fn take(&mut self) -> Option<(C, Duration, Duration)> {
        let Idle { connection, opened, used } = self.idle.take()?;
        Some((connection, opened.elapsed(), used.elapsed()))
    }

    /// The slot with this connection, which was opened `age` ago.
    pub(super) fn filled(self, connection: C, age: Duration) -> Pooled<C> {
        let now = Instant::now();
        let opened = now.checked_sub(age).unwrap_or(now);
        Pooled { connection, opened, pool: self.pool, permit: self.permit }
    }
}

impl<C: Connection + 'static> Pooled<C> {
    /// Returns the connection to the pool. Its last operation must have completed.
    pub(super) fn release(self) {
        let Self { connection, opened, pool, permit } = self;
        let now = Instant::now();
        let mut idle = pool.idle();
        // The first one has been unused longest.
        if idle.first().is_some_and(|oldest| now.duration_since(oldest.used) > MAX_IDLE) {
            close_soon(idle.remove(0).connection);
        }
        idle.push(Idle { connection, opened, used: now });
        drop(idle);
        // Released last, so that a waiting task finds the connection.
        drop(permit);
    }
}

/// Closes a connection in the background.
pub(super) fn close_soon<C: Connection + 'static>(connection: C) {
    // Without a runtime the process is shutting down.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            let _ignored = tokio::time::timeout(CLOSE_TIMEOUT, connection.close()).await;
        });
    }
}
