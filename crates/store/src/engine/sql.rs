//! SQL text with its values, as both engines take them; and several writing statements of one operation, sent to SQLite's
//! worker thread in one message.
//!
//! Each message costs two thread switches, which is more than most statements. PostgreSQL prepares one statement at a
//! time, so there they are sent one after another.

use std::borrow::Cow;

use countersign_core::{ClientId, ConnectorId, GrantId, SessionId, Timestamp};

use crate::StoreError;
use crate::error::corrupt;

/// The value of a placeholder. No `Debug`: it may be a sealed key or personal data.
#[derive(Clone)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

/// A statement whose conditions depend on the query: text and values are appended together. Similar to
/// `sqlx::QueryBuilder`, which is generic over the engine and would make every caller generic.
#[derive(Clone, Default)]
pub(crate) struct Sql {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Sql {
    pub(super) fn into_parts(self) -> (String, Vec<Value>) {
        (self.text, self.values)
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends the next placeholder.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push_str(&format!("${}", self.values.len()));
        self
    }

    /// Appends ` AND text value` if there is a value.
    pub(crate) fn and(&mut self, text: &str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.push(" AND ").push(text).bind(value);
        }
        self
    }

    /// Appends `(value, value, ...)`.
    pub(crate) fn bind_list<V: Into<Value>>(
        &mut self,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        for (n, value) in values.into_iter().enumerate() {
            self.push(if n == 0 { "(" } else { ", " }).bind(value);
        }
        self.push(")")
    }
}

pub(super) fn refuse_nul(values: &[Value]) -> Result<(), StoreError> {
    if values.iter().any(Value::has_nul) {
        return Err(StoreError::Unstorable("it has a NUL character".into()));
    }
    Ok(())
}

impl Value {
    pub(super) fn has_nul(&self) -> bool {
        matches!(self, Self::Text(Some(text)) if text.contains('\0'))
    }

    /// As JSON text.
    pub(crate) fn json(value: &impl serde::Serialize) -> Result<Self, StoreError> {
        serde_json::to_string(value)
            .map(|text| Self::Text(Some(text)))
            .map_err(|e| corrupt(format!("this is not JSON: {e}")))
    }
}

macro_rules! values {
    ($($type:ty => |$from:ident| $value:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($from: $type) -> Self { $value }
        })*
    };
}

values! {
    &str => |text| Self::Text(Some(text.to_owned()));
    &String => |text| Self::Text(Some(text.clone()));
    Option<&str> => |text| Self::Text(text.map(str::to_owned));
    &Option<String> => |text| Self::Text(text.clone());
    &SessionId => |id| id.as_str().into();
    &GrantId => |id| id.as_str().into();
    &ClientId => |id| id.as_str().into();
    &ConnectorId => |id| id.as_str().into();
    String => |text| Self::Text(Some(text));
    Option<&String> => |text| Self::Text(text.cloned());
    i64 => |int| Self::Int(Some(int));
    bool => |yes| Self::Int(Some(i64::from(yes)));
    Timestamp => |at| Self::Int(Some(at.millis()));
    Option<Timestamp> => |at| Self::Int(at.map(Timestamp::millis));
}

/// Independent statements: none uses the result of another.
#[derive(Default)]
pub(crate) struct Statements {
    pub(super) list: Vec<Statement>,
}

pub(crate) struct Statement {
    pub(super) sql: Cow<'static, str>,
    pub(super) values: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(sql: &'static str, values: Vec<Value>) -> Self {
        Self { sql: Cow::Borrowed(sql), values }
    }
}

impl From<Sql> for Statement {
    fn from(sql: Sql) -> Self {
        let (text, values) = sql.into_parts();
        Self { sql: Cow::Owned(text), values }
    }
}

impl Statements {
    pub(crate) fn add(&mut self, sql: &'static str, values: Vec<Value>) {
        self.list.push(Statement::new(sql, values));
    }

    pub(crate) fn extend(&mut self, statements: impl IntoIterator<Item = Statement>) {
        self.list.extend(statements);
    }

    /// All statements as one text with consecutive placeholders, and their values.
    pub(super) fn joined(self) -> (String, Vec<Value>) {
        let length = self.list.iter().map(|statement| statement.sql.len() + 16).sum();
        let (mut text, mut values) = (String::with_capacity(length), Vec::new());
        for statement in self.list {
            if !text.is_empty() {
                text.push_str("; ");
            }
            push_shifted(&mut text, &statement.sql, values.len());
            values.extend(statement.values);
        }
        (text, values)
    }
}

/// Appends `sql` with all placeholder numbers increased by `by`. No statement has a dollar sign in a literal.
fn push_shifted(text: &mut String, sql: &str, by: usize) {
    let mut parts = sql.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        let number = number.parse::<usize>().unwrap_or_default() + by;
        text.push('$');
        text.push_str(&number.to_string());
        text.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::Statements;

    #[test]
    fn placeholders_continue_over_all_statements() {
        let mut statements = Statements::default();
        statements.add("UPDATE a SET x = $2, y = $2 WHERE id = $1", vec!["a".into(), 7_i64.into()]);
        statements.add("DELETE FROM b", Vec::new());
        statements.add("INSERT INTO c VALUES ($1, $10)", vec!["c".into()]);
        let (text, values) = statements.joined();
        let expected = "UPDATE a SET x = $2, y = $2 WHERE id = $1; DELETE FROM b; \
                        INSERT INTO c VALUES ($3, $12)";
        assert_eq!((text.as_str(), values.len()), (expected, 3));
    }
}
