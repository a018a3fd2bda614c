//! Connections to the PostgreSQL server that is written to, the primary, and whether it is available. While it is not,
//! one request at a time probes it and the others fail fast, instead of each waiting for the full timeout. The instants
//! are local to this process and only decide which requests wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::PING_TIMEOUT;
use super::pool::{Pool, Pooled, close_soon};
use super::servers::Servers;
use crate::StoreError;

/// A connection that was idle for longer is pinged before it is used.
const MAX_IDLE_UNCHECKED: Duration = Duration::from_secs(1);
/// Between two attempts of [`Primary::connection_until`].
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// After a failure nothing is attempted for this long.
const PAUSE: Duration = Duration::from_secs(1);

/// Connections to the primary, and whether it answered last time.
#[derive(Clone)]
pub(super) struct Primary {
    pub(super) servers: Arc<Servers>,
    pub(super) pool: Pool<PgConnection>,
    /// For a connection, of the pool or a new one.
    pub(super) timeout: Duration,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) availability: Availability,
    /// Whether the server can be asked later if a transaction was committed: see `commit`.
    pub(super) has_transaction_ids: bool,
}

impl Primary {
    /// Waits up to the connect timeout, or fails at once while the primary is known to be unavailable.
    pub(super) async fn connection(&self) -> Result<Pooled<PgConnection>, StoreError> {
        let Some(attempt) = self.availability.attempt(Instant::now()) else {
            return Err(StoreError::Unavailable(format!(
                "the primary did not answer; it is tried again {PAUSE:?} after the last attempt"
            )));
        };
        let connecting = tokio::time::timeout(self.timeout, self.checked_connection());
        match connecting.await {
            Ok(Ok(Some(connection))) => {
                // New, or pinged just now, or used less than MAX_IDLE_UNCHECKED ago.
                attempt.answered(Instant::now());
                Ok(connection)
            }
            Ok(Ok(None)) => Err(StoreError::Unavailable("the store is closed".into())),
            Ok(Err(error)) => {
                attempt.failed(Instant::now());
                Err(error)
            }
            Err(_) => {
                attempt.failed(Instant::now());
                let cause = format!("no connection within {:?}", self.timeout);
                Err(StoreError::Unavailable(cause))
            }
        }
    }

    /// The same, tried again until this instant.
    pub(super) async fn connection_until(
        &self,
        deadline: Instant,
    ) -> Result<Pooled<PgConnection>, StoreError> {
        loop {
            let connecting = tokio::time::timeout_at(deadline.into(), self.connection());
            match connecting.await {
                Ok(Err(_)) if Instant::now() + RETRY_PAUSE < deadline => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Ok(result) => return result,
                Err(_) => return Err(StoreError::Unavailable("no connection in time".into())),
            }
        }
    }

    /// `None`: the store is closed.
    async fn checked_connection(&self) -> Result<Option<Pooled<PgConnection>>, StoreError> {
        let Some(mut slot) = self.pool.slot().await else { return Ok(None) };
        if let Some((mut connection, age, idle)) = slot.take() {
            let is_old = self.max_lifetime.is_some_and(|max| age > max);
            let is_usable =
                !is_old && (idle <= MAX_IDLE_UNCHECKED || connection.ping().await.is_ok());
            if is_usable {
                return Ok(Some(slot.filled(connection, age)));
            }
            close_soon(connection);
        }
        let connection = self.servers.connect().await?;
        Ok(Some(slot.filled(connection, Duration::ZERO)))
    }
}

/// Whether the primary answered last time.
#[derive(Clone, Default)]
pub(super) struct Availability(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answered_at: Option<Instant>,
    lost: Option<Lost>,
}

struct Lost {
    failed_at: Instant,
    /// A probe is in progress.
    is_probed: bool,
}

/// One attempt to reach the primary: reports its result, or counts as abandoned when dropped.
struct Attempt {
    availability: Availability,
    begun: Instant,
    /// Whether this is the probe of an unavailable primary.
    is_probe: bool,
    ended: bool,
}

impl Availability {
    /// `None` when the primary failed less than [`PAUSE`] ago, or a probe is in progress.
    fn attempt(&self, now: Instant) -> Option<Attempt> {
        let mut state = self.state();
        let is_probe = match &mut state.lost {
            None => false,
            Some(lost) if lost.is_probed || now.duration_since(lost.failed_at) < PAUSE => {
                return None;
            }
            Some(lost) => {
                lost.is_probed = true;
                true
            }
        };
        drop(state);
        Some(Attempt { availability: self.clone(), begun: now, is_probe, ended: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    fn answered(mut self, now: Instant) {
        self.ended = true;
        *self.availability.state() = State { answered_at: Some(now), lost: None };
    }

    fn failed(mut self, now: Instant) {
        self.ended = true;
        self.mark_lost(now);
    }

    fn mark_lost(&self, now: Instant) {
        let mut state = self.availability.state();
        // Another attempt succeeded meanwhile: the primary is busy, not unavailable.
        if state.answered_at.is_some_and(|at| at >= self.begun) {
            return;
        }
        let another = state.lost.as_ref().is_some_and(|lost| lost.is_probed && !self.is_probe);
        state.lost = Some(Lost { failed_at: now, is_probed: another });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let now = Instant::now();
        // Abandoned after this time: the primary did not respond.
        if now.duration_since(self.begun) >= PING_TIMEOUT {
            self.mark_lost(now);
        } else if self.is_probe
            && let Some(lost) = &mut self.availability.state().lost
        {
            lost.is_probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Availability, PAUSE};

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// A primary that is unavailable since the returned instant.
    fn lost() -> (Availability, Instant) {
        let (availability, now) = (Availability::default(), Instant::now());
        availability.attempt(now).unwrap().failed(now);
        (availability, now)
    }

    #[test]
    fn all_may_attempt_while_it_responds() {
        let (availability, now) = (Availability::default(), Instant::now());
        let (one, two) = (availability.attempt(now).unwrap(), availability.attempt(now).unwrap());
        one.answered(now);
        two.answered(now);
        assert!(availability.attempt(now).is_some());
    }

    #[expect(clippy::unchecked_time_subtraction, reason = "constants")]
    #[test]
    fn after_a_failure_one_probes_and_the_others_fail_fast() {
        let (availability, now) = lost();
        assert!(availability.attempt(now + PAUSE - MILLISECOND).is_none());
        let probe = availability.attempt(now + PAUSE).unwrap();
        assert!(availability.attempt(now + 10 * PAUSE).is_none(), "a probe is under way");
        probe.failed(now + 10 * PAUSE);
        assert!(availability.attempt(now + 11 * PAUSE - MILLISECOND).is_none());
        availability.attempt(now + 11 * PAUSE).unwrap().answered(now + 11 * PAUSE);
        let both = (availability.attempt(now + 11 * PAUSE), availability.attempt(now + 11 * PAUSE));
        assert!(both.0.is_some() && both.1.is_some(), "it is back");
    }

    #[test]
    fn a_dropped_probe_leaves_it_to_the_next() {
        let (availability, now) = lost();
        drop(availability.attempt(now + PAUSE).unwrap());
        assert!(availability.attempt(now + PAUSE).is_some());
    }

    #[test]
    fn a_late_failure_does_not_start_a_second_probe() {
        let (availability, now) = (Availability::default(), Instant::now());
        let (first, second) =
            (availability.attempt(now).unwrap(), availability.attempt(now).unwrap());
        first.failed(now);
        let _probe = availability.attempt(now + PAUSE).unwrap();
        second.failed(now + PAUSE);
        assert!(availability.attempt(now + 10 * PAUSE).is_none());
    }

    #[test]
    fn a_failure_while_others_succeed_changes_nothing() {
        let (availability, now) = (Availability::default(), Instant::now());
        let (waits, other) =
            (availability.attempt(now).unwrap(), availability.attempt(now).unwrap());
        other.answered(now + MILLISECOND);
        waits.failed(now + PAUSE);
        assert!(availability.attempt(now + PAUSE).is_some());
    }

    #[test]
    fn an_attempt_dropped_after_the_timeout_is_a_failure() {
        let availability = Availability::default();
        let Some(begun) = Instant::now().checked_sub(Duration::from_secs(3)) else { return };
        drop(availability.attempt(begun).unwrap());
        assert!(availability.attempt(Instant::now()).is_none());
    }
}
