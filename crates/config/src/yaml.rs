//! Parses YAML text into a tree with positions, within limits of size, depth and alias expansion.
//!
//! granit-parser returns events with their positions. Aliases and merge keys are copied up to a limit; tags outside the
//! core schema and a second document are refused. Repeated keys are kept; [`Section::finish`](crate::Section::finish)
//! reports them.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

/// Larger files are refused.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Depth of nested maps and lists, aliases included.
const MAX_DEPTH: usize = 64;
/// Limit for copies by all aliases together, in bytes plus nodes.
const MAX_COPIED: usize = 256 * 1024;

/// A position in the file; line and column count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: usize,
    pub column: usize,
}

impl Mark {
    /// The position of problems that concern the file as a whole.
    pub const WHOLE_FILE: Self = Self { line: 0, column: 0 };
}

/// A value and its position.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub mark: Mark,
    pub value: Value,
}

/// The value of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    /// `plain` means unquoted: `yes` and `5556` are then a boolean and a number, `"yes"` and `"5556"` are text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file. A key given twice is in it twice.
    Map(Vec<(Key, Node)>),
}

/// The key of a map entry and its position.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub mark: Mark,
    pub text: String,
}

impl Value {
    /// The type of the value, for messages. Messages never repeat the value itself, which may be a secret.
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

/// The text is not one YAML document: the reason and its position.
#[derive(Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub mark: Mark,
    pub message: String,
}

/// The tree of the only document; [`Value::Null`] if there is none.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut tree = Tree::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| syntax(&error))?;
        tree.handle(event, mark(&span.start))?;
    }
    Ok(tree.root.unwrap_or(Node { mark: Mark { line: 1, column: 1 }, value: Value::Null }))
}

fn mark(marker: &Marker) -> Mark {
    Mark { line: marker.line(), column: marker.col() + 1 }
}

fn broken(mark: Mark, message: impl Into<String>) -> SyntaxError {
    SyntaxError { mark, message: message.into() }
}

fn syntax(error: &ScanError) -> SyntaxError {
    broken(mark(error.marker()), format!("is not YAML: {}", error.info()))
}

/// The tree being built.
#[derive(Default)]
struct Tree {
    root: Option<Node>,
    open: Vec<Open>,
    /// Complete nodes that have an anchor.
    anchored: HashMap<usize, Anchored>,
    copied: usize,
    documents: usize,
}

struct Anchored {
    node: Node,
    size: usize,
    depth: usize,
}

/// A map or list whose end has not been read yet.
struct Open {
    mark: Mark,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, key: Option<Key>, merged: Vec<Node> },
}

impl Tree {
    fn handle(&mut self, event: Event<'_>, mark: Mark) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(broken(mark, "is a second document; there must be one"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text, style, tag.as_deref(), mark)?;
                self.put(Node { mark, value }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), mark)?;
                self.begin(Open { mark, anchor, kind: Kind::List(Vec::new()) })?;
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), mark)?;
                let kind = Kind::Map { entries: Vec::new(), key: None, merged: Vec::new() };
                self.begin(Open { mark, anchor, kind })?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let (node, anchor) = close(open);
                    self.put(node, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let node = self.copy(anchor, mark)?;
                self.put(node, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, open: Open) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(broken(open.mark, format!("is nested deeper than {MAX_DEPTH}")));
        }
        self.open.push(open);
        Ok(())
    }

    /// A copy of the node that an alias refers to.
    fn copy(&mut self, anchor: usize, mark: Mark) -> Result<Node, SyntaxError> {
        let Some(anchored) = self.anchored.get(&anchor) else {
            return Err(broken(mark, "is an alias within what it names"));
        };
        self.copied += anchored.size;
        if self.copied > MAX_COPIED {
            return Err(broken(mark, "aliases copy more than a configuration needs"));
        }
        if self.open.len() + anchored.depth > MAX_DEPTH {
            return Err(broken(mark, format!("is nested deeper than {MAX_DEPTH}")));
        }
        Ok(anchored.node.clone())
    }

    /// Adds a complete node to the innermost open map or list.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if anchor != 0 {
            let (size, depth) = measure(&node);
            self.anchored.insert(anchor, Anchored { node: node.clone(), size, depth });
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::List(nodes)) => nodes.push(node),
            Some(Kind::Map { entries, key, merged }) => match key.take() {
                None => *key = Some(as_key(node)?),
                Some(name) if name.text == "<<" => merged.extend(to_merge(node)?),
                Some(name) => entries.push((name, node)),
            },
        }
        Ok(())
    }
}

/// The complete node and its anchor.
fn close(open: Open) -> (Node, usize) {
    let value = match open.kind {
        Kind::List(nodes) => Value::List(nodes),
        Kind::Map { mut entries, merged, .. } => {
            for map in merged {
                merge(&mut entries, map);
            }
            Value::Map(entries)
        }
    };
    (Node { mark: open.mark, value }, open.anchor)
}

/// YAML 1.1 merge: existing keys take precedence.
fn merge(entries: &mut Vec<(Key, Node)>, map: Node) {
    let Value::Map(others) = map.value else { return };
    for (key, node) in others {
        if !entries.iter().any(|(own, _)| own.text.eq_ignore_ascii_case(&key.text)) {
            entries.push((key, node));
        }
    }
}

fn to_merge(node: Node) -> Result<Vec<Node>, SyntaxError> {
    let mark = node.mark;
    let maps = match node.value {
        Value::List(nodes) => nodes,
        value => vec![Node { mark, value }],
    };
    if maps.iter().all(|map| matches!(map.value, Value::Map(_))) {
        return Ok(maps);
    }
    Err(broken(mark, "is merged by << and is not a map"))
}

fn as_key(node: Node) -> Result<Key, SyntaxError> {
    match node.value {
        Value::Scalar { text, .. } => Ok(Key { mark: node.mark, text }),
        _ => Err(broken(node.mark, "is a key and is not text")),
    }
}

fn scalar(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    mark: Mark,
) -> Result<Value, SyntaxError> {
    check_tag(tag, mark)?;
    let is_text = tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
    let plain = style == ScalarStyle::Plain && !is_text;
    if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
        return Ok(Value::Null);
    }
    Ok(Value::Scalar { text: text.into_owned(), plain })
}

/// Tags of the core schema such as `!!str` are accepted; others would change the meaning of the value.
fn check_tag(tag: Option<&Tag>, mark: Mark) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if tag.core_suffix().is_none() => {
            Err(broken(mark, "has a tag that is not supported"))
        }
        _ => Ok(()),
    }
}

/// Size of a node in bytes plus nodes, and its depth.
fn measure(node: &Node) -> (usize, usize) {
    let below = |nodes: &mut dyn Iterator<Item = &Node>| {
        nodes.map(measure).fold((1, 1), |(size, depth), (s, d)| (size + s, depth.max(d + 1)))
    };
    match &node.value {
        Value::Null => (1, 0),
        Value::Scalar { text, .. } => (1 + text.len(), 0),
        Value::List(nodes) => below(&mut nodes.iter()),
        Value::Map(entries) => {
            let keys: usize = entries.iter().map(|(key, _)| key.text.len()).sum();
            let (size, depth) = below(&mut entries.iter().map(|(_, node)| node));
            (size + keys, depth)
        }
    }
}

#[cfg(test)]
mod tests;
