//! Reads the header fields of a proxy; ambiguous ones are refused (threats 116 and 118 of the catalogue).
//!
//! Groups are one field, split at each separator; surrounding white space is removed, empty names are dropped and
//! repeated ones kept once. Quotes have no defined meaning, so a field with quotes is refused.

use countersign_core::text::{is_deceptive, is_joiner};
use std::collections::HashSet;

/// Longer than any list of groups that fits into a token.
const LONGEST_BYTES: usize = 32 * 1024;
const LONGEST_NAME_BYTES: usize = 1024;

pub(super) struct Fields<'a>(&'a [(String, Vec<u8>)]);

impl<'a> Fields<'a> {
    /// `Err` if the browser behind the proxy may have sent a field: a name that some programs treat as one of ours
    /// (`X_Remote_User`), or a field listed in `Connection`, which proxies remove (RFC 9110 section 7.6.1).
    pub fn new(fields: &'a [(String, Vec<u8>)], names: &[&str]) -> Result<Self, String> {
        for (name, value) in fields {
            if let Some(check_redirect_uri) =
                names.iter().find(|check_redirect_uri| is_alike(name, check_redirect_uri))
            {
                return Err(format!(
                    "there is a header that some programs take for {check_redirect_uri}"
                ));
            }
            if name == "connection" && lists_one_of(value, names) {
                return Err(
                    "the header Connection names one of the headers of the proxy".to_owned()
                );
            }
        }
        Ok(Self(fields))
    }

    /// A user name, taken literally. A field with a comma or semicolon is refused.
    pub fn one(&self, name: &str) -> Result<Option<String>, String> {
        let Some(text) = self.name(name)? else { return Ok(None) };
        match text.contains([',', ';']) {
            true => Err(format!("{name} holds a comma or semicolon, so it could be two names")),
            false => Ok(Some(text)),
        }
    }

    /// A display name, which may contain a comma ("Doe, Jane").
    pub fn name(&self, name: &str) -> Result<Option<String>, String> {
        match self.text(name)? {
            Some(text) if text.len() > LONGEST_NAME_BYTES => Err(format!("{name} is too long")),
            text => Ok(text.map(str::to_owned)),
        }
    }

    pub fn list(&self, name: &str, separator: &str) -> Result<Vec<String>, String> {
        let Some(text) = self.text(name)? else { return Ok(Vec::new()) };
        if text.contains('"') {
            return Err(format!("{name} holds quotes, which mean nothing here"));
        }
        let mut seen = HashSet::new();
        let names = text.split(separator).map(str::trim);
        let names = names.filter(|name| !name.is_empty() && seen.insert(*name));
        Ok(names.map(str::to_owned).collect())
    }

    /// `None`: the field is absent or empty, which proxies send for unknown values.
    fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        let mut values = self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(format!("{name} is there more than once"));
        }
        if value.len() > LONGEST_BYTES {
            return Err(format!("{name} is too long"));
        }
        let text = std::str::from_utf8(value).map_err(|_| format!("{name} is not UTF-8"))?.trim();
        if text.chars().any(is_unseen) {
            return Err(format!("{name} holds characters that nobody can see"));
        }
        Ok((!text.is_empty()).then_some(text))
    }
}

/// Deceptive characters and joiners, which can make two different names look equal.
fn is_unseen(c: char) -> bool {
    is_deceptive(c) || is_joiner(c)
}

/// Whether CGI, WSGI or FastCGI would treat the two header names as equal.
fn is_alike(name: &str, check_redirect_uri: &str) -> bool {
    name != check_redirect_uri && name.replace('_', "-") == check_redirect_uri
}

fn lists_one_of(value: &[u8], names: &[&str]) -> bool {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    text.split(',')
        .map(|option| option.trim().replace('_', "-"))
        .any(|o| names.contains(&o.as_str()))
}
