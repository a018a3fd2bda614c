//! One value of the file, and what it may be read as.

use std::time::Duration;

use super::{Node, Problems, Section, Value, parse_duration, secret};
use crate::Secret;

/// A value with its place, for what the plain getters do not cover.
#[derive(Clone)]
pub struct Item<'a> {
    pub node: &'a Node,
    pub path: String,
    pub(super) problems: &'a Problems,
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
        Some(Section::new(self.node.mark, self.path.clone(), entries, self.problems))
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
