//! What pages show of an instant and of a browser.

use countersign_core::Timestamp;

use super::layout::Icon;
use super::messages::Messages;
use super::name::Name;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Longest name of an unknown program, in characters.
const LONGEST_PROGRAM: usize = 40;

/// An instant: relative and absolute.
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

/// A readable name of a browser from its `User-Agent` (RFC 9110 section 10.1.5). The header can be forged, so the name
/// is only an aid for recognition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    browser: Option<Name>,
    system: Option<&'static str>,
    in_hand: bool,
}

/// The first match is used: nearly every browser also claims to be Chrome, Safari and Mozilla.
const BROWSERS: [(&str, &str); 14] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("HeadlessChrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("MSIE ", "Internet Explorer"),
];

const SYSTEMS: [(&str, &str, bool); 9] = [
    ("iPhone", "iPhone", true),
    ("iPad", "iPad", true),
    ("Android", "Android", true),
    ("CrOS", "ChromeOS", false),
    ("Windows", "Windows", false),
    ("Macintosh", "macOS", false),
    ("FreeBSD", "FreeBSD", false),
    ("OpenBSD", "OpenBSD", false),
    ("Linux", "Linux", false),
];

impl Device {
    pub fn of(user_agent: &str) -> Self {
        let browser = BROWSERS.iter().find(|(mark, _)| user_agent.contains(mark));
        let system = SYSTEMS.iter().find(|(mark, ..)| user_agent.contains(mark));
        let program = || {
            let name = user_agent.split(['/', ' ', '(']).next().unwrap_or_default();
            let known = !name.is_empty() && name != "Mozilla";
            known.then(|| Name::up_to(LONGEST_PROGRAM, name))
        };
        Self {
            browser: browser.map(|(_, name)| Name::new(name)).or_else(program),
            system: system.map(|(_, name, _)| *name),
            in_hand: system.is_some_and(|(.., in_hand)| *in_hand),
        }
    }

    /// `Firefox on Linux`
    pub fn label(&self, messages: &Messages) -> Name {
        let t = &messages.sessions;
        match (&self.browser, self.system) {
            (Some(browser), Some(system)) => {
                Name::new(&format!("{browser} {}", t.on.plain(&Name::new(system))))
            }
            (Some(browser), None) => browser.clone(),
            (None, Some(system)) => {
                Name::new(&format!("{} {}", t.unknown_device, t.on.plain(&Name::new(system))))
            }
            (None, None) => Name::new(t.unknown_device),
        }
    }

    pub(crate) fn icon(&self) -> Icon {
        if self.in_hand { Icon::Phone } else { Icon::Screen }
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::ENGLISH;
    use super::{Device, DisplayTime};

    const NOW: i64 = 1_763_900_000_000;

    #[test]
    fn browsers_are_recognized_by_their_own_name_not_by_those_they_claim() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (agent, words) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(), "Firefox on Linux"),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0"), "Edge on Windows"),
            (format!("Mozilla/5.0 (X11; Linux x86_64) {webkit} HeadlessChrome/139.0.0.0 Safari/537.36"), "Chrome on Linux"),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/139.0.0.0 Mobile Safari/537.36"), "Chrome on Android"),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1".to_owned(), "Safari on iPhone"),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15".to_owned(), "Safari on macOS"),
            ("curl/8.5.0".to_owned(), "curl"),
            ("Mozilla/5.0 (Windows NT 10.0)".to_owned(), "Unknown browser on Windows"),
            (String::new(), "Unknown browser"),
            ("<img src=x>\u{202e}".to_owned(), "<img"),
            ("x".repeat(5000), &format!("{}…", "x".repeat(39))),
        ] {
            assert_eq!(Device::of(&agent).label(&ENGLISH).as_str(), words, "{agent}");
        }
    }

    #[test]
    fn a_time_is_shown_relative_and_exact() {
        let at = |millis: i64| DisplayTime::new(NOW + millis, NOW, &ENGLISH);
        assert_eq!(at(0).iso, "2025-11-23T12:13:00Z");
        assert_eq!(at(0).exact, "23 November 2025, 12:13 UTC");
        for (millis, distance) in [
            (-30_000, "now"),
            (-60_000, "one minute ago"),
            (89 * 60_000, "in 89 minutes"),
            (-2 * 3_600_000, "2 hours ago"),
            (-8 * 3_600_000 + 1, "7 hours ago"),
            (22 * 3_600_000, "in 22 hours"),
            (8 * 3_600_000 - 1, "in 8 hours"),
            (600_000 - 1, "in 10 minutes"),
            (29_000, "now"),
            (-40 * 86_400_000, "40 days ago"),
        ] {
            assert_eq!(at(millis).distance, distance);
        }
        assert_eq!(
            DisplayTime::new(951_782_400_000, NOW, &ENGLISH).exact,
            "29 February 2000, 00:00 UTC"
        );
        assert_eq!(DisplayTime::new(-1, NOW, &ENGLISH).iso, "1969-12-31T23:59:00Z");
    }
}
