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
        // Where both are there, the advice is what counts.
        (403, &[("retry-after", "7"), used_up[0], used_up[1]][..], "", Some(7)),
        // Already over, far away, and no number at all.
        (403, &[used_up[0], ("x-ratelimit-reset", "999000")][..], "", Some(60)),
        (429, &[("retry-after", "99999999")][..], "", Some(3600)),
        (429, &[("retry-after", "0")][..], "", Some(1)),
        (429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")][..], "", Some(60)),
        (429, &[("retry-after", "-5")][..], "", Some(60)),
        // No limit.
        (403, &[("x-ratelimit-remaining", "4999")][..], "Resource protected by SAML", None),
        (403, &[][..], "", None),
        (401, &used_up[..], "Bad credentials", None),
        (200, &used_up[..], "", None),
    ] {
        let limit = read(status, &headers(headers_sent), message, now).map(|limit| limit.seconds);
        assert_eq!(limit, expected, "{status} {headers_sent:?} {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_limited_is_left_alone_until_it_is_over_and_nobody_else_is() {
    let limits = Limits::default();
    limits.remember("42", 30);
    let reason = limits.allow("42").unwrap_err().to_string();
    assert!(reason.contains("gets no further request for 31 s"), "{reason}");
    assert!(limits.allow("43").is_ok());
    tokio::time::advance(std::time::Duration::from_secs(30)).await;
    assert!(limits.allow("42").is_ok());
}
