//! Tracks whether the primary is available. While it is not, one request at a time probes it and the others fail fast,
//! instead of each waiting for the full timeout. The instants are local to this process and only decide which requests
//! wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::PING_TIMEOUT;

/// After a failure nothing is attempted for this long.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

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
pub(super) struct Attempt {
    availability: Availability,
    begun: Instant,
    /// Whether this is the probe of an unavailable primary.
    is_probe: bool,
    ended: bool,
}

impl Availability {
    /// `None` when the primary failed less than [`PAUSE`] ago, or a probe is in progress.
    pub(super) fn attempt(&self, now: Instant) -> Option<Attempt> {
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
    pub(super) fn answered(mut self, now: Instant) {
        self.ended = true;
        *self.availability.state() = State { answered_at: Some(now), lost: None };
    }

    pub(super) fn failed(mut self, now: Instant) {
        self.ended = true;
        self.lose(now);
    }

    fn lose(&self, now: Instant) {
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
            self.lose(now);
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
