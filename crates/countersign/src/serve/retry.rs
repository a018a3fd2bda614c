//! A valid configuration that could not be applied, because the database or the service of the signing key did not
//! answer: it is applied again until that succeeds or the files change.

use std::time::Duration;

use countersign_core::Timestamp;

const INTERVAL: Duration = Duration::from_secs(30);

/// A reload that is to be repeated.
pub struct Retry {
    /// What caused the first attempt, and who.
    pub reason: String,
    pub actor: String,
    /// Why the last attempt failed.
    pub problem: String,
    pub tried_at: Timestamp,
}

impl Retry {
    /// True 30 seconds after the last attempt, and when the clock was set back before it.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now < self.tried_at || now.since(self.tried_at) >= INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_core::Timestamp;

    use super::Retry;

    #[test]
    fn it_is_due_after_30_seconds_whatever_the_clock_does() {
        let tried_at = Timestamp::from_millis(1_000_000);
        let retry = Retry {
            reason: "SIGHUP".to_owned(),
            actor: "system".to_owned(),
            problem: "the database does not answer".to_owned(),
            tried_at,
        };
        assert!(!retry.is_due(tried_at));
        assert!(!retry.is_due(tried_at + Duration::from_secs(29)));
        assert!(retry.is_due(tried_at + Duration::from_secs(30)));
        assert!(retry.is_due(tried_at - Duration::from_hours(1)), "the clock was set back");
    }
}
