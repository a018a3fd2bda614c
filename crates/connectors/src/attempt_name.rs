//! The form of a login name under which attempts at a password are counted.

use countersign_core::text::{is_deceptive, is_joiner};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The distance between a katakana character and the hiragana character of the same sound.
const KANA_DISTANCE: u32 = 0x60;

/// Folds what any upstream ignores in a name, so that no other spelling of it has a counter of its own: directories
/// ignore case, width, invisible characters, and outer or repeated spaces (RFC 4518), Active Directory also accents and
/// whether kana are hiragana (MS-ADTS section 6.5). Two accounts whose names differ only by these share a counter.
pub(crate) fn attempt_name(login: &str) -> String {
    // Upper case first, because that of `ß` is `SS`.
    let folded = login.nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkd();
    let folded: String = folded.filter(|c| !is_ignored(*c)).map(to_hiragana).collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_ignored(c: char) -> bool {
    is_combining_mark(c) || is_joiner(c) || is_deceptive(c) && !c.is_whitespace()
}

fn to_hiragana(c: char) -> char {
    match c {
        'ァ'..='ヶ' => char::from_u32(u32::from(c) - KANA_DISTANCE).unwrap_or(c),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::attempt_name;

    #[test]
    fn spellings_that_a_directory_takes_for_one_name_have_one_counter() {
        for (name, others) in [
            (
                "josé pérez",
                &[" JOSE  PEREZ ", "ｊｏｓé pérez", "jose\u{301} pe\u{301}rez", "jösę perez"][..],
            ),
            ("straße", &["STRASSE", "strasse", "Straße"][..]),
            ("ヤマダ", &["やまだ", "ﾔﾏﾀﾞ"][..]),
            (
                "bob",
                &["Bob", "b\u{ad}ob", "bo\u{200d}b", "bob\u{feff}", "bób", " \u{ad} bob\n"][..],
            ),
        ] {
            for other in others {
                assert_eq!(attempt_name(other), attempt_name(name), "{other:?}");
            }
        }
        for (name, other) in [("josee", "jose"), ("a b", "ab"), ("bob", "rob"), ("л", "n")] {
            assert_ne!(attempt_name(name), attempt_name(other));
        }
        assert_eq!(attempt_name(" Jane "), "jane");
    }
}
