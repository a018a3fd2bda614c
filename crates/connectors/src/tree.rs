//! For tests: configuration built as a tree, with one line number per key and list entry.

use countersign_config::{Key, Mark, Node, Problems, Section, Value};

pub fn text(text: impl Into<String>) -> Node {
    node(Value::Scalar { text: text.into(), plain: false })
}

/// An unquoted scalar, as for flags, numbers and durations.
pub fn plain(text: impl Into<String>) -> Node {
    node(Value::Scalar { text: text.into(), plain: true })
}

pub fn list(entries: Vec<Node>) -> Node {
    node(Value::List(entries))
}

pub fn map(entries: Vec<(&str, Node)>) -> Node {
    let key = |text: &str| Key { mark: Mark::default(), text: text.to_owned() };
    node(Value::Map(entries.into_iter().map(|(name, value)| (key(name), value)).collect()))
}

/// Reads the tree, and returns the result and every problem as printed.
pub fn read<T>(mut root: Node, reader: impl FnOnce(Section<'_>) -> T) -> (T, Vec<String>) {
    number(&mut root, &mut 0);
    let problems = Problems::default();
    let outcome = reader(Section::root(&root, &problems).expect("the root is a map"));
    (outcome, problems.into_sorted().iter().map(ToString::to_string).collect())
}

fn node(value: Value) -> Node {
    Node { mark: Mark::default(), value }
}

fn number(node: &mut Node, line: &mut usize) {
    node.mark = Mark { line: *line, column: 3 };
    match &mut node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                *line += 1;
                key.mark = Mark { line: *line, column: 1 };
                number(value, line);
            }
        }
        Value::List(entries) => {
            for entry in entries {
                *line += 1;
                number(entry, line);
            }
        }
        Value::Null | Value::Scalar { .. } => {}
    }
}
