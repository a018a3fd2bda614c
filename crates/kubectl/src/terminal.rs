//! Output for users: colours on a terminal, untrusted text made harmless, lines wrapped to the width, and a progress
//! line that shows how long the program has been waiting.

use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use countersign_core::Timestamp;
use countersign_core::text::is_deceptive;
use tokio::task::JoinHandle;

/// If the width is unknown.
const DEFAULT_WIDTH: usize = 80;
/// Maximum width, for readability.
const MAX_WIDTH: usize = 120;
const FRAMES: [char; 4] = ['|', '/', '-', '\\'];

/// Whether an output stream supports colours.
#[derive(Clone, Copy)]
pub struct Style {
    has_colours: bool,
}

impl Style {
    pub fn for_stderr() -> Self {
        Self { has_colours: std::io::stderr().is_terminal() && takes_colours() }
    }

    pub fn for_stdout() -> Self {
        Self { has_colours: std::io::stdout().is_terminal() && takes_colours() }
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self.has_colours {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// False with `NO_COLOR` (no-color.org) or a terminal without capabilities.
fn takes_colours() -> bool {
    crate::environment_variable("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb()
}

/// A terminal without capabilities, such as the shell of Emacs.
fn is_dumb() -> bool {
    crate::environment_variable("TERM").is_some_and(|term| term == "dumb")
}

/// Writes a line to standard output. If the reader has closed the pipe (`| head`), exits without an error.
pub fn print_line(line: &str) {
    let mut output = std::io::stdout().lock();
    if output.write_all(line.as_bytes()).and_then(|()| output.write_all(b"\n")).is_err() {
        std::process::exit(0);
    }
}

/// Untrusted text without control characters, since an escape sequence would control the terminal. Line breaks are
/// kept.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_deceptive(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The instant for display: `14:05:00 UTC` if it is today, otherwise with its date.
pub fn instant(at: Timestamp, now: Timestamp) -> String {
    let text = at.to_string();
    let (date, time) = text.trim_end_matches('Z').split_once('T').unwrap_or((&text, ""));
    match at.date() == now.date() {
        true => format!("{time} UTC"),
        false => format!("{date} {time} UTC"),
    }
}

/// Wraps `text` for standard error, which already contains `before`, between words if it is a terminal. Line breaks of
/// `text` are kept; a long word, such as a URL, is not split.
pub fn wrapped(before: &str, text: &str) -> String {
    match std::io::stderr().is_terminal() {
        true => wrapped_to(before, text, width()),
        false => text.to_owned(),
    }
}

/// `text` for standard output in lines that begin with so many spaces; on a terminal broken between words.
pub fn indented(spaces: usize, text: &str) -> Vec<String> {
    let width = match std::io::stdout().is_terminal() {
        true => width().saturating_sub(spaces),
        false => usize::MAX,
    };
    let wrapped = wrapped_to("", text, width);
    wrapped.lines().map(|line| format!("{:spaces$}{line}", "")).collect()
}

fn wrapped_to(before: &str, text: &str, width: usize) -> String {
    let (mut wrapped, mut column) = (String::new(), before.chars().count());
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            wrapped.push('\n');
            column = 0;
        }
        for (index, word) in line.split(' ').enumerate() {
            let length = word.chars().count();
            if index > 0 && column + 1 + length > width {
                wrapped.push('\n');
                column = 0;
            } else if index > 0 {
                wrapped.push(' ');
                column += 1;
            }
            wrapped.push_str(word);
            column += length;
        }
    }
    wrapped
}

/// `words` separated by commas, wrapped to the terminal; all lines except the first are indented.
pub fn wrapped_list(first: &str, words: &[String], width: usize) -> String {
    let (mut text, mut line) = (String::new(), first.to_owned());
    let indent = " ".repeat(first.chars().count());
    for (index, word) in words.iter().enumerate() {
        let separator = if index + 1 == words.len() { "" } else { ", " };
        let is_full = line.chars().count() + word.chars().count() + separator.trim().len() > width;
        if is_full && line.trim() != first.trim() {
            text.push_str(line.trim_end());
            text.push('\n');
            line.clone_from(&indent);
        }
        line.push_str(word);
        line.push_str(separator);
    }
    text + line.trim_end()
}

/// When somebody last typed on the terminal of standard error or standard input: the time of its last read access, from which
/// `w` shows how long it has been idle. `None` if neither is a terminal, or if that cannot be known.
pub fn last_input() -> Option<Timestamp> {
    let (error, input) = (std::io::stderr(), std::io::stdin());
    let error = error.is_terminal().then(|| last_access(error.as_fd()));
    let input = input.is_terminal().then(|| last_access(input.as_fd()));
    error.flatten().max(input.flatten())
}

fn last_access(terminal: BorrowedFd<'_>) -> Option<Timestamp> {
    let metadata = File::from(terminal.try_clone_to_owned().ok()?).metadata().ok()?;
    // Another name of the terminal (`2>/dev/tty`), whose time Linux before 6.2 does not set when somebody types.
    if fs::metadata("/dev/tty").is_ok_and(|alias| alias.rdev() == metadata.rdev()) {
        return None;
    }
    let since_epoch = metadata.accessed().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_millis()).ok().map(Timestamp::from_millis)
}

/// The width of the terminal of standard error or standard output.
pub fn width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr())
        .or_else(|| terminal_size::terminal_size_of(std::io::stdout()));
    size.map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0)).clamp(20, MAX_WIDTH)
}

/// A line that shows what the program waits for and for how long; it is erased when this value is dropped. If standard
/// error is not a terminal that can erase a line, the line is written once.
pub struct Progress(Option<JoinHandle<()>>);

impl Progress {
    pub fn start(text: String) -> Self {
        if !std::io::stderr().is_terminal() || is_dumb() {
            eprintln!("{text} ...");
            return Self(None);
        }
        let begun = Instant::now();
        Self(Some(tokio::spawn(async move {
            for frame in FRAMES.iter().cycle() {
                eprint!("\r\x1b[K{frame} {text} ... {} s", begun.elapsed().as_secs());
                let _ = std::io::stderr().flush();
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        })))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
            eprint!("\r\x1b[K");
            let _ = std::io::stderr().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::Timestamp;

    use super::{instant, printable, wrapped_list, wrapped_to};

    #[test]
    fn escape_sequences_of_strangers_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b]0;title\x07b\nc"), "a\u{fffd}]0;title\u{fffd}b\nc");
    }

    #[test]
    fn a_message_is_wrapped_between_its_words() {
        let text = "the session was ended.\nRun:  kubectl countersign login https://id.example/dex";
        assert_eq!(
            wrapped_to("error: ", text, 20),
            "the session\nwas ended.\nRun:  kubectl\ncountersign login\nhttps://id.example/dex"
        );
        assert_eq!(wrapped_to("", "one two", 7), "one two");
    }

    #[test]
    fn a_list_is_wrapped_between_its_words() {
        let words = ["admins", "developers", "on-call"].map(str::to_owned);
        assert_eq!(
            wrapped_list("  groups  ", &words, 30),
            "  groups  admins, developers,\n          on-call"
        );
        assert_eq!(wrapped_list("  groups  ", &[], 30), "  groups");
    }

    #[test]
    fn the_date_is_left_out_today() {
        let now = Timestamp::from_secs(951_782_400);
        assert_eq!(instant(now, now), "00:00:00 UTC");
        assert_eq!(instant(Timestamp::from_secs(0), now), "1970-01-01 00:00:00 UTC");
    }
}
