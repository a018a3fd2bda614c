//! Problems found in a configuration, and suggestions for misspelt words.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use crate::{FilesRead, Mark};

/// Errors prevent the start, warnings do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One problem of a configuration: its position, its key, what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub mark: Mark,
    /// Such as `staticClients[0].redirectURIs`.
    pub path: String,
    pub message: String,
}

/// `14:5: staticClients[0].redirectURIs: is empty`, without the file name.
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

/// All problems found so far, and the files read. Reading continues after each problem.
#[derive(Debug, Default)]
pub struct Problems {
    list: RefCell<Vec<Problem>>,
    /// The known keys, without indices: `staticClients[].name`.
    known: RefCell<BTreeSet<String>>,
    /// Unknown keys are warnings instead of errors (`--lenient`).
    lenient: bool,
    pub(crate) files: FilesRead,
}

impl Problems {
    pub fn new(lenient: bool) -> Self {
        Self { lenient, ..Self::default() }
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

    /// Every key that finished sections know, without indices (`staticClients[].name`), sorted. Keys of Dex without
    /// effect are not included. Used by the tests of `config.example.yaml`.
    pub fn known_keys(&self) -> Vec<String> {
        self.known.borrow().iter().cloned().collect()
    }

    pub(crate) fn note_known(&self, path: &str) {
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

    /// Sorted by position in the file.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut list = self.list.into_inner();
        list.sort_by(|a, b| (a.mark, &a.path).cmp(&(b.mark, &b.path)));
        list
    }
}

/// The candidate closest to `word`, if it is close enough to be a typing mistake: at most one edit for each
/// three characters, and at most three. Two swapped neighbours count as one edit.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `, did you mean staticClients?`, or nothing when no candidate is close.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |near| format!(", did you mean {near}?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_mistake_is_matched_and_another_word_is_not() {
        assert_eq!(nearest("fiel", ["type", "file"]), Some("file"));
        assert_eq!(nearest("isuer", ["issuer"]), Some("issuer"));
        assert_eq!(nearest("redirectUri", ["redirectURIs", "name"]), Some("redirectURIs"));
        assert_eq!(nearest("xy", ["id"]), None);
        assert_eq!(nearest("kitten", ["sitting"]), None);
    }
}
