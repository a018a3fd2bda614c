//! Whether the primary answers. While it does not, one verb at a time looks again and the others are
//! told at once, instead of each waiting as long and holding its client.
//!
//! Knows no connection. The instants are this process' own: nothing is decided by them but patience.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::PING_PATIENCE;

/// How long after a failure nobody looks again.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
pub(super) struct Reach(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answered_at: Option<Instant>,
    lost: Option<Lost>,
}

struct Lost {
    failed_at: Instant,
    /// Somebody has been looking again since.
    looked_for: bool,
}

/// One look at the primary; says how it ended, or is given up when dropped.
pub(super) struct Attempt {
    reach: Reach,
    begun: Instant,
    /// The one that looks again while the primary is lost.
    alone: bool,
    ended: bool,
}

impl Reach {
    /// `None` when the primary did not answer a moment ago, or somebody is finding out just now.
    pub(super) fn attempt(&self, now: Instant) -> Option<Attempt> {
        let mut state = self.state();
        let alone = match &mut state.lost {
            None => false,
            Some(lost) if lost.looked_for || now.duration_since(lost.failed_at) < PAUSE => {
                return None;
            }
            Some(lost) => {
                lost.looked_for = true;
                true
            }
        };
        drop(state);
        Some(Attempt { reach: self.clone(), begun: now, alone, ended: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    pub(super) fn answered(mut self, now: Instant) {
        self.ended = true;
        *self.reach.state() = State { answered_at: Some(now), lost: None };
    }

    pub(super) fn failed(mut self, now: Instant) {
        self.ended = true;
        self.lose(now);
    }

    fn lose(&self, now: Instant) {
        let mut state = self.reach.state();
        // Others were answered meanwhile: it is busy, not lost.
        if state.answered_at.is_some_and(|at| at >= self.begun) {
            return;
        }
        let another = state.lost.as_ref().is_some_and(|lost| lost.looked_for && !self.alone);
        state.lost = Some(Lost { failed_at: now, looked_for: another });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let now = Instant::now();
        // Whoever gave up after so long has seen that there is no answer.
        if now.duration_since(self.begun) >= PING_PATIENCE {
            self.lose(now);
        } else if self.alone
            && let Some(lost) = &mut self.reach.state().lost
        {
            lost.looked_for = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{PAUSE, Reach};

    const MOMENT: Duration = Duration::from_millis(1);

    /// Lost at the instant returned.
    fn lost() -> (Reach, Instant) {
        let (reach, now) = (Reach::default(), Instant::now());
        reach.attempt(now).unwrap().failed(now);
        (reach, now)
    }

    #[test]
    fn everybody_may_look_while_it_answers() {
        let (reach, now) = (Reach::default(), Instant::now());
        let (one, two) = (reach.attempt(now).unwrap(), reach.attempt(now).unwrap());
        one.answered(now);
        two.answered(now);
        assert!(reach.attempt(now).is_some());
    }

    #[test]
    fn after_a_failure_one_looks_again_and_the_others_are_told() {
        let (reach, now) = lost();
        assert!(reach.attempt(now + PAUSE - MOMENT).is_none());
        let looks = reach.attempt(now + PAUSE).unwrap();
        assert!(reach.attempt(now + 10 * PAUSE).is_none(), "somebody looks already");
        looks.failed(now + 10 * PAUSE);
        assert!(reach.attempt(now + 11 * PAUSE - MOMENT).is_none());
        reach.attempt(now + 11 * PAUSE).unwrap().answered(now + 11 * PAUSE);
        let both = (reach.attempt(now + 11 * PAUSE), reach.attempt(now + 11 * PAUSE));
        assert!(both.0.is_some() && both.1.is_some(), "it is back");
    }

    #[test]
    fn whoever_stops_looking_leaves_it_to_the_next() {
        let (reach, now) = lost();
        drop(reach.attempt(now + PAUSE).unwrap());
        assert!(reach.attempt(now + PAUSE).is_some());
    }

    #[test]
    fn an_earlier_one_that_fails_late_does_not_send_a_second_to_look() {
        let (reach, now) = (Reach::default(), Instant::now());
        let (first, second) = (reach.attempt(now).unwrap(), reach.attempt(now).unwrap());
        first.failed(now);
        let _looks = reach.attempt(now + PAUSE).unwrap();
        second.failed(now + PAUSE);
        assert!(reach.attempt(now + 10 * PAUSE).is_none());
    }

    #[test]
    fn one_that_waited_in_vain_while_others_were_answered_loses_nothing() {
        let (reach, now) = (Reach::default(), Instant::now());
        let (waits, other) = (reach.attempt(now).unwrap(), reach.attempt(now).unwrap());
        other.answered(now + MOMENT);
        waits.failed(now + PAUSE);
        assert!(reach.attempt(now + PAUSE).is_some());
    }

    #[test]
    fn giving_up_after_long_is_a_failure_too() {
        let reach = Reach::default();
        let Some(begun) = Instant::now().checked_sub(Duration::from_secs(3)) else { return };
        drop(reach.attempt(begun).unwrap());
        assert!(reach.attempt(Instant::now()).is_none());
    }
}
