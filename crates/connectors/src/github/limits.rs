//! GitHub's limits on requests, its primary and its secondary ones, and whom it must not be requested about
//! for a while. Cached for this replica only; limits are a person's own, so nobody else waits for them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use countersign_core::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use crate::oauth::UpstreamError;

/// GitHub's advice where an answer does not say how long.
const DEFAULT_RETRY_SECONDS: u64 = 60;
/// The primary limit is renewed each hour; a longer wait is cut to this.
const LONGEST_SECONDS: u64 = 60 * 60;
/// Beyond it the one who waits shortest is forgotten.
const MOST: usize = 4096;

pub(super) struct Limit {
    pub what: &'static str,
    pub seconds: u64,
}

/// The rate limit of a response with 403 or 429, if it is one.
pub(super) fn read(
    status: u16,
    headers: &HeaderMap,
    message: &str,
    now: Timestamp,
) -> Option<Limit> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let retry_after = number(RETRY_AFTER.as_str()).and_then(|seconds| u64::try_from(seconds).ok());
    let is_primary = number("x-ratelimit-remaining") == Some(0);
    let message = message.to_ascii_lowercase();
    let is_secondary = message.contains("rate limit") || message.contains("abuse detection");
    match status {
        429 => {}
        403 if retry_after.is_some() || is_primary || is_secondary => {}
        _ => return None,
    }
    let reset = || {
        let at = number("x-ratelimit-reset").filter(|_| is_primary)?;
        u64::try_from(at.saturating_sub(now.secs())).ok()
    };
    let seconds =
        retry_after.or_else(reset).unwrap_or(DEFAULT_RETRY_SECONDS).clamp(1, LONGEST_SECONDS);
    let what = match is_primary && retry_after.is_none() {
        true => "the hour's requests are used up",
        false => "too many at once (the secondary limit)",
    };
    Some(Limit { what, seconds })
}

/// Whom not to ask about, and until when.
#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<String, Instant>>);

impl Limits {
    /// Asking on while limited is what GitHub bans applications for.
    pub fn allow(&self, who: &str) -> Result<(), UpstreamError> {
        let Ok(until) = self.0.lock() else { return Ok(()) };
        let left = until.get(who).map(|until| until.saturating_duration_since(Instant::now()));
        match left {
            Some(left) if !left.is_zero() => Err(UpstreamError::Temporary(format!(
                "GitHub limited this person's requests and gets no further request for {} s",
                left.as_secs() + 1
            ))),
            _ => Ok(()),
        }
    }

    pub fn remember(&self, who: &str, seconds: u64) {
        let Ok(mut until) = self.0.lock() else { return };
        let now = Instant::now();
        until.retain(|_, until| *until > now);
        if until.len() >= MOST
            && let Some(first) = until.iter().min_by_key(|(_, at)| **at).map(|(who, _)| who.clone())
        {
            until.remove(&first);
        }
        until.insert(who.to_owned(), now + Duration::from_secs(seconds));
    }
}

#[cfg(test)]
mod tests;
