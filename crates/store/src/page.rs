//! Pages of a list that goes on: where the next one begins. A mark is read by us alone, but whoever
//! brings it may have made it up.

use countersign_core::{SessionId, Timestamp};

use crate::StoreError;

/// Rows of one answer at most, whatever is asked.
const LARGEST: i64 = 500;
/// No id of ours is longer.
const LONGEST_ID: usize = 64;

/// A row of a list in the order of an instant and, within it, of sessions; the latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
}

impl Mark {
    pub(crate) fn new(at: Timestamp, session: &SessionId) -> Self {
        Self { at, id: session.as_str().to_owned() }
    }

    /// Before everything at this instant; what is earlier follows.
    pub(crate) fn before(at: Timestamp) -> Self {
        Self { at, id: String::new() }
    }

    /// Only what [`Self::spell`] wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let parsed = text.split_once('.').and_then(|(at, id)| {
            let at = Timestamp::from_millis(at.parse().ok()?);
            let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            let is_id = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(known);
            is_id.then(|| Self { at, id: id.to_owned() })
        });
        parsed.filter(|mark| mark.spell() == text).ok_or(StoreError::NoSuchPage)
    }

    pub(crate) fn spell(&self) -> String {
        format!("{}.{}", self.at.millis(), self.id)
    }

    /// Whichever comes later in the list.
    pub(crate) fn or_later(self, other: Self) -> Self {
        if (self.at, &self.id) <= (other.at, &other.id) { self } else { other }
    }
}

/// How many rows a page has.
pub(crate) fn size(asked: i64) -> i64 {
    asked.clamp(1, LARGEST)
}

/// Cuts off the one row that was read too many; true when it was there.
pub(crate) fn cut<T>(rows: &mut Vec<T>, size: i64) -> bool {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    more
}

#[cfg(test)]
mod tests {
    use super::Mark;
    use countersign_core::{SessionId, Timestamp};

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is() {
        let mark = Mark::new(Timestamp::from_millis(-5), &SessionId::new("aZ_-9"));
        assert_eq!(Mark::parse(&mark.spell()).unwrap(), mark);
        let long = format!("1.{}", "a".repeat(65));
        for made_up in ["", ".", "1.", "1", "+1.a", "01.a", "1.a.b", "1.a'b", " 1.a", "1.\0", &long]
        {
            assert!(Mark::parse(made_up).is_err(), "{made_up:?}");
        }
    }
}
