//! Password attempts are delayed, never locked: a fixed-size table in memory, per replica.
//!
//! An attempt is counted before the password is looked at, so that many at once cannot race past the
//! limit; an account that does not exist is counted like one that does.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use countersign_core::Timestamp;

const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Free attempts per account and window; after them one per `PACE`.
const PER_ACCOUNT: u32 = 10;
const PACE: Duration = Duration::from_secs(30);
const PER_ADDRESS: u32 = 100;
/// An address that succeeded for an account within this time is not counted for it.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

const WAYS: usize = 4;
const SETS: usize = 8_192;

/// How an address is counted: an IPv6 one with its whole /64, which is one customer's.
pub fn counted_address(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Counters for accounts and addresses. When full, the one unused longest gives way.
pub struct LoginAttempts {
    hasher: RandomState,
    slots: Mutex<Vec<Slot>>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    key: u64,
    since: Timestamp,
    last: Timestamp,
    count: u32,
}

/// May this attempt go on?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitPermit {
    Go,
    /// The person may try again after this long.
    Wait(Duration),
}

impl Default for LoginAttempts {
    fn default() -> Self {
        Self { hasher: RandomState::new(), slots: Mutex::new(vec![Slot::default(); SETS * WAYS]) }
    }
}

impl LoginAttempts {
    /// Counts an attempt on an account (canonical form) from an address. Strangers' attempts do not
    /// delay an address that succeeded for the account lately; its own failures do.
    pub fn begin(&self, account: &str, address: &str, now: Timestamp) -> RateLimitPermit {
        if let RateLimitPermit::Wait(wait) =
            self.count(self.key(&("address", address)), PER_ADDRESS, now)
        {
            return RateLimitPermit::Wait(wait);
        }
        let friend = self.read(self.key(&("friend", account, address)));
        let counted = match friend.is_some_and(|slot| now.since(slot.last) < REMEMBERED) {
            true => self.key(&("friend's attempts", account, address)),
            false => self.key(&("account", account)),
        };
        self.count(counted, PER_ACCOUNT, now)
    }

    /// The attempt was a success: the account starts anew, the address is remembered, and the attempt
    /// does not count against the address, behind which a whole company may sit.
    pub fn succeeded(&self, account: &str, address: &str, now: Timestamp) {
        let of_the_account = self.key(&("account", account));
        let of_the_friend = self.key(&("friend's attempts", account, address));
        for key in [of_the_account, of_the_friend] {
            self.with(key, |slot| (slot.count, slot.since) = (0, now));
        }
        self.with(self.key(&("address", address)), |slot| {
            slot.count = slot.count.saturating_sub(1);
        });
        self.with(self.key(&("friend", account, address)), |slot| slot.last = now);
    }

    fn count(&self, key: u64, free: u32, now: Timestamp) -> RateLimitPermit {
        self.with(key, |slot| {
            if slot.count == 0 || now.since(slot.since) >= WINDOW {
                (slot.since, slot.count) = (now, 0);
            }
            let waited = now.since(slot.last);
            if slot.count >= free && waited < PACE {
                return RateLimitPermit::Wait(PACE - waited);
            }
            slot.count = slot.count.saturating_add(1);
            slot.last = now;
            RateLimitPermit::Go
        })
    }

    fn key(&self, what: &impl Hash) -> u64 {
        self.hasher.hash_one(what) | 1
    }

    fn read(&self, key: u64) -> Option<Slot> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(Self::set_of(key))?.iter().find(|slot| slot.key == key).copied()
    }

    /// The slot of this key; a new one takes the place of the one longest unused in its set.
    fn with<T>(&self, key: u64, act: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spare = Slot::default();
        let set = slots.get_mut(Self::set_of(key)).unwrap_or_default();
        let found = set.iter().position(|slot| slot.key == key);
        let place = found.or_else(|| {
            set.iter().enumerate().min_by_key(|(_, slot)| slot.last).map(|(index, _)| index)
        });
        let slot = place.and_then(|index| set.get_mut(index)).unwrap_or(&mut spare);
        if slot.key != key {
            *slot = Slot { key, ..Slot::default() };
        }
        act(slot)
    }

    fn set_of(key: u64) -> std::ops::Range<usize> {
        let set = usize::try_from(key >> 8).unwrap_or(0) % SETS;
        set * WAYS..(set + 1) * WAYS
    }
}

#[cfg(test)]
mod tests {
    use super::{LoginAttempts, RateLimitPermit};
    use countersign_core::Timestamp;
    use std::time::Duration;

    const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn ten_attempts_are_free_then_one_every_thirty_seconds() {
        let attempts = LoginAttempts::default();
        for _ in 0..10 {
            assert_eq!(attempts.begin("bob", "192.0.2.1", NOON), RateLimitPermit::Go);
        }
        assert_eq!(
            attempts.begin("bob", "192.0.2.2", NOON),
            RateLimitPermit::Wait(Duration::from_secs(30))
        );
        let later = NOON + Duration::from_secs(30);
        assert_eq!(attempts.begin("bob", "192.0.2.2", later), RateLimitPermit::Go);
        assert!(matches!(attempts.begin("bob", "192.0.2.3", later), RateLimitPermit::Wait(_)));
    }

    #[test]
    fn the_window_passes() {
        let attempts = LoginAttempts::default();
        for _ in 0..11 {
            attempts.begin("bob", "192.0.2.1", NOON);
        }
        let later = NOON + Duration::from_secs(15 * 60);
        for _ in 0..10 {
            assert_eq!(attempts.begin("bob", "192.0.2.1", later), RateLimitPermit::Go);
        }
    }

    #[test]
    fn bobs_own_address_is_not_delayed_by_a_stranger() {
        let attempts = LoginAttempts::default();
        attempts.begin("bob", "192.0.2.1", NOON);
        attempts.succeeded("bob", "192.0.2.1", NOON);
        for _ in 0..50 {
            attempts.begin("bob", "203.0.113.9", NOON);
        }
        assert!(matches!(attempts.begin("bob", "203.0.113.9", NOON), RateLimitPermit::Wait(_)));
        assert_eq!(attempts.begin("bob", "192.0.2.1", NOON), RateLimitPermit::Go);
    }

    #[test]
    fn an_address_that_succeeded_once_may_not_guess_for_ever() {
        let attempts = LoginAttempts::default();
        attempts.begin("bob", "192.0.2.1", NOON);
        attempts.succeeded("bob", "192.0.2.1", NOON);
        let allowed =
            (0..60).filter(|_| attempts.begin("bob", "192.0.2.1", NOON) == RateLimitPermit::Go);
        assert_eq!(allowed.count(), 10);
    }

    #[test]
    fn a_company_behind_one_address_signs_in_on_monday_morning() {
        let attempts = LoginAttempts::default();
        for n in 0..500 {
            let account = format!("user{n}");
            assert_eq!(attempts.begin(&account, "198.51.100.1", NOON), RateLimitPermit::Go);
            attempts.succeeded(&account, "198.51.100.1", NOON);
        }
    }

    #[test]
    fn one_address_cannot_try_a_thousand_accounts() {
        let attempts = LoginAttempts::default();
        let refused = (0..1000)
            .filter(|n| {
                attempts.begin(&format!("user{n}"), "203.0.113.9", NOON) != RateLimitPermit::Go
            })
            .count();
        assert_eq!(refused, 900);
    }

    #[test]
    fn two_hundred_at_once_get_ten() {
        let attempts = LoginAttempts::default();
        let allowed = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for n in 0..200 {
                let (attempts, allowed) = (&attempts, &allowed);
                scope.spawn(move || {
                    if attempts.begin("bob", &format!("192.0.2.{n}"), NOON) == RateLimitPermit::Go {
                        allowed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(allowed.into_inner(), 10);
    }
}
