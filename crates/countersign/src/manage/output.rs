//! Output of the commands: a result as a table or JSON, for the terminal's width and colours and with its format of times;
//! and the question before a command that ends something.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};
use countersign_core::Timestamp;
use countersign_core::text::is_deceptive;
use serde::Serialize;

use super::CommandError;
use crate::environment::SystemClock;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

#[derive(Clone, Debug, Args)]
pub struct OutputArguments {
    /// Print a table or JSON [default: table on a terminal, json otherwise]
    #[arg(long, value_enum, global = true, hide_possible_values = true, value_name = "table|json")]
    pub output: Option<OutputFormat>,
    /// Print every column in full, and times as RFC 3339, however narrow the terminal
    #[arg(long, global = true)]
    pub wide: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Table,
    Json,
}

impl OutputArguments {
    /// Prints `view` as JSON, or as the text that `render` returns.
    pub fn print<T: Serialize>(
        &self,
        view: &T,
        render: impl FnOnce(&T, &Terminal) -> String,
    ) -> Result<(), CommandError> {
        let text = match self.format() {
            OutputFormat::Table => render(view, &Terminal::of_stdout(self.wide)),
            OutputFormat::Json => {
                serde_json::to_string_pretty(view).map_err(CommandError::other)? + "\n"
            }
        };
        write_to_stdout(&text)
    }

    pub fn format(&self) -> OutputFormat {
        let is_terminal = io::stdout().is_terminal();
        self.output.unwrap_or(if is_terminal { OutputFormat::Table } else { OutputFormat::Json })
    }
}

/// A closed pipe, as with `| head`, is not an error.
fn write_to_stdout(text: &str) -> Result<(), CommandError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::other(error)),
        _ => Ok(()),
    }
}

/// Asks for confirmation on the terminal; an error unless the answer is `yes`. Without a terminal `--yes` is required.
/// `otherwise` is printed if nothing was done.
pub fn confirm(question: &str, otherwise: &str) -> Result<(), CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::Other(format!(
            "{otherwise}: standard input is no terminal to confirm on; add --yes"
        )));
    }
    eprint!("{question} Type yes: ");
    let _flushed = io::stderr().flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(CommandError::other)?;
    match line.trim() {
        "yes" => Ok(()),
        _ => Err(CommandError::other(otherwise)),
    }
}

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
