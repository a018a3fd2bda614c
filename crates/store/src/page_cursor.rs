//! Cursors of paged lists. Cursors are untrusted input and parsed strictly.

use countersign_core::Timestamp;

use crate::StoreError;

/// Maximum number of rows of a page.
const MAX_PAGE: i64 = 500;
/// Longest id in a cursor.
const MAX_ID: usize = 64;

/// The last row of a page, in a list ordered by an instant and an id, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageCursor {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
}

impl PageCursor {
    pub(crate) fn new(at: Timestamp, id: &str) -> Self {
        Self { at, id: id.to_owned() }
    }

    /// Excludes this instant and later ones.
    pub(crate) fn before(at: Timestamp) -> Self {
        Self { at, id: String::new() }
    }

    /// Accepts only what [`Self::to_text`] returned.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let parsed = text.split_once('.').and_then(|(at, id)| {
            let at = Timestamp::from_millis(at.parse().ok()?);
            let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            let is_id = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(known);
            is_id.then(|| Self { at, id: id.to_owned() })
        });
        parsed.filter(|cursor| cursor.to_text() == text).ok_or(StoreError::InvalidCursor)
    }

    pub(crate) fn to_text(&self) -> String {
        format!("{}.{}", self.at.millis(), self.id)
    }

    /// The cursor that comes later in the list.
    pub(crate) fn later_of(self, other: Self) -> Self {
        if (self.at, &self.id) <= (other.at, &other.id) { self } else { other }
    }
}

/// The number of rows of a page, from the number requested.
pub(crate) fn page_size(requested: i64) -> i64 {
    requested.clamp(1, MAX_PAGE)
}

/// Removes the extra row that indicates a next page; true if there was one.
pub(crate) fn truncate_page<T>(rows: &mut Vec<T>, size: i64) -> bool {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    more
}

#[cfg(test)]
mod tests {
    use super::PageCursor;
    use countersign_core::Timestamp;

    #[test]
    fn only_an_issued_cursor_is_accepted() {
        let cursor = PageCursor::new(Timestamp::from_millis(-5), "aZ_-9");
        assert_eq!(PageCursor::parse(&cursor.to_text()).unwrap(), cursor);
        let long = format!("1.{}", "a".repeat(65));
        for invalid in ["", ".", "1.", "1", "+1.a", "01.a", "1.a.b", "1.a'b", " 1.a", "1.\0", &long]
        {
            assert!(PageCursor::parse(invalid).is_err(), "{invalid:?}");
        }
    }
}
