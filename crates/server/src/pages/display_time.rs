//! An instant for display: relative and absolute.

use countersign_core::Timestamp;

use super::messages::Messages;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayTime {
    /// `2 hours ago`
    pub distance: String,
    /// `23 November 2025, 08:12 UTC`
    pub exact: String,
    /// `23 Nov 2025, 08:12 UTC`
    pub short: String,
    /// `2025-11-23T08:12:00Z`
    pub iso: String,
}

impl DisplayTime {
    /// Both arguments in milliseconds since 1970, UTC.
    pub fn new(at_millis: i64, now_millis: i64, messages: &Messages) -> Self {
        let (year, month, day) = Timestamp::from_millis(at_millis).date();
        let minutes = at_millis.rem_euclid(DAY) / MINUTE;
        let (hour, minute) = (minutes / 60, minutes % 60);
        let t = &messages.display_time;
        let name_in = |names: &[&'static str; 12]| {
            usize::from(month).checked_sub(1).and_then(|i| names.get(i)).copied()
        };
        let (month_name, short_month_name) = (name_in(&t.months), name_in(&t.short_months));
        Self {
            distance: distance(at_millis.saturating_sub(now_millis), messages),
            exact: format!(
                "{day} {} {year}, {hour:02}:{minute:02} UTC",
                month_name.unwrap_or_default()
            ),
            short: format!(
                "{day} {} {year}, {hour:02}:{minute:02} UTC",
                short_month_name.unwrap_or_default()
            ),
            iso: Timestamp::from_millis(at_millis - at_millis.rem_euclid(MINUTE)).to_string(),
        }
    }
}

impl DisplayTime {
    /// The same with seconds, for instants that are announced or compared; fractions are rounded up.
    pub fn to_the_second(at_millis: i64, now_millis: i64, messages: &Messages) -> Self {
        let whole = at_millis.saturating_add(999).div_euclid(1000).saturating_mul(1000);
        let second = whole.rem_euclid(MINUTE) / 1000;
        let minute = Self::new(whole, now_millis, messages);
        Self {
            exact: minute.exact.replace(" UTC", &format!(":{second:02} UTC")),
            short: minute.short.replace(" UTC", &format!(":{second:02} UTC")),
            iso: minute.iso.replace(":00Z", &format!(":{second:02}Z")),
            ..minute
        }
    }
}

fn distance(millis: i64, messages: &Messages) -> String {
    let t = &messages.display_time;
    // Future durations are rounded: of eight hours, only seven hours and 59 minutes remain when the page is read. Past
    // ones are truncated: after 59 minutes and 40 seconds "one hour ago" would be wrong for a session that lasts one
    // hour.
    let rounded = |unit: i64| match millis > 0 {
        true => millis.saturating_add(unit / 2) / unit,
        false => millis.saturating_abs() / unit,
    };
    let (minutes, hours, days) = (rounded(MINUTE), rounded(HOUR), rounded(DAY));
    if minutes == 0 {
        return t.now.to_owned();
    }
    // Below 90 minutes and 36 hours the smaller unit is more precise.
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
