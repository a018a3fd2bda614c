//! Instants and durations. Only the program reads the system's clock; everything else takes a [`Clock`].

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can represent.
const LAST_SECOND: i64 = 253_402_300_799;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }
    /// Seconds since 1970, such as a NumericDate; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }
    pub const fn millis(self) -> i64 {
        self.0
    }
    /// Whole seconds, as in JWT's NumericDate (RFC 7519 section 2).
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// Year, month and day in UTC; month and day begin at 1.
    pub fn date(self) -> (i32, u8, u8) {
        let (year, month, day) = self.utc().to_calendar_date();
        (year, month.into(), day)
    }
    /// In seconds. Instants beyond the year 9999, such as the sum of an instant and an unlimited lifetime, become the
    /// last second of that year.
    fn utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.secs().min(LAST_SECOND))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
    /// RFC 3339 in milliseconds, for programs that send it back.
    pub fn exact(self) -> String {
        let whole = self.to_string();
        format!("{}.{:03}Z", whole.trim_end_matches('Z'), self.0.rem_euclid(1000))
    }
    /// The time elapsed since `earlier`; zero if it is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl std::str::FromStr for Timestamp {
    type Err = NotAnInstant;

    /// Parses RFC 3339, such as `2026-11-24T09:30:00+01:00`. The zone defaults to UTC, seconds and time of day to zero,
    /// for form fields and the command line.
    fn from_str(text: &str) -> Result<Self, NotAnInstant> {
        let text = text.trim();
        let (date, rest) = text.split_at_checked(10).ok_or(NotAnInstant)?;
        let rest = if rest.is_empty() { "T00:00" } else { rest };
        let rest = rest.strip_prefix(['T', 't', ' ']).ok_or(NotAnInstant)?;
        let (time, zone) = match rest.find(['Z', 'z', '+', '-']) {
            Some(at) => rest.split_at_checked(at).ok_or(NotAnInstant)?,
            None => (rest, "Z"),
        };
        let seconds = if time.matches(':').count() == 1 { ":00" } else { "" };
        let text = format!("{date}T{time}{seconds}{}", zone.to_ascii_uppercase());
        let instant = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| NotAnInstant)?;
        Ok(Self(instant.unix_timestamp() * 1000 + i64::from(instant.millisecond())))
    }
}

/// The text is not an RFC 3339 instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an instant such as 2026-11-24T09:30:00Z")]
pub struct NotAnInstant;

/// RFC 3339 in UTC with seconds, for users and logs.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = self.utc();
        let (date, (h, m, s)) = (utc.date(), utc.to_hms());
        write!(f, "{date}T{h:02}:{m:02}:{s:02}Z")
    }
}

/// Parses Go's duration format (`1h30m`, `300ms`), which Dex's files use. Days and negative values are refused.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at_checked(number_end)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = tail;
    }
    Some(total)
}

/// Formats a duration in the same format, with milliseconds.
pub fn show_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (h, m, s, ms) = (secs / 3600, secs / 60 % 60, secs % 60, duration.subsec_millis());
    let parts = [(h, "h"), (m, "m"), (s, "s"), (u64::from(ms), "ms")];
    let text: String =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The source of the current time. Only the program uses the system's clock; tests have their own.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Timestamp, parse_duration, show_duration};

    #[test]
    fn known_instants_print_as_rfc_3339() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_473_266, "2026-11-23T22:34:26Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::from_secs(secs).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_secs(secs)));
        }
    }

    #[test]
    fn an_instant_that_rfc_3339_cannot_write_prints_as_the_last_one() {
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn instants_may_omit_zone_and_time() {
        let read = |text: &str| text.parse::<Timestamp>().map(|t| t.to_string());
        for (text, meant) in [
            ("2026-11-24", "2026-11-24T00:00:00Z"),
            ("2026-11-24T09:30", "2026-11-24T09:30:00Z"),
            (" 2026-11-24 09:30:15 ", "2026-11-24T09:30:15Z"),
            ("2026-11-24T00:30:00+01:00", "2026-11-23T23:30:00Z"),
            ("2026-11-24T09:30:15.1239Z", "2026-11-24T09:30:15Z"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(meant), "{text}");
        }
        let fraction = "1970-01-01T00:00:00.25Z".parse::<Timestamp>().map(Timestamp::millis);
        assert_eq!(fraction, Ok(250));
        for millis in [0, 1, 999, 1_795_473_266_042, -1] {
            let instant = Timestamp::from_millis(millis);
            assert_eq!(instant.exact().parse(), Ok(instant));
        }
        for text in [
            "",
            "now",
            "2026-02-30",
            "2026-13-01",
            "2026-11-24T24:00",
            "2026-11-24x",
            "26-1-1",
            "2026-11-24T09:30:00+1",
            "2026-11-24T09:30:00.x",
            "９９９９-11-24",
            "2026-11-24T09:30:61Z",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_parsed_as_in_go() {
        for (text, secs) in
            [("1h30m", 5400.0), ("10m", 600.0), ("0", 0.0), ("1.5s", 1.5), ("250ms", 0.25)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_secs_f64(secs)), "{text}");
        }
        for text in ["", "10", "1d", "-5m", "m", "5 m", "1h30"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(show_duration(Duration::from_mins(90)), "1h30m");
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }
}
