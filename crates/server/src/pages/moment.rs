//! An instant as a person reads it: how far away, and exactly when.

use super::texts::Texts;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `2 hours ago`
    pub distance: String,
    /// `23 November 2025, 08:12 UTC`
    pub exact: String,
    /// `2025-11-23T08:12:00Z`
    pub iso: String,
}

impl Moment {
    /// Both in milliseconds since 1970, UTC.
    pub fn new(at_millis: i64, now_millis: i64, texts: &Texts) -> Self {
        let (year, month, day) = civil(at_millis.div_euclid(DAY));
        let minutes = at_millis.rem_euclid(DAY) / MINUTE;
        let (hour, minute) = (minutes / 60, minutes % 60);
        let month_name =
            usize::try_from(month - 1).ok().and_then(|i| texts.moment.months.get(i)).copied();
        Self {
            distance: distance(at_millis.saturating_sub(now_millis), texts),
            exact: format!(
                "{day} {} {year}, {hour:02}:{minute:02} UTC",
                month_name.unwrap_or_default()
            ),
            iso: format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z"),
        }
    }
}

fn distance(millis: i64, texts: &Texts) -> String {
    let t = &texts.moment;
    let size = millis.saturating_abs();
    let (minutes, hours, days) = (size / MINUTE, size / HOUR, size / DAY);
    if minutes == 0 {
        return t.now.to_owned();
    }
    // Below 90 minutes and 36 hours the smaller unit says more.
    let (past, future, count) = if minutes < 90 {
        (t.minutes_ago, t.in_minutes, minutes)
    } else if hours < 36 {
        (t.hours_ago, t.in_hours, hours)
    } else {
        (t.days_ago, t.in_days, days)
    };
    let plural = if millis < 0 { past } else { future };
    plural.of(count.unsigned_abs())
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
