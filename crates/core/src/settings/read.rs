//! Typed reading of a map: each getter names its key once, and `finish` complains about the rest.

use std::cell::RefCell;
use std::time::Duration;

use super::{Mark, Node, Problems, Value, nearest, parse_duration, secret};
use crate::Secret;

/// A map of the file being read.
pub struct Section<'a> {
    mark: Mark,
    path: String,
    entries: &'a [(super::Key, Node)],
    problems: &'a Problems,
    known: RefCell<Vec<&'static str>>,
    /// Keys of Dex that do nothing here: no complaint of being unknown, no place in the example.
    tolerated: RefCell<Vec<&'static str>>,
}

/// A value with its place, for what the plain getters do not cover.
#[derive(Clone)]
pub struct Item<'a> {
    pub node: &'a Node,
    pub path: String,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The whole file. `None`, with a problem noted, when it is not a map.
    pub fn root(node: &'a Node, problems: &'a Problems) -> Option<Self> {
        Item { node, path: String::new(), problems }.section()
    }

    pub fn mark(&self) -> Mark {
        self.mark
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of one of its keys.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes an error at this key, or at the section when the key is absent.
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

    /// The value at a key; null counts as absent, as in Go. The last of a repeated key wins there,
    /// here a repetition is an error noted by [`Section::finish`].
    pub fn item(&self, key: &'static str) -> Option<Item<'a>> {
        self.known.borrow_mut().push(key);
        let node = self.find(key)?;
        (node.value != Value::Null).then(|| Item {
            node,
            path: self.path_of(key),
            problems: self.problems,
        })
    }

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

    /// Text that no message may repeat, not even when it is of the wrong type.
    pub fn secret(&self, key: &'static str) -> Option<Secret> {
        self.item(key)?.secret()
    }

    /// As [`Section::required_text`], for what no message may repeat.
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

    /// The maps of a list; entries that are not maps are noted and left out.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        self.items(key).iter().filter_map(Item::section).collect()
    }

    pub fn section(&self, key: &'static str) -> Option<Section<'a>> {
        self.item(key)?.section()
    }

    /// One of a few words, compared exactly.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.error(key, format!("found {text:?}, expected one of {}", words.join(", ")));
        }
        found
    }

    /// Keys as written with their nodes, for free-form maps; marks none of them as known.
    pub fn entries(&self) -> &'a [(super::Key, Node)] {
        self.entries
    }

    /// A key Dex has and this server does not have yet. `needed_for_security` makes it an error.
    pub fn not_supported(&self, key: &'static str, needed_for_security: bool) {
        if self.tolerates(key) {
            let message = "is a key of Dex that is not supported yet";
            if needed_for_security { self.error(key, message) } else { self.warning(key, message) }
        }
    }

    /// A key Dex has and this server will never need: a warning that says why.
    pub fn ignored(&self, key: &'static str, why: &str) {
        if self.tolerates(key) {
            self.warning(key, format!("does nothing here: {why}"));
        }
    }

    /// Present and not null, of a key that the example need not show.
    fn tolerates(&self, key: &'static str) -> bool {
        self.tolerated.borrow_mut().push(key);
        self.find(key).is_some_and(|node| node.value != Value::Null)
    }

    /// Complains about keys nobody asked for, and about keys given twice.
    pub fn finish(self) {
        let known = self.known.borrow();
        let tolerated = self.tolerated.borrow();
        known.iter().for_each(|key| self.problems.note_known(&self.path_of(key)));
        for (index, (key, _)) in self.entries.iter().enumerate() {
            let path = self.path_of(&key.text);
            let again = |other: &&(super::Key, Node)| other.0.text.eq_ignore_ascii_case(&key.text);
            if self.entries.iter().take(index).any(|other| again(&other)) {
                self.problems.error(key.mark, path, "is given twice");
            } else if !known
                .iter()
                .chain(tolerated.iter())
                .any(|name| name.eq_ignore_ascii_case(&key.text))
            {
                let hint = nearest(&key.text, known.iter().copied())
                    .map_or_else(String::new, |near| format!(", did you mean {near}?"));
                let message = format!("is not a known key{hint}");
                if self.problems.is_lenient() {
                    self.problems.warning(key.mark, path, message);
                } else {
                    self.problems.error(key.mark, path, message);
                }
            }
        }
    }

    fn find(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(k, _)| k.text.eq_ignore_ascii_case(key)).map(|(_, node)| node)
    }
}

impl<'a> Item<'a> {
    pub fn error(&self, message: impl Into<String>) {
        self.problems.error(self.node.mark, self.path.clone(), message);
    }

    pub fn warning(&self, message: impl Into<String>) {
        self.problems.warning(self.node.mark, self.path.clone(), message);
    }

    fn wanted(&self, what: &str) {
        self.error(format!("found {}, expected {what}", self.node.value.kind()));
    }

    /// Text. A plain number or boolean is an error here, as it is in Dex: quote it.
    pub fn text(&self) -> Option<String> {
        match &self.node.value {
            Value::Scalar { text, plain } => {
                if *plain && looks_typed(text) {
                    self.error(format!("found {text}, expected text: put it in quotes"));
                    return None;
                }
                Some(text.clone())
            }
            _ => {
                self.wanted("text");
                None
            }
        }
    }

    /// As [`Item::text`], but the message does not repeat what was found.
    pub fn secret(&self) -> Option<Secret> {
        match &self.node.value {
            Value::Scalar { text, plain } if *plain && looks_typed(text) => {
                self.error("found a number or boolean, expected text: put it in quotes");
                None
            }
            Value::Scalar { text, .. } => Some(secret(text.clone())),
            _ => {
                self.wanted("text");
                None
            }
        }
    }

    pub fn flag(&self) -> Option<bool> {
        if let Value::Scalar { text, plain: true } = &self.node.value
            && let Some(flag) = yaml_bool(text)
        {
            return Some(flag);
        }
        self.wanted("true or false");
        None
    }

    pub fn number(&self, min: u64, max: u64) -> Option<u64> {
        if let Value::Scalar { text, plain: true } = &self.node.value
            // Dex's parser reads a leading zero as octal; nobody means that, so nobody is guessed at.
            && (text == "0" || !text.starts_with('0'))
            && let Ok(number) = text.parse::<u64>()
            && (min..=max).contains(&number)
        {
            return Some(number);
        }
        self.wanted(&format!("a whole number from {min} to {max}"));
        None
    }

    pub fn duration(&self) -> Option<Duration> {
        let Value::Scalar { text, .. } = &self.node.value else {
            self.wanted("a duration such as 10m or 1h30m");
            return None;
        };
        let parsed = parse_duration(text);
        if parsed.is_none() {
            self.error(format!("found {text:?}, expected a duration such as 10m or 1h30m"));
        }
        parsed
    }

    pub fn items(&self) -> Vec<Item<'a>> {
        let Value::List(nodes) = &self.node.value else {
            self.wanted("a list");
            return Vec::new();
        };
        let entry = |(index, node)| Item {
            node,
            path: format!("{}[{index}]", self.path),
            problems: self.problems,
        };
        nodes.iter().enumerate().map(entry).collect()
    }

    pub fn section(&self) -> Option<Section<'a>> {
        let Value::Map(entries) = &self.node.value else {
            self.wanted("a map");
            return None;
        };
        Some(Section {
            mark: self.node.mark,
            path: self.path.clone(),
            entries,
            problems: self.problems,
            known: RefCell::default(),
            tolerated: RefCell::default(),
        })
    }
}

/// YAML 1.1's booleans, which Dex's parser reads.
fn yaml_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Would YAML 1.1 read this unquoted word as a number or boolean?
fn looks_typed(text: &str) -> bool {
    let number = text.parse::<f64>().is_ok()
        && text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+' || c == '.');
    number || yaml_bool(text).is_some()
}
