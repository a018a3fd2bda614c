//! Several writing statements of one operation, sent to SQLite's worker thread in one message.
//!
//! Each message costs two thread switches, which is more than most statements. PostgreSQL prepares one statement at a
//! time, so there they are sent one after another.

use std::borrow::Cow;

use super::sql::{Sql, Value};

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
