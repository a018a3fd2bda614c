//! A configuration file as a tree that knows where each value stands, and the reading of it.
//!
//! The reader collects every problem instead of stopping at the first; it never reads a file.
//! Keys match without regard to case, as Go's JSON does for Dex.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::Secret;

mod item;
mod nearest;
mod network;
mod read;

pub use item::Item;
pub use nearest::nearest;
pub use network::Network;
pub use read::Section;

/// A place in the file; both count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub mark: Mark,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    /// `plain` means unquoted, so that `yes` and `5556` can be told from `"yes"` and `"5556"`.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub mark: Mark,
    pub text: String,
}

impl Value {
    /// For messages: never the value itself, which may be a secret.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { plain: true, .. } => "a plain value",
            Self::Scalar { .. } => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One thing wrong with a configuration: where, what was found, what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub mark: Mark,
    /// Such as `staticClients[0].redirectURIs`.
    pub path: String,
    pub message: String,
}

/// `14:5: staticClients[0].redirectURIs: is empty`; the file's name is put before it by who knows it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mark { line, column } = self.mark;
        if self.path.is_empty() {
            write!(f, "{line}:{column}: {}", self.message)
        } else {
            write!(f, "{line}:{column}: {}: {}", self.path, self.message)
        }
    }
}

/// Everything found wrong so far. Reading goes on after each.
#[derive(Debug, Default)]
pub struct Problems {
    list: RefCell<Vec<Problem>>,
    /// Keys the readers asked for, indices left out: `staticClients[].name`.
    known: RefCell<BTreeSet<String>>,
    /// Unknown keys are warnings instead of errors (`--lenient`).
    lenient: bool,
}

impl Problems {
    pub fn new(lenient: bool) -> Self {
        Self { list: RefCell::default(), known: RefCell::default(), lenient }
    }

    pub fn is_lenient(&self) -> bool {
        self.lenient
    }

    pub fn error(&self, mark: Mark, path: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Error, mark, path.into(), message.into());
    }

    pub fn warning(&self, mark: Mark, path: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Warning, mark, path.into(), message.into());
    }

    fn add(&self, severity: Severity, mark: Mark, path: String, message: String) {
        self.list.borrow_mut().push(Problem { severity, mark, path, message });
    }

    pub fn has_errors(&self) -> bool {
        self.list.borrow().iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Every key the finished sections know, indices left out (`staticClients[].name`), sorted.
    /// Keys of Dex that do nothing here are not among them. For the test that the example names all.
    pub fn known_keys(&self) -> Vec<String> {
        self.known.borrow().iter().cloned().collect()
    }

    fn note_known(&self, path: &str) {
        let mut kept = String::with_capacity(path.len());
        let mut in_index = false;
        for c in path.chars() {
            in_index = c != ']' && (in_index || kept.ends_with('['));
            if !in_index {
                kept.push(c);
            }
        }
        self.known.borrow_mut().insert(kept);
    }

    /// In the order of the file.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut list = self.list.into_inner();
        list.sort_by(|a, b| (a.mark, &a.path).cmp(&(b.mark, &b.path)));
        list
    }
}

/// Go's duration text (`1h30m`, `300ms`), which Dex's files use. No days; not negative.
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

/// A duration as a person would write it in the file.
pub fn show_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (h, m, s, ms) = (secs / 3600, secs / 60 % 60, secs % 60, duration.subsec_millis());
    let parts = [(h, "h"), (m, "m"), (s, "s"), (u64::from(ms), "ms")];
    let text: String =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A secret from a key of the file.
pub(crate) fn secret(text: String) -> Secret {
    Secret::new(text)
}

#[cfg(test)]
mod tests;
