//! Limits on password attempts: they delay attempts and never lock an account. Counters are tables of fixed size in
//! memory, per replica.
//!
//! The counter of an attempt, first match wins:
//! 1. the device cookie of an earlier success for this account (OWASP's device cookies, [`super::password`]), so
//!    that attempts from elsewhere never delay a known device;
//! 2. the account at this address, if it succeeded there within a day;
//! 3. the account, and the address at this connector. Accounts that do not exist are counted in the same way.
//!
//! Behind a proxy that is not in `web.clientRemoteIP.trustedProxies` all clients share one address. The address limit
//! therefore counts each connector separately and grows with the number of accounts that signed in from the address;
//! reaching it logs a warning.
//!
//! An attempt is counted before the password is verified, so that concurrent attempts cannot exceed the limit.
//!
//! Each kind of counter has its own table, because a new counter can replace an old one: a counter of an account is
//! replaced only by attempts whose passwords are verified, not by user codes or by attempts that are delayed, which a
//! client with many addresses sends at no cost.

mod counter_table;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::time::Duration;

use countersign_core::Timestamp;
use countersign_core::network::client_prefix;

use counter_table::CounterTable;

const WINDOW: Duration = Duration::from_mins(15);
/// Attempts per account (or device) and window without a delay; further ones are permitted once per `PACE`.
const PER_ACCOUNT: u32 = 10;
const PACE: Duration = Duration::from_secs(30);
/// The same per address and connector, multiplied by one more than the accounts that signed in from the address.
const PER_ADDRESS: u32 = 100;
/// Maximum number of accounts that raise the limit of an address.
const MAX_ADDRESS_ACCOUNTS: u32 = 50;
/// A success is remembered for this long.
const REMEMBERED: Duration = Duration::from_hours(24);

/// Wrong user codes (RFC 8628 section 5.1) per window without a delay, for one address or one signed-in user.
const PER_USER_CODE_GUESSER: u32 = 20;
/// Seconds between two polls of a device (RFC 8628 section 3.5), and what each early poll adds to them.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// A poll that is early by less than this counts as on time, because network delays vary.
const POLL_TOLERANCE: Duration = Duration::from_secs(1);

/// The address as counted, as text.
pub fn counted_address(ip: IpAddr) -> String {
    match client_prefix(ip) {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(prefix) => {
            let [a, b, c, d, ..] = prefix.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Counters for accounts and addresses.
pub struct LoginAttempts {
    hasher: RandomState,
    /// Attempts per account, per account and address, and per account and device.
    accounts: CounterTable,
    /// Attempts per connector and address.
    addresses: CounterTable,
    /// Successes per account and address, and accounts per address.
    successes: CounterTable,
    /// User codes per address or user, and polls per device.
    device_flow: CounterTable,
}

/// Whether an attempt is permitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitPermit {
    Go,
    /// Refused; the user may try again after this time.
    Wait(Duration, LimitedBy),
}

/// Which counter delays an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedBy {
    Account,
    /// The device cookie, or the account at an address where it has succeeded.
    Device,
    /// `accounts`: how many signed in from this address; a large number indicates a proxy's address.
    Address {
        accounts: u32,
    },
}

/// What identifies the counters of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct AttemptKey<'a> {
    pub connector: &'a str,
    /// Canonical form of the login name.
    pub account: &'a str,
    pub address: &'a str,
    /// From a verified device cookie for this account.
    pub device: Option<&'a str>,
}

impl Default for LoginAttempts {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            accounts: CounterTable::with_sets(8_192),
            addresses: CounterTable::with_sets(2_048),
            successes: CounterTable::with_sets(4_096),
            device_flow: CounterTable::with_sets(2_048),
        }
    }
}

impl LoginAttempts {
    /// Counts an attempt and returns whether it is permitted.
    pub fn begin(&self, attempt: &AttemptKey<'_>, now: Timestamp) -> RateLimitPermit {
        let AttemptKey { connector, account, address, device } = *attempt;
        let success = self.successes.read(self.key(&("success", connector, account, address)));
        if let Some(device) = device {
            let key = self.key(&("device", connector, account, device));
            return count(&self.accounts, key, (PER_ACCOUNT, LimitedBy::Device), now);
        }
        if success.is_some_and(|slot| now.since(slot.last) < REMEMBERED) {
            let key = self.key(&("account at address", connector, account, address));
            return count(&self.accounts, key, (PER_ACCOUNT, LimitedBy::Device), now);
        }
        let accounts = self.accounts_of(connector, address, now);
        let free = PER_ADDRESS.saturating_mul(accounts.saturating_add(1));
        let key = self.key(&("address", connector, address));
        let permit = count(&self.addresses, key, (free, LimitedBy::Address { accounts }), now);
        if permit != RateLimitPermit::Go {
            return permit;
        }
        let key = self.key(&("account", connector, account));
        count(&self.accounts, key, (PER_ACCOUNT, LimitedBy::Account), now)
    }

    /// Called after a success: resets the counters of the account, records the address for it, and removes the attempt
    /// from the address's count, if it was counted there.
    pub fn succeeded(&self, attempt: &AttemptKey<'_>, now: Timestamp) {
        let AttemptKey { connector, account, address, device } = *attempt;
        let mut keys = vec![
            self.key(&("account", connector, account)),
            self.key(&("account at address", connector, account, address)),
        ];
        keys.extend(device.map(|device| self.key(&("device", connector, account, device))));
        for key in keys {
            self.accounts.with(key, |slot| (slot.count, slot.since) = (0, now));
        }
        let key = self.key(&("success", connector, account, address));
        let known = self.successes.with(key, |slot| {
            let known = slot.last != Timestamp::default() && now.since(slot.last) < REMEMBERED;
            slot.last = now;
            known
        });
        // An attempt of a known device or account is not counted by its address. If it were removed from that count,
        // sign-ins with one's own account would allow any number of guesses at others.
        if !known && device.is_none() {
            self.addresses.with(self.key(&("address", connector, address)), |slot| {
                slot.count = slot.count.saturating_sub(1);
            });
        }
        if !known {
            self.successes.with(self.key(&("accounts", connector, address)), |slot| {
                if now.since(slot.since) >= REMEMBERED {
                    (slot.since, slot.count) = (now, 0);
                }
                slot.last = now;
                slot.count = slot.count.saturating_add(1).min(MAX_ADDRESS_ACCOUNTS);
            });
        }
    }

    /// Counts an entered user code. `Some`: refused; the user may try again after this time.
    pub fn begin_user_code(&self, counted_by: &str, now: Timestamp) -> Option<Duration> {
        let key = self.key(&("user code", counted_by));
        match count(&self.device_flow, key, (PER_USER_CODE_GUESSER, LimitedBy::Account), now) {
            RateLimitPermit::Go => None,
            RateLimitPermit::Wait(wait, _) => Some(wait),
        }
    }

    /// Removes a correct user code from the count.
    pub fn user_code_found(&self, counted_by: &str) {
        self.device_flow.with(self.key(&("user code", counted_by)), |slot| {
            slot.count = slot.count.saturating_sub(1);
        });
    }

    /// Whether this poll of a device is early; each early poll increases the device's interval (RFC 8628 section 3.5).
    /// Counted in memory, because polling must not write to the database; with several replicas a device may therefore
    /// poll once per interval at each.
    pub fn polls_too_fast(&self, device_code_hash: &str, now: Timestamp) -> bool {
        self.device_flow.with(self.key(&("device code", device_code_hash)), |slot| {
            let interval = POLL_INTERVAL.saturating_mul(slot.count.saturating_add(1));
            let is_first = slot.last == Timestamp::default();
            let is_early = !is_first && now.since(slot.last) + POLL_TOLERANCE < interval;
            slot.last = now;
            slot.count = slot.count.saturating_add(u32::from(is_early)).min(1_000);
            is_early
        })
    }

    /// Number of accounts that signed in from this address within a day.
    fn accounts_of(&self, connector: &str, address: &str, now: Timestamp) -> u32 {
        let slot = self.successes.read(self.key(&("accounts", connector, address)));
        slot.filter(|slot| now.since(slot.since) < REMEMBERED).map_or(0, |slot| slot.count)
    }

    fn key(&self, what: &impl Hash) -> u64 {
        self.hasher.hash_one(what) | 1
    }
}

/// Counts an attempt, unless it is delayed. `limit`: how many are permitted without a delay, and by which counter.
fn count(
    table: &CounterTable,
    key: u64,
    limit: (u32, LimitedBy),
    now: Timestamp,
) -> RateLimitPermit {
    let (free, by) = limit;
    table.with(key, |slot| {
        if slot.count == 0 || now.since(slot.since) >= WINDOW {
            (slot.since, slot.count) = (now, 0);
        }
        let waited = now.since(slot.last);
        if slot.count >= free && waited < PACE {
            return RateLimitPermit::Wait(PACE.saturating_sub(waited), by);
        }
        slot.count = slot.count.saturating_add(1);
        slot.last = now;
        RateLimitPermit::Go
    })
}

#[cfg(test)]
mod tests {
    use super::{AttemptKey, LimitedBy, LoginAttempts, RateLimitPermit};
    use countersign_core::Timestamp;
    use std::time::Duration;

    const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn key<'a>(account: &'a str, address: &'a str) -> AttemptKey<'a> {
        AttemptKey { connector: "local", account, address, device: None }
    }

    fn allowed(attempts: &LoginAttempts, attempt: AttemptKey<'_>, tries: usize) -> usize {
        (0..tries).filter(|_| attempts.begin(&attempt, NOON) == RateLimitPermit::Go).count()
    }

    #[test]
    fn ten_attempts_are_free_then_one_every_thirty_seconds() {
        let attempts = LoginAttempts::default();
        assert_eq!(allowed(&attempts, key("bob", "192.0.2.1"), 10), 10);
        assert_eq!(
            attempts.begin(&key("bob", "192.0.2.2"), NOON),
            RateLimitPermit::Wait(Duration::from_secs(30), LimitedBy::Account)
        );
        let later = NOON + Duration::from_secs(30);
        assert_eq!(attempts.begin(&key("bob", "192.0.2.2"), later), RateLimitPermit::Go);
        assert_ne!(attempts.begin(&key("bob", "192.0.2.3"), later), RateLimitPermit::Go);
    }

    #[test]
    fn the_window_passes() {
        let attempts = LoginAttempts::default();
        allowed(&attempts, key("bob", "192.0.2.1"), 11);
        let later = NOON + Duration::from_mins(15);
        for _ in 0..10 {
            assert_eq!(attempts.begin(&key("bob", "192.0.2.1"), later), RateLimitPermit::Go);
        }
    }

    #[test]
    fn bobs_own_address_is_not_delayed_by_a_stranger() {
        let attempts = LoginAttempts::default();
        attempts.begin(&key("bob", "192.0.2.1"), NOON);
        attempts.succeeded(&key("bob", "192.0.2.1"), NOON);
        assert_eq!(allowed(&attempts, key("bob", "203.0.113.9"), 50), 10);
        assert_eq!(allowed(&attempts, key("bob", "192.0.2.1"), 1), 1);
    }

    #[test]
    fn an_address_that_succeeded_once_may_not_guess_for_ever() {
        let attempts = LoginAttempts::default();
        attempts.begin(&key("bob", "192.0.2.1"), NOON);
        attempts.succeeded(&key("bob", "192.0.2.1"), NOON);
        assert_eq!(allowed(&attempts, key("bob", "192.0.2.1"), 60), 10);
    }

    #[test]
    fn a_company_behind_one_address_signs_in_on_monday_morning() {
        let attempts = LoginAttempts::default();
        for n in 0..500 {
            let account = format!("user{n}");
            let attempt = key(&account, "198.51.100.1");
            assert_eq!(attempts.begin(&attempt, NOON), RateLimitPermit::Go);
            attempts.succeeded(&attempt, NOON);
        }
    }

    #[test]
    fn one_address_cannot_try_a_thousand_accounts() {
        let attempts = LoginAttempts::default();
        let go = |n: &usize| {
            attempts.begin(&key(&format!("user{n}"), "203.0.113.9"), NOON) == RateLimitPermit::Go
        };
        assert_eq!((0..1000).filter(go).count(), 100);
    }

    /// Regression (issue 9, 3): one attacker behind a shared proxy delayed the logins of all users.
    #[test]
    fn a_stranger_behind_the_proxys_address_delays_no_known_device_and_no_other_connector() {
        let attempts = LoginAttempts::default();
        attempts.succeeded(&key("jane", "10.0.0.1"), NOON);
        for n in 0..500 {
            attempts.begin(&key(&format!("user{n}"), "10.0.0.1"), NOON);
        }
        let bob = AttemptKey { device: Some("bobs laptop"), ..key("bob", "10.0.0.1") };
        assert_eq!(allowed(&attempts, bob, 60), 10, "a known device is counted by itself");
        assert_eq!(allowed(&attempts, key("jane", "10.0.0.1"), 1), 1, "she succeeded there");
        let other_key = AttemptKey { connector: "ldap", ..key("ann", "10.0.0.1") };
        assert_eq!(allowed(&attempts, other_key, 1), 1, "another connector has its own counter");
        let limited = attempts.begin(&key("new", "10.0.0.1"), NOON);
        let by = LimitedBy::Address { accounts: 1 };
        assert!(matches!(limited, RateLimitPermit::Wait(_, found) if found == by), "{limited:?}");
    }

    /// Threat 157: otherwise anybody with an account could guess the passwords of others without a limit.
    #[test]
    fn sign_ins_of_a_known_account_allow_no_further_guesses_at_its_address() {
        let attempts = LoginAttempts::default();
        let own = key("mallory", "10.0.0.1");
        attempts.begin(&own, NOON);
        attempts.succeeded(&own, NOON);
        let device = AttemptKey { device: Some("mallorys laptop"), ..own };
        let is_allowed = |n: &usize| {
            for known in [own, device] {
                attempts.begin(&known, NOON);
                attempts.succeeded(&known, NOON);
            }
            attempts.begin(&key(&format!("user{n}"), "10.0.0.1"), NOON) == RateLimitPermit::Go
        };
        let count = (0..300).filter(is_allowed).count();
        assert_eq!(count, 200, "a hundred, and a hundred for the account that signed in there");
    }

    /// Threat 157: counters have a table of fixed size, and a client with an IPv6 /48 network has 65 536 addresses.
    #[test]
    fn what_costs_an_attacker_nothing_resets_no_counter_of_an_account() {
        let attempts = LoginAttempts::default();
        for account in ["bob", "eve"] {
            assert_eq!(allowed(&attempts, key(account, "192.0.2.1"), 60), 10);
        }
        let later = NOON + Duration::from_secs(1);
        for n in 0..65_536 {
            let address = format!("2001:db8:1:{n:x}::/64");
            attempts.begin_user_code(&address, later);
            let delayed = attempts.begin(&key("eve", &address), later);
            assert_ne!(delayed, RateLimitPermit::Go, "{address}");
        }
        assert_ne!(attempts.begin(&key("bob", "192.0.2.2"), later), RateLimitPermit::Go);
    }

    #[test]
    fn two_hundred_at_once_get_ten() {
        let attempts = LoginAttempts::default();
        let allowed = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for n in 0..200 {
                let (attempts, allowed) = (&attempts, &allowed);
                scope.spawn(move || {
                    let address = format!("192.0.2.{n}");
                    if attempts.begin(&key("bob", &address), NOON) == RateLimitPermit::Go {
                        allowed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(allowed.into_inner(), 10);
    }
}
