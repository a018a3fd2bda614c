//! Suggests the known key closest to a misspelt one.

/// The candidate closest to `word`, if it is close enough to be a typing mistake.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, one row at a time, with two swapped neighbours counted as one edit.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Option<(char, Vec<usize>)> = None;
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = i + 1;
        next.push(left);
        for (j, ((cb, above), diagonal)) in
            b.iter().zip(row.iter().skip(1)).zip(row.iter()).enumerate()
        {
            left = (left + 1).min(above + 1).min(diagonal + usize::from(ca != *cb));
            if let (Some((pa, rows)), Some(j)) = (&before, j.checked_sub(1))
                && pa == cb
                && b.get(j) == Some(&ca)
                && let Some(corner) = rows.get(j)
            {
                left = left.min(corner + 1);
            }
            next.push(left);
        }
        before = Some((ca, row));
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn slips_of_the_finger_are_one_step() {
        for (a, b, steps) in [
            ("file", "file", 0),
            ("fiel", "file", 1),
            ("isuer", "issuer", 1),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ] {
            assert_eq!(distance(a, b), steps, "{a} {b}");
        }
        assert_eq!(nearest("redirectUri", ["redirectURIs", "name"]), Some("redirectURIs"));
        assert_eq!(nearest("xy", ["id"]), None);
    }
}
