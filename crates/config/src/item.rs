//! One value of the file, read as text, secret, boolean, number, duration or list.

use std::time::Duration;

use countersign_core::Secret;
use countersign_core::clock::parse_duration;

use crate::{FilesRead, Node, Problems, Value};

/// A value with its position and path. [`Section`](crate::Section) has getters for the common types.
#[derive(Clone)]
pub struct Item<'a> {
    pub node: &'a Node,
    pub path: String,
    pub(crate) problems: &'a Problems,
}

impl<'a> Item<'a> {
    pub fn error(&self, message: impl Into<String>) {
        self.problems.error(self.node.mark, self.path.clone(), message);
    }

    pub fn warning(&self, message: impl Into<String>) {
        self.problems.warning(self.node.mark, self.path.clone(), message);
    }

    /// Reads files that this configuration names.
    pub fn files(&self) -> &'a FilesRead {
        &self.problems.files
    }

    pub(crate) fn wrong_type(&self, what: &str) {
        self.error(format!("found {}, expected {what}", self.node.value.kind()));
    }

    /// Text. A plain number or boolean is an error here, as it is in Dex: quote it.
    pub fn text(&self) -> Option<String> {
        match &self.node.value {
            Value::Scalar { text, plain } => {
                if *plain && is_typed_scalar(text) {
                    self.error(format!("found {text}, expected text: put it in quotes"));
                    return None;
                }
                Some(text.clone())
            }
            _ => {
                self.wrong_type("text");
                None
            }
        }
    }

    /// Like [`Item::text`], but messages do not contain the value.
    pub fn secret(&self) -> Option<Secret> {
        match &self.node.value {
            Value::Scalar { text, plain } if *plain && is_typed_scalar(text) => {
                self.error("found a number or boolean, expected text: put it in quotes");
                None
            }
            Value::Scalar { text, .. } => Some(Secret::new(text.clone())),
            _ => {
                self.wrong_type("text");
                None
            }
        }
    }

    /// A boolean, unquoted; otherwise a problem is recorded.
    pub fn flag(&self) -> Option<bool> {
        if let Value::Scalar { text, plain: true } = &self.node.value
            && let Some(flag) = yaml_bool(text)
        {
            return Some(flag);
        }
        self.wrong_type("true or false");
        None
    }

    /// A whole number from `min` to `max`, unquoted; otherwise a problem is recorded.
    pub fn number(&self, min: u64, max: u64) -> Option<u64> {
        if let Value::Scalar { text, plain: true } = &self.node.value
            // Dex's parser reads a leading zero as octal; such a number is refused.
            && (text == "0" || !text.starts_with('0'))
            && let Ok(number) = text.parse::<u64>()
            && (min..=max).contains(&number)
        {
            return Some(number);
        }
        self.wrong_type(&format!("a whole number from {min} to {max}"));
        None
    }

    /// Go's duration text, such as `10m`; otherwise a problem is recorded.
    pub fn duration(&self) -> Option<Duration> {
        let Value::Scalar { text, .. } = &self.node.value else {
            self.wrong_type("a duration such as 10m or 1h30m");
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
            self.wrong_type("a list");
            return Vec::new();
        };
        let entry = |(index, node)| Item {
            node,
            path: format!("{}[{index}]", self.path),
            problems: self.problems,
        };
        nodes.iter().enumerate().map(entry).collect()
    }
}

/// The booleans of YAML 1.1, which Dex's parser accepts.
fn yaml_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Whether YAML 1.1 reads this unquoted word as a number or boolean.
fn is_typed_scalar(text: &str) -> bool {
    let number = text.parse::<f64>().is_ok()
        && text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+' || c == '.');
    number || yaml_bool(text).is_some()
}
