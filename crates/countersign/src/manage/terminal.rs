//! Properties of standard output: width, colours, and the format of times.

use std::io::{self, IsTerminal};
use std::time::Duration;

use countersign_core::Timestamp;
use countersign_core::text::is_deceptive;

use crate::environment::SystemClock;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How text is rendered.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Columns; `None`: not limited.
    pub width: Option<usize>,
    pub has_colours: bool,
    /// The instant that relative times refer to; `None` prints RFC 3339.
    pub now: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Terminal {
    /// `wide`: lines of any length and RFC 3339, even on a terminal. `COLUMNS` overrides the terminal's width, and
    /// `NO_COLOR` (<https://no-color.org>) or `TERM=dumb` disables colours.
    pub fn of_stdout(wide: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let env = crate::environment::non_empty_variable;
        let columns = env("COLUMNS").and_then(|columns| columns.parse().ok()).filter(|n| *n > 0);
        let own = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self {
            width: columns.or_else(|| own().filter(|_| is_terminal)).filter(|_| !wide),
            has_colours: is_terminal
                && env("NO_COLOR").is_none()
                && env("TERM").is_some_and(|term| term != "dumb"),
            now: (is_terminal && !wide).then(SystemClock::uncorrected),
        }
    }

    /// For previews and confirmations, without colours and relative times.
    pub fn of_stderr() -> Self {
        Self { width: Self::of_stdout(false).width, has_colours: false, now: None }
    }

    pub fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Bold => "1",
            Colour::Dim => "2",
            Colour::Red => "31",
            Colour::Green => "32",
            Colour::Yellow => "33",
        };
        match self.has_colours && !text.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    /// An instant in a table: `12 min ago` on a terminal, otherwise RFC 3339 as the API wrote it.
    pub fn instant(&self, rfc3339: &str) -> String {
        match (self.now, rfc3339.parse::<Timestamp>()) {
            (Some(now), Ok(at)) => relative(at, now),
            _ => rfc3339.to_owned(),
        }
    }

    /// An instant, exact and on a terminal also relative.
    pub fn instant_in_full(&self, rfc3339: &str) -> String {
        match (self.now, rfc3339.parse::<Timestamp>()) {
            (Some(now), Ok(at)) => format!("{rfc3339} ({})", relative(at, now)),
            _ => rfc3339.to_owned(),
        }
    }
}

/// Rounded to the nearest unit, so that 7 h 59 min is `in 8 h`; a date if it is more than 60 days away.
fn relative(at: Timestamp, now: Timestamp) -> String {
    let (is_past, distance) = match at <= now {
        true => (true, now.since(at)),
        false => (false, at.since(now)),
    };
    let Some(distance) = rounded(distance) else {
        let (year, month, day) = at.date();
        return format!("{year:04}-{month:02}-{day:02}");
    };
    match is_past {
        true => format!("{distance} ago"),
        false => format!("in {distance}"),
    }
}

fn rounded(distance: Duration) -> Option<String> {
    let seconds = distance.as_secs();
    let nearest = |unit: u64| (seconds + unit / 2) / unit;
    if seconds < 90 {
        Some(format!("{seconds} s"))
    } else if seconds < 90 * MINUTE {
        Some(format!("{} min", nearest(MINUTE)))
    } else if seconds < 36 * HOUR {
        Some(format!("{} h", nearest(HOUR)))
    } else if seconds < 60 * DAY {
        Some(format!("{} d", nearest(DAY)))
    } else {
        None
    }
}

/// Replaces control characters, line breaks and characters that change the text's direction, so that names chosen by
/// others cannot move the cursor.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_deceptive(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, relative};

    #[test]
    fn a_distance_is_rounded_and_not_cut() {
        let now = Timestamp::from_secs(1_000_000_000);
        for (seconds, expected) in [
            (0, "0 s ago"),
            (-89, "89 s ago"),
            (-90, "2 min ago"),
            (8 * 3_600 - 5, "in 8 h"),
            (-35 * 3_600, "35 h ago"),
            (-36 * 3_600, "2 d ago"),
            (-100 * 86_400, "2001-06-01"),
        ] {
            assert_eq!(relative(Timestamp::from_secs(1_000_000_000 + seconds), now), expected);
        }
    }
}
