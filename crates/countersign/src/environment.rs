//! What the program reads from the operating system: environment variables, and the clock. Other modules read variables
//! through these functions, so that tests can pass their own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_core::{Clock, Timestamp};

/// The value of a variable; `None` when it is not set or not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this function owns the program's environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// As [`variable`]; an empty value counts as unset.
pub fn non_empty_variable(name: &str) -> Option<String> {
    variable(name).filter(|value| !value.is_empty())
}

/// With a larger difference a replica reports itself as not ready.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct SystemClock {
    offset_millis: AtomicI64,
}

impl SystemClock {
    /// This machine's own clock.
    #[expect(clippy::disallowed_methods, reason = "this function owns the system's clock")]
    pub fn uncorrected() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Sets the correction from the database's clock; returns the difference to this machine's.
    pub fn follow(&self, database: Timestamp) -> Duration {
        let offset = database.millis().saturating_sub(Self::uncorrected().millis());
        self.offset_millis.store(offset, Ordering::Relaxed);
        Duration::from_millis(offset.unsigned_abs())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let offset = self.offset_millis.load(Ordering::Relaxed);
        Timestamp::from_millis(Self::uncorrected().millis().saturating_add(offset))
    }
}
