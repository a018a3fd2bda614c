//! GitHub's primary and secondary rate limits, and the users for whom no request may be sent until a limit ends. Kept
//! in memory per replica; limits are per user, so other users are not affected.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use countersign_core::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use crate::oauth::UpstreamError;

/// GitHub's advice if the response has no time.
const DEFAULT_RETRY_SECONDS: u64 = 60;
/// The primary limit resets every hour; a longer wait is reduced to this.
const LONGEST_SECONDS: u64 = 60 * 60;
/// Maximum number of entries; beyond it the one that ends first is dropped.
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

/// User ids and until when no request may be sent for them.
#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<String, Instant>>);

impl Limits {
    /// Refuses a request for a user who is limited: GitHub bans applications that continue while limited.
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
        // Of concurrent responses the one read last need not have the limit that ends last.
        let ends = now + Duration::from_secs(seconds);
        let entry = until.entry(who.to_owned()).or_insert(ends);
        *entry = ends.max(*entry);
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::Timestamp;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{Limits, read};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    /// GitHub's "Rate limits for the REST API".
    #[test]
    fn a_rate_limit_is_distinguished_from_other_refusals_and_its_end_is_read() {
        let now = Timestamp::from_secs(1_000_000);
        let secondary = "You have exceeded a secondary rate limit. Please wait a few minutes.";
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000090")];
        for (status, headers_sent, message, expected) in [
            (403, &used_up[..], "API rate limit exceeded", Some(90)),
            (429, &used_up[..], "", Some(90)),
            (403, &[("retry-after", "7")][..], secondary, Some(7)),
            (429, &[("retry-after", "7")][..], "", Some(7)),
            (403, &[][..], secondary, Some(60)),
            (403, &[][..], "You have triggered an abuse detection mechanism.", Some(60)),
            (429, &[][..], "", Some(60)),
            // With both headers, `retry-after` is used.
            (403, &[("retry-after", "7"), used_up[0], used_up[1]][..], "", Some(7)),
            // A reset in the past, far in the future, and values that are not numbers.
            (403, &[used_up[0], ("x-ratelimit-reset", "999000")][..], "", Some(60)),
            (429, &[("retry-after", "99999999")][..], "", Some(3600)),
            (429, &[("retry-after", "0")][..], "", Some(1)),
            (429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")][..], "", Some(60)),
            (429, &[("retry-after", "-5")][..], "", Some(60)),
            // Not a rate limit.
            (403, &[("x-ratelimit-remaining", "4999")][..], "Resource protected by SAML", None),
            (403, &[][..], "", None),
            (401, &used_up[..], "Bad credentials", None),
            (200, &used_up[..], "", None),
        ] {
            let limit =
                read(status, &headers(headers_sent), message, now).map(|limit| limit.seconds);
            assert_eq!(limit, expected, "{status} {headers_sent:?} {message}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_limited_is_left_alone_until_it_is_over_and_nobody_else_is() {
        let limits = Limits::default();
        limits.remember("42", 30);
        limits.remember("42", 7);
        let reason = limits.allow("42").unwrap_err().to_string();
        assert!(reason.contains("gets no further request for 31 s"), "{reason}");
        assert!(limits.allow("43").is_ok());
        tokio::time::advance(std::time::Duration::from_secs(30)).await;
        assert!(limits.allow("42").is_ok());
    }
}
