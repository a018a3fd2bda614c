//! Names chosen by others (clients, users, groups) for display, and the views of users and clients.

use std::fmt;

use askama::filters::{Escaper, Html, HtmlSafe};
use countersign_core::text::is_deceptive;

/// Longest name shown, in characters.
const LONGEST: usize = 256;
/// Longest name inside a sentence or a title.
const LONGEST_IN_SENTENCE: usize = 64;
/// Longest name in a cell of a table.
const LONGEST_IN_CELL: usize = 32;
/// Shown for a name without visible characters.
const NOTHING: &str = "—";

/// A name for display: without control characters, characters that change the text direction, and invisible padding,
/// and limited in length. It is *not* escaped; templates escape it and put it in `<bdi>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    pub fn new(raw: &str) -> Self {
        Self::up_to(LONGEST, raw)
    }

    /// With another limit, in characters.
    pub(crate) fn up_to(longest: usize, raw: &str) -> Self {
        // Truncated first, so that a very long name costs no more than a long one.
        let visible: String = raw
            .chars()
            .take(longest.saturating_mul(8))
            .map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c })
            .filter(|c| !is_deceptive(*c))
            .collect();
        let words: Vec<&str> = visible.split_whitespace().collect();
        let joined = words.join(" ");
        if joined.is_empty() { Self(NOTHING.to_owned()) } else { Self(cut(&joined, longest)) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Shortened for a sentence. Not for a host, whose end is significant.
    pub(crate) fn short(&self) -> Self {
        Self(cut(&self.0, LONGEST_IN_SENTENCE))
    }

    /// Shortened for a table cell; the page it links to shows the whole name.
    pub(crate) fn brief(&self) -> Self {
        Self(cut(&self.0, LONGEST_IN_CELL))
    }

    /// As HTML that may wrap after `@` and before `.`, but not within a part. Copying it yields the original text.
    pub(crate) fn breakable(&self) -> BreakableName<'_> {
        BreakableName(&self.0)
    }

    /// The first letter, in place of a picture.
    pub(crate) fn initial(&self) -> String {
        let first = self.0.chars().find(|c| c.is_alphanumeric());
        first.map_or_else(|| NOTHING.to_owned(), |c| c.to_uppercase().collect())
    }
}

/// See [`Name::breakable`]. Escaped on display.
pub(crate) struct BreakableName<'a>(&'a str);

impl HtmlSafe for BreakableName<'_> {}

impl fmt::Display for BreakableName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, part) in self.0.split_inclusive('@').enumerate() {
            if position > 0 {
                f.write_str("<wbr>")?;
            }
            for (position, label) in part.split('.').enumerate() {
                if position > 0 {
                    f.write_str("<wbr>.")?;
                }
                Html.write_escaped_str(&mut *f, label)?;
            }
        }
        Ok(())
    }
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some(_) => text.chars().take(longest.saturating_sub(1)).chain(['…']).collect(),
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Name {
    fn from(raw: &str) -> Self {
        Self::new(raw)
    }
}

impl From<&String> for Name {
    fn from(raw: &String) -> Self {
        Self::new(raw)
    }
}

impl From<String> for Name {
    fn from(raw: String) -> Self {
        Self::new(&raw)
    }
}

/// The client that requested the login.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    pub name: Name,
    /// Host of its redirect URI, which a client cannot forge. `None` for loopback and private-use schemes.
    pub host: Option<Name>,
    /// A path on this origin, or a remote URL if the configuration allows those.
    pub logo: Option<String>,
}

/// The user, as the connector returned them.
#[derive(Clone, Debug)]
pub struct SignedInUser {
    pub name: Name,
    pub email: Option<Name>,
    pub connector_name: Name,
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn a_name_is_cleaned_and_cut() {
        for (raw, shown) in [
            ("Jane Doe", "Jane Doe"),
            ("  Jane\t\r\n Doe ", "Jane Doe"),
            ("\u{202e}evil\u{202c}", "evil"),
            ("\u{200b}\u{2069}\0", "—"),
            ("", "—"),
            ("علی\u{200c}رضا", "علی\u{200c}رضا"),
        ] {
            assert_eq!(Name::new(raw).as_str(), shown);
        }
        assert_eq!(Name::new(&"x".repeat(10_000)).as_str().chars().count(), 256);
        assert_eq!(Name::new(" élan").initial(), "É");
    }
}
