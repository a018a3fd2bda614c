//! Typed access to a map. Each getter names its key; `finish` reports the keys that no getter named.

use std::cell::RefCell;
use std::time::Duration;

use countersign_core::Secret;

use crate::{FilesRead, Item, Key, Mark, Node, Problems, Value, did_you_mean};

impl<'a> Item<'a> {
    pub fn section(&self) -> Option<Section<'a>> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong_type("a map");
            return None;
        };
        Some(Section::new(self.node.mark, self.path.clone(), entries, self.problems))
    }
}

/// A map of the file being read.
pub struct Section<'a> {
    mark: Mark,
    path: String,
    entries: &'a [(Key, Node)],
    problems: &'a Problems,
    known: RefCell<Vec<&'static str>>,
    /// Keys of Dex that have no effect here; neither unknown nor required in the example.
    tolerated: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The root of the file. `None`, with a problem recorded, if it is not a map.
    pub fn root(node: &'a Node, problems: &'a Problems) -> Option<Self> {
        Item { node, path: String::new(), problems }.section()
    }

    fn new(mark: Mark, path: String, entries: &'a [(Key, Node)], problems: &'a Problems) -> Self {
        let (known, tolerated) = (RefCell::default(), RefCell::default());
        Self { mark, path, entries, problems, known, tolerated }
    }

    pub fn mark(&self) -> Mark {
        self.mark
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads files that this configuration names; shared by all its sections.
    pub fn files(&self) -> &'a FilesRead {
        &self.problems.files
    }

    /// The path of one of its keys.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Records an error at this key, or at the section if the key is absent.
    pub fn error(&self, key: &str, message: impl Into<String>) {
        self.problems.error(self.mark_of(key), self.path_of(key), message);
    }

    pub fn warning(&self, key: &str, message: impl Into<String>) {
        self.problems.warning(self.mark_of(key), self.path_of(key), message);
    }

    pub fn mark_of(&self, key: &str) -> Mark {
        self.find(key).map_or(self.mark, |node| node.mark)
    }

    /// Present and not null.
    pub fn has(&self, key: &'static str) -> bool {
        self.item(key).is_some()
    }

    /// Present, and neither null nor an empty text: Go writes an absent text as an empty one.
    pub fn is_set(&self, key: &'static str) -> bool {
        self.item(key).is_some_and(
            |item| !matches!(&item.node.value, Value::Scalar { text, .. } if text.is_empty()),
        )
    }

    /// The value of a key; null counts as absent, as in Go. Go uses the last of repeated keys; here a repetition is an
    /// error, recorded by [`Section::finish`].
    pub fn item(&self, key: &'static str) -> Option<Item<'a>> {
        self.known.borrow_mut().push(key);
        let node = self.find(key)?;
        (node.value != Value::Null).then(|| Item {
            node,
            path: self.path_of(key),
            problems: self.problems,
        })
    }

    /// The text of a key; `None` if absent or of another type, which is recorded as a problem.
    pub fn text(&self, key: &'static str) -> Option<String> {
        self.item(key)?.text()
    }

    /// Absent or empty is an error.
    pub fn required_text(&self, key: &'static str) -> Option<String> {
        match self.item(key) {
            None => {
                self.error(key, "is missing");
                None
            }
            Some(item) => item.text().filter(|text| {
                if text.is_empty() {
                    self.error(key, "is empty");
                }
                !text.is_empty()
            }),
        }
    }

    /// Text that messages do not contain, not even if it has the wrong type.
    pub fn secret(&self, key: &'static str) -> Option<Secret> {
        self.item(key)?.secret()
    }

    /// As [`Section::required_text`], for a value that messages must not contain.
    pub fn required_secret(&self, key: &'static str) -> Option<Secret> {
        let Some(item) = self.item(key) else {
            self.error(key, "is missing");
            return None;
        };
        let found = item.secret()?;
        if found.is_empty() {
            self.error(key, "is empty");
            return None;
        }
        Some(found)
    }

    /// The boolean of a key; `None` if absent or of another type, which is recorded as a problem.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        self.item(key)?.flag()
    }

    /// A whole number from `min` to `max`.
    pub fn number(&self, key: &'static str, min: u64, max: u64) -> Option<u64> {
        self.item(key)?.number(min, max)
    }

    /// Go's duration text, such as `10m`.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        self.item(key)?.duration()
    }

    /// A list of texts; absent is empty.
    pub fn texts(&self, key: &'static str) -> Vec<String> {
        self.items(key).iter().filter_map(Item::text).collect()
    }

    /// The entries of a list; absent is empty.
    pub fn items(&self, key: &'static str) -> Vec<Item<'a>> {
        self.item(key).map(|item| item.items()).unwrap_or_default()
    }

    /// The maps of a list; other entries are recorded as problems and skipped.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        self.items(key).iter().filter_map(Item::section).collect()
    }

    /// The map of a key; `None` if absent or of another type, which is recorded as a problem.
    pub fn section(&self, key: &'static str) -> Option<Section<'a>> {
        self.item(key)?.section()
    }

    /// One of a few words, compared exactly. An empty text counts as absent, as Go writes it.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() && !text.is_empty() {
            let words: Vec<&str> =
                choices.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
            self.error(key, format!("found {text:?}, expected one of {}", words.join(", ")));
        }
        found
    }

    /// The keys as written with their nodes, for free-form maps; does not mark them as known.
    pub fn entries(&self) -> &'a [(Key, Node)] {
        self.entries
    }

    /// Reports a key that Dex has and this server does not have yet: a warning, or an error if
    /// `needed_for_security`.
    pub fn not_supported(&self, key: &'static str, needed_for_security: bool) {
        if self.tolerates(key) {
            let message = "is a key of Dex that is not supported yet";
            if needed_for_security { self.error(key, message) } else { self.warning(key, message) }
        }
    }

    /// Reports, as a warning with the reason, a key that Dex has and that has no effect here.
    pub fn ignored(&self, key: &'static str, reason: &str) {
        if self.tolerates(key) {
            self.warning(key, format!("has no effect here: {reason}"));
        }
    }

    /// The map at a key that Dex has and this server does not, to report what is in it.
    pub fn tolerated_section(&self, key: &'static str) -> Option<Section<'a>> {
        if !self.tolerates(key) {
            return None;
        }
        let node = self.find(key)?;
        Item { node, path: self.path_of(key), problems: self.problems }.section()
    }

    /// Marks the key as known without effect; true if it is present and not null.
    fn tolerates(&self, key: &'static str) -> bool {
        self.tolerated.borrow_mut().push(key);
        self.find(key).is_some_and(|node| node.value != Value::Null)
    }

    /// Reports the keys that no getter named, and keys given twice.
    pub fn finish(self) {
        let known = self.known.borrow();
        let tolerated = self.tolerated.borrow();
        known.iter().for_each(|key| self.problems.note_known(&self.path_of(key)));
        for (index, (key, _)) in self.entries.iter().enumerate() {
            let path = self.path_of(&key.text);
            let again = |other: &&(Key, Node)| other.0.text.eq_ignore_ascii_case(&key.text);
            if self.entries.iter().take(index).any(|other| again(&other)) {
                self.problems.error(key.mark, path, "is given twice");
            } else if !known
                .iter()
                .chain(tolerated.iter())
                .any(|name| name.eq_ignore_ascii_case(&key.text))
            {
                let hint = did_you_mean(&key.text, known.iter().copied());
                let message = format!("is not a known key{hint}");
                if self.problems.is_lenient() {
                    self.problems.warning(key.mark, path, message);
                } else {
                    self.problems.error(key.mark, path, message);
                }
            }
        }
    }

    /// As [`Section::finish`], for a map with arbitrary keys, such as domains: no key is unknown, but a repeated one is
    /// an error.
    pub fn finish_open(self) {
        for (index, (key, _)) in self.entries.iter().enumerate() {
            let again = |other: &&(Key, Node)| other.0.text.eq_ignore_ascii_case(&key.text);
            let path = self.path_of(&key.text);
            if self.entries.iter().take(index).any(|other| again(&other)) {
                self.problems.error(key.mark, path, "is given twice");
            } else {
                self.problems.note_known(&path);
            }
        }
    }

    fn find(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(k, _)| k.text.eq_ignore_ascii_case(key)).map(|(_, node)| node)
    }
}
