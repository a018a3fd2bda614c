//! A configuration file as a tree in which every key and value has its position.

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
