//! The users revalidated at one connector within the last minute, and how many of them were refused.
//!
//! Users are counted, not requests: a client that retries in a loop must neither open the breaker nor keep it closed.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use countersign_core::Timestamp;

/// For how long an outcome counts.
pub const WINDOW: Duration = Duration::from_mins(1);
/// The breaker opens above this number of refused users if they are also more than `PERCENT` of all.
const PEOPLE: usize = 20;
const PERCENT: usize = 20;
/// Above this number of refused users, "disabled" ends a session only at a second refusal.
const FEW: usize = 3;
/// Maximum number of outcomes kept; beyond it the oldest is dropped, which shortens the window.
const MAX_OUTCOMES: usize = 20_000;

/// The outcomes of one connector within [`WINDOW`].
#[derive(Default)]
pub struct RefusalWindow {
    hasher: RandomState,
    /// Oldest first.
    outcomes: VecDeque<Outcome>,
    people: HashMap<u64, OutcomeCounts>,
    refused_people: usize,
}

struct Outcome {
    at: Timestamp,
    person: u64,
    refused: bool,
}

/// Outcomes for one user within the window.
#[derive(Default)]
struct OutcomeCounts {
    all: usize,
    refused: usize,
}

/// Numbers of users within the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    pub refused: usize,
    /// Includes the refused ones.
    pub total: usize,
}

impl Tally {
    /// So many users were refused that the breaker opens.
    pub fn exceeds_threshold(self) -> bool {
        self.refused > PEOPLE && self.refused * 100 > self.total * PERCENT
    }

    /// More users were refused than in ordinary operation.
    pub fn is_unusual(self) -> bool {
        self.refused > FEW
    }
}

impl RefusalWindow {
    /// Adds an outcome and returns the tally of the window that ends at `now`.
    pub fn count(&mut self, person: &str, refused: bool, now: Timestamp) -> Tally {
        while self.outcomes.front().is_some_and(|first| {
            now.since(first.at) > WINDOW || self.outcomes.len() >= MAX_OUTCOMES
        }) {
            self.forget_first();
        }
        let person = self.hasher.hash_one(person);
        self.outcomes.push_back(Outcome { at: now, person, refused });
        let counts = self.people.entry(person).or_default();
        counts.all += 1;
        if refused {
            counts.refused += 1;
            self.refused_people += usize::from(counts.refused == 1);
        }
        Tally { refused: self.refused_people, total: self.people.len() }
    }

    fn forget_first(&mut self) {
        let Some(Outcome { person, refused, .. }) = self.outcomes.pop_front() else { return };
        let Some(counts) = self.people.get_mut(&person) else { return };
        counts.all -= 1;
        if refused {
            counts.refused -= 1;
            self.refused_people -= usize::from(counts.refused == 0);
        }
        if counts.all == 0 {
            self.people.remove(&person);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_core::Timestamp;

    use super::{MAX_OUTCOMES, RefusalWindow, Tally};

    const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn after(seconds: u64) -> Timestamp {
        NOON + Duration::from_secs(seconds)
    }

    #[test]
    fn the_twenty_first_person_makes_it_a_mistake() {
        let mut minute = RefusalWindow::default();
        for n in 0..20 {
            assert!(!minute.count(&format!("p{n}"), true, after(n)).exceeds_threshold());
        }
        let last = minute.count("p20", true, after(20));
        assert_eq!(last, Tally { refused: 21, total: 21 });
        assert!(last.exceeds_threshold());
    }

    #[test]
    fn one_person_who_tries_again_and_again_is_one() {
        let mut minute = RefusalWindow::default();
        for _ in 0..200 {
            assert_eq!(minute.count("bob", true, NOON), Tally { refused: 1, total: 1 });
        }
        for _ in 0..2 {
            assert!(!minute.count("jane", true, NOON).is_unusual());
        }
    }

    #[test]
    fn twenty_one_among_a_hundred_and_five_are_a_fifth_and_no_more() {
        let mut minute = RefusalWindow::default();
        for n in 0..84 {
            minute.count(&format!("accepted{n}"), false, NOON);
        }
        for n in 0..21 {
            assert!(!minute.count(&format!("gone{n}"), true, NOON).exceeds_threshold(), "{n}");
        }
        assert!(minute.count("gone21", true, NOON).exceeds_threshold(), "22 of 106");
    }

    #[test]
    fn what_is_older_than_a_minute_does_not_count() {
        let mut minute = RefusalWindow::default();
        for n in 0..20 {
            minute.count(&format!("p{n}"), true, NOON);
        }
        assert_eq!(minute.count("p0", false, after(60)), Tally { refused: 20, total: 20 });
        assert_eq!(minute.count("late", true, after(61)), Tally { refused: 1, total: 2 });
        assert_eq!(minute.people.len(), 2);
    }

    #[test]
    fn a_clock_that_goes_back_and_a_flood_break_nothing() {
        let mut minute = RefusalWindow::default();
        for n in 0..=MAX_OUTCOMES {
            minute.count(&format!("p{n}"), n % 2 == 0, after(30));
        }
        minute.count("early", true, NOON);
        assert_eq!(minute.outcomes.len(), MAX_OUTCOMES);
        assert!(minute.people.len() <= MAX_OUTCOMES);
        minute.count("later", true, after(200));
        assert_eq!((minute.outcomes.len(), minute.refused_people), (1, 1));
    }
}
