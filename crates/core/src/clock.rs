//! Time as a value. Who reads the real clock is decided by the program, nowhere else.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }
    pub const fn millis(self) -> i64 {
        self.0
    }
    /// Whole seconds, as JWT's NumericDate (RFC 7519 section 2) wants them.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// Year, month and day in UTC, the latter two from 1.
    pub fn date(self) -> (i64, i64, i64) {
        civil(self.secs().div_euclid(86_400))
    }
    /// RFC 3339 to the millisecond, for programs that send it back.
    pub fn exact(self) -> String {
        let whole = self.to_string();
        format!("{}.{:03}Z", whole.trim_end_matches('Z'), self.0.rem_euclid(1000))
    }
    /// How long ago `earlier` was; zero when it lies in the future.
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

    /// RFC 3339, such as `2026-11-24T09:30:00+01:00`. Without a zone it is UTC, without seconds or a time
    /// of day those are zero: what a form's field and a person at a terminal write.
    fn from_str(text: &str) -> Result<Self, NotAnInstant> {
        let text = text.trim();
        let (date, rest) = text.split_at_checked(10).ok_or(NotAnInstant)?;
        let days = days_of(&numbers(date, '-').ok_or(NotAnInstant)?).ok_or(NotAnInstant)?;
        let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else {
            return if rest.is_empty() {
                Ok(Self::from_secs(days * 86_400))
            } else {
                Err(NotAnInstant)
            };
        };
        let (time, offset) = match rest.find(['Z', 'z', '+', '-']) {
            Some(at) => rest.split_at_checked(at).ok_or(NotAnInstant)?,
            None => (rest, "Z"),
        };
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let millis =
            format!("{fraction:0<3}").get(..3).and_then(|digits| digits.parse::<i64>().ok());
        let seconds = seconds_of(&numbers(time, ':').ok_or(NotAnInstant)?).ok_or(NotAnInstant)?;
        let zone = zone_of(offset).ok_or(NotAnInstant)?;
        let whole = days * 86_400 + seconds - zone;
        Ok(Self(whole * 1000 + millis.ok_or(NotAnInstant)?))
    }
}

/// The text is no instant of RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an instant such as 2026-11-24T09:30:00Z")]
pub struct NotAnInstant;

/// Numbers of at least two digits each, and nothing else.
fn numbers(text: &str, between: char) -> Option<Vec<i64>> {
    let number = |part: &str| {
        let digits = part.len() >= 2 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok())?
    };
    text.split(between).map(number).collect()
}

fn days_of(date: &[i64]) -> Option<i64> {
    let [year, month, day] = *date else { return None };
    // The month's first day, found by counting the way back that `civil` counts.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + day_of_era - 719_468;
    ((1..=12).contains(&month) && civil(days) == (year, month, day)).then_some(days)
}

fn seconds_of(time: &[i64]) -> Option<i64> {
    let (hour, minute, second) = match *time {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

fn zone_of(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = (text.get(..1)?, text.get(1..)?);
    let seconds = seconds_of(&numbers(rest, ':')?)?;
    Some(if sign == "-" { -seconds } else { seconds })
}

/// RFC 3339 in UTC with seconds, for people and logs.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.secs().rem_euclid(86_400);
        let (year, month, day) = self.date();
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
    }
}

/// Days since 1970-01-01 to the proleptic Gregorian date, counting in eras of 400 years from 0000-03-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Parses Go's duration text (`1h30m`, `300ms`), which Dex's files use. Days and negative values are refused.
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

/// A duration in the same text form, to the millisecond.
pub fn show_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (h, m, s, ms) = (secs / 3600, secs / 60 % 60, secs % 60, duration.subsec_millis());
    let parts = [(h, "h"), (m, "m"), (s, "s"), (u64::from(ms), "ms")];
    let text: String =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Where the time comes from. Only the program owns the real one; tests own theirs.
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
        ] {
            assert_eq!(Timestamp::from_secs(secs).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_secs(secs)));
        }
    }

    #[test]
    fn what_people_and_forms_write_is_read() {
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
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, secs) in
            [("1h30m", 5400.0), ("10m", 600.0), ("0", 0.0), ("1.5s", 1.5), ("250ms", 0.25)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_secs_f64(secs)), "{text}");
        }
        for text in ["", "10", "1d", "-5m", "m", "5 m", "1h30"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(show_duration(Duration::from_secs(5400)), "1h30m");
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }
}
