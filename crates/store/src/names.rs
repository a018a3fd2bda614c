//! Under which texts a person is found: what the columns of `sessions` for searching hold, and how a text
//! to search for is made to fit them. Decides nothing.

use countersign_core::{Identity, Session};

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::rows::{self, session_columns};
use crate::{Store, StoreError, memberships};

/// What an index holds of a text at most, in bytes (PostgreSQL refuses a row of 2704).
const LONGEST_KEY: usize = 1000;
/// A text to look for is not longer, in bytes; of a longer one nothing is found.
pub(crate) const LONGEST_TEXT: usize = 1000;
/// Rows of an earlier version that are filled in at once.
const BITE: i64 = 500;

/// An identity in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) user_key: String,
    pub(crate) login: String,
    pub(crate) email: String,
    pub(crate) search: String,
}

impl Names {
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

/// A text as the columns for an exact search in any case hold it.
pub(crate) fn exact(text: &str) -> String {
    key(&lower(text))
}

/// A text that every engine keeps in an index. Two that differ only behind their thousandth byte are one.
pub(crate) fn key(text: &str) -> String {
    let text = text.replace('\0', " ");
    let end = text.floor_char_boundary(LONGEST_KEY);
    text.get(..end).unwrap_or_default().to_owned()
}

/// The pattern for LIKE … ESCAPE '\' that finds this text in a lower-cased one.
pub(crate) fn pattern(text: &str) -> String {
    contains(&lower(text))
}

/// The same in the case that was given.
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

impl Store {
    /// Fills in what rows of an earlier version lack. Whoever starts does it, also while others run.
    pub(crate) async fn fill_names(&self) -> Result<(), StoreError> {
        while self.write(FillNames).await? {}
        Ok(())
    }
}

struct FillNames;

impl Operation for FillNames {
    /// True when there may be more.
    type Answer = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE search IS NULL ORDER BY id LIMIT $1"
        );
        let rows = conn.select(sql, &[BITE.into()]).await?;
        for row in &rows {
            let session = rows::session(row)?;
            if set_names(conn, &session, &Names::of(&session.identity), true).await? {
                memberships::remember(conn, &session).await?;
            }
        }
        Ok(!rows.is_empty())
    }
}

/// True when the row was there; with `unfilled`, and still without names.
pub(crate) async fn set_names(
    conn: &mut Conn<'_>,
    session: &Session,
    names: &Names,
    unfilled: bool,
) -> Result<bool, StoreError> {
    let set = conn
        .execute(
            "UPDATE sessions SET user_key = $2, login = $3, email = $4, search = $5 \
             WHERE id = $1 AND (search IS NULL OR $6 = 0)",
            &[
                (&session.id).into(),
                (&names.user_key).into(),
                (&names.login).into(),
                (&names.email).into(),
                (&names.search).into(),
                unfilled.into(),
            ],
        )
        .await?;
    Ok(set == 1)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_KEY, Names, contains, key};
    use countersign_core::Identity;

    #[test]
    fn what_like_understands_is_taken_at_its_word() {
        assert_eq!(contains(r"50%_a\b"), r"%50\%\_a\\b%");
    }

    #[test]
    fn a_person_is_found_by_each_name_once_and_in_lower_case() {
        let jane = Identity {
            user_id: "Jane".into(),
            username: "JÄNE\0Doe".into(),
            preferred_username: "jane".into(),
            ..Identity::default()
        };
        let names = Names::of(&jane);
        assert_eq!(names.search, "jäne doe\njane");
        assert_eq!((names.user_key.as_str(), names.login.as_str()), ("jane", "jane"));
    }

    #[test]
    fn a_key_is_cut_between_characters() {
        assert_eq!(key(&"ä".repeat(LONGEST_KEY)).len(), LONGEST_KEY);
        assert_eq!(key(&format!("a{}", "ä".repeat(LONGEST_KEY))).len(), LONGEST_KEY - 1);
    }
}
