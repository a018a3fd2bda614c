//! The tokens of a dump: words, names and literals.

use crate::ReadError;

/// The escape rules of text literals.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Backslash escapes in all literals.
    MySql,
    /// Backslashes are literal, unless the literal begins with `E'`.
    Postgres,
    /// Backslash escapes of COPY.
    Copy,
}

pub(super) enum Literal {
    Null,
    /// Also a number or a boolean, as written.
    Text(String),
    /// The digits of `0x…`.
    Hex(String),
}

pub(super) struct Scanner<'a> {
    rest: &'a str,
    whole: &'a str,
    dialect: Dialect,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let is_mysql = text.contains("ENGINE=") || text.contains("INSERT INTO `");
        let dialect = if is_mysql { Dialect::MySql } else { Dialect::Postgres };
        Self { rest: text, whole: text, dialect }
    }

    /// An error that names the line, without its text, which may be a secret.
    pub(super) fn error(&self, message: &str) -> ReadError {
        let read = self.whole.len() - self.rest.len();
        let line = 1 + self.whole.get(..read).unwrap_or_default().matches('\n').count();
        ReadError::Format(format!("line {line}: {message}"))
    }

    /// Skips blanks, comments and empty statements; false at the end.
    pub(super) fn skip_to_statement(&mut self) -> bool {
        self.skip_blank();
        while self.take(';') {}
        !self.rest.is_empty()
    }

    fn skip_blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if ["--", "#", "\\restrict", "\\unrestrict"].iter().any(|c| self.rest.starts_with(c)) {
                self.skip_line();
            } else if self.rest.starts_with("/*") {
                let end = self.rest.find("*/").map_or(self.rest.len(), |end| end + 2);
                self.rest = self.rest.get(end..).unwrap_or_default();
            } else {
                return;
            }
        }
    }

    pub(super) fn skip_line(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
    }

    /// The rest of this line; `None` at the end.
    pub(super) fn line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(line.trim_end_matches('\r'))
    }

    /// Consumes these words, or nothing.
    pub(super) fn keywords(&mut self, words: &[&str]) -> bool {
        let before = self.rest;
        for word in words {
            if !self.is_at_keyword(word) {
                self.rest = before;
                return false;
            }
            self.rest = self.rest.get(word.len()..).unwrap_or_default();
        }
        self.skip_blank();
        true
    }

    pub(super) fn is_at_keyword(&mut self, word: &str) -> bool {
        self.skip_blank();
        let Some((head, tail)) = self.rest.split_at_checked(word.len()) else { return false };
        head.eq_ignore_ascii_case(word) && !tail.starts_with(is_word)
    }

    /// An unquoted word; empty if there is none.
    pub(super) fn word(&mut self) -> &'a str {
        self.skip_blank();
        let end = self.rest.find(|c: char| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A name without quotes and schema.
    pub(super) fn name(&mut self) -> Result<String, ReadError> {
        let mut name = self.name_part()?;
        while self.take('.') {
            name = self.name_part()?;
        }
        Ok(name)
    }

    fn name_part(&mut self) -> Result<String, ReadError> {
        self.skip_blank();
        let quote = self.rest.chars().next().filter(|c| matches!(c, '`' | '"'));
        let Some(quote) = quote else {
            let word = self.word();
            return match word {
                "" => Err(self.error("a name is missing")),
                word => Ok(word.to_owned()),
            };
        };
        let quoted = self.rest.get(1..).and_then(|rest| rest.split_once(quote));
        let (name, rest) = quoted.ok_or_else(|| self.error("a name has no end"))?;
        self.rest = rest;
        Ok(name.to_owned())
    }

    pub(super) fn take(&mut self, c: char) -> bool {
        self.skip_blank();
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        if rest.is_some() {
            self.skip_blank();
        }
        rest.is_some()
    }

    pub(super) fn expect(&mut self, c: char) -> Result<(), ReadError> {
        match self.take(c) {
            true => Ok(()),
            false => Err(self.error(&format!("expected {c:?}"))),
        }
    }

    pub(super) fn literal(&mut self) -> Result<Literal, ReadError> {
        self.skip_blank();
        self.keywords(&["_binary"]);
        if let Some(rest) = self.rest.strip_prefix('\'') {
            self.rest = rest;
            return self.text(self.dialect).map(Literal::Text);
        }
        if let Some(rest) = self.rest.strip_prefix("E'") {
            self.rest = rest;
            return self.text(Dialect::MySql).map(Literal::Text);
        }
        if let Some(rest) = self.rest.strip_prefix("0x") {
            self.rest = rest;
            return Ok(Literal::Hex(self.word().to_owned()));
        }
        let end = self.rest.find([',', ')', ';']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word.trim() {
            "" => Err(self.error("a value is missing")),
            word if word.eq_ignore_ascii_case("NULL") => Ok(Literal::Null),
            word => Ok(Literal::Text(word.to_owned())),
        }
    }

    /// The text after an opening quotation mark. A doubled quotation mark is an escape in every dialect.
    fn text(&mut self, dialect: Dialect) -> Result<String, ReadError> {
        let mut raw = String::new();
        let mut characters = self.rest.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' if dialect == Dialect::MySql => {
                    raw.push(c);
                    raw.extend(characters.next().map(|(_, c)| c));
                }
                '\'' if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                    characters.next();
                    raw.push('\'');
                }
                '\'' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(unescaped(&raw, dialect));
                }
                _ => raw.push(c),
            }
        }
        Err(self.error("a text has no end"))
    }

    /// Skips to the next entry of a list in parentheses; false after its end.
    pub(super) fn skip_to_next_in_list(&mut self) -> Result<bool, ReadError> {
        let mut depth = 0_u32;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\'' => {
                    self.literal()?;
                    continue;
                }
                '(' => depth += 1,
                ')' if depth == 0 => {
                    self.take(')');
                    return Ok(false);
                }
                ')' => depth -= 1,
                ',' if depth == 0 => {
                    self.take(',');
                    return Ok(true);
                }
                _ => {}
            }
            self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        }
        Err(self.error("a list has no end"))
    }

    pub(super) fn skip_statement(&mut self) {
        while let Some(c) = self.rest.chars().next() {
            if c == '\'' {
                if self.literal().is_err() {
                    self.rest = "";
                }
                continue;
            }
            self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
            if c == ';' {
                return;
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Undoes the escapes of a dialect.
pub(super) fn unescaped(text: &str, dialect: Dialect) -> String {
    if dialect == Dialect::Postgres {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some('0') if dialect == Dialect::MySql => plain.push('\0'),
            Some('Z') if dialect == Dialect::MySql => plain.push('\u{1a}'),
            Some('b') => plain.push('\u{8}'),
            Some(other) => plain.push(other),
            None => plain.push('\\'),
        }
    }
    plain
}
