//! Makes untrusted text safe to display, and formats errors with their causes.

use std::error::Error;

/// Whether a character is a control character, changes the direction of the surrounding text, or is invisible: with
/// these, one name can imitate another, or a log line look like two. The joiners U+200C and U+200D are not included,
/// because Persian and emoji need them; see [`is_joiner`].
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The zero-width joiner and non-joiner. They are invisible too, and refused in text that identifies a user.
pub fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// The text of an error and of all its causes, joined by `: `. A cause that is already part of the text is omitted.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// The error, then its cause, and so on to the innermost one.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

#[cfg(test)]
mod tests {
    use super::{error_chain, is_deceptive};

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn an_error_chain_contains_each_cause_once() {
        let inner = Layer { text: "connection refused", source: None };
        let middle = Layer { text: "connect: connection refused", source: Some(Box::new(inner)) };
        let outer = Layer { text: "cannot open the database", source: Some(Box::new(middle)) };
        let expected = "cannot open the database: connect: connection refused";
        assert_eq!(error_chain(&outer), expected);
    }

    #[test]
    fn directional_and_invisible_characters_are_deceptive_and_letters_are_not() {
        for c in
            ['\u{202e}', '\u{2066}', '\u{200b}', '\u{ad}', '\u{feff}', '\u{9b}', '\u{7f}', '\n']
        {
            assert!(is_deceptive(c), "{c:?}");
        }
        for c in ['a', 'é', 'ک', '\u{200d}', '🦀', ' ', '\u{301}'] {
            assert!(!is_deceptive(c), "{c:?}");
        }
    }
}
