//! Normalized text for searching: the values of the search columns of `sessions`, and the same normalization for search
//! texts.

use countersign_core::Identity;

/// Longest indexed text in bytes (PostgreSQL rejects an index row over 2704).
const MAX_KEY: usize = 1000;
/// Longest search text in bytes; a longer one matches nothing.
pub(crate) const MAX_SEARCH_TEXT: usize = 1000;

/// The search columns of a session, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SearchNames {
    pub(crate) user_key: String,
    pub(crate) login: String,
    pub(crate) email: String,
    pub(crate) search: String,
}

impl SearchNames {
    pub(crate) fn of(identity: &Identity) -> Self {
        let Identity { user_id, username, preferred_username, email, .. } = identity;
        let mut parts: Vec<String> = Vec::new();
        for part in [username, preferred_username, email, user_id] {
            let part = lower(part);
            if !part.is_empty() && !parts.contains(&part) {
                parts.push(part);
            }
        }
        Self {
            user_key: exact(user_id),
            login: exact(preferred_username),
            email: exact(email),
            search: parts.join("\n"),
        }
    }
}

/// Normalized like the columns, for a case-insensitive exact match.
pub(crate) fn exact(text: &str) -> String {
    key(&lower(text))
}

/// Shortened to what every engine can index: texts that differ only beyond [`MAX_KEY`] bytes are equal.
pub(crate) fn key(text: &str) -> String {
    let text = text.replace('\0', " ");
    let end = text.floor_char_boundary(MAX_KEY);
    text.get(..end).unwrap_or_default().to_owned()
}

/// The pattern for `LIKE … ESCAPE '\'` that finds this text within a lower-case one.
pub(crate) fn pattern(text: &str) -> String {
    contains(&lower(text))
}

/// The same without changing case.
pub(crate) fn contains(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn lower(text: &str) -> String {
    text.to_lowercase().replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEY, SearchNames, contains, key};
    use countersign_core::Identity;

    #[test]
    fn wildcards_of_like_are_escaped() {
        assert_eq!(contains(r"50%_a\b"), r"%50\%\_a\\b%");
    }

    #[test]
    fn each_name_appears_once_and_in_lower_case() {
        let jane = Identity {
            user_id: "Jane".into(),
            username: "JÄNE\0Doe".into(),
            preferred_username: "jane".into(),
            ..Identity::default()
        };
        let names = SearchNames::of(&jane);
        assert_eq!(names.search, "jäne doe\njane");
        assert_eq!((names.user_key.as_str(), names.login.as_str()), ("jane", "jane"));
    }

    #[test]
    fn a_key_is_cut_between_characters() {
        assert_eq!(key(&"ä".repeat(MAX_KEY)).len(), MAX_KEY);
        assert_eq!(key(&format!("a{}", "ä".repeat(MAX_KEY))).len(), MAX_KEY - 1);
    }
}
