//! One line of the log, as text or JSON. Control and deceptive characters are escaped in both.

use std::fmt::Write;

use countersign_core::Timestamp;
use countersign_core::text::is_deceptive;
use serde_json::{Map, Value};
use tracing::Level;

pub type Fields = Vec<(&'static str, Value)>;

pub struct Line {
    pub at: Timestamp,
    pub level: Level,
    pub fields: Fields,
}

impl Line {
    pub fn as_json(&self) -> String {
        let mut object = Map::new();
        object.insert("time".to_owned(), self.time().into());
        object.insert("level".to_owned(), self.level.as_str().into());
        object.insert("msg".to_owned(), self.message().into());
        for (name, value) in self.details() {
            object.entry(name.to_owned()).or_insert_with(|| value.clone());
        }
        format!("{}\n", visible(&Value::Object(object).to_string()))
    }

    pub fn as_text(&self) -> String {
        let mut text =
            format!("{} {:5} {}", self.time(), self.level.as_str(), escaped(self.message()));
        for (name, value) in self.details() {
            let shown = match value {
                Value::String(value) if is_plain(value) => value.clone(),
                Value::String(value) => format!("\"{}\"", escaped(value)),
                other => other.to_string(),
            };
            // Writing to a `String` cannot fail.
            let _ = write!(text, " {name}={shown}");
        }
        text.push('\n');
        text
    }

    /// With milliseconds, to distinguish lines of one second.
    fn time(&self) -> String {
        let seconds = self.at.to_string();
        let millis = self.at.millis().rem_euclid(1000);
        format!("{}.{millis:03}Z", seconds.trim_end_matches('Z'))
    }

    fn message(&self) -> &str {
        let message = self.fields.iter().find(|(name, _)| *name == "message");
        message.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn details(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let fields = self.fields.iter().filter(|(name, _)| *name != "message");
        fields.map(|(name, value)| (*name, value))
    }
}

fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-._:/@+,#".contains(c);
    !text.is_empty() && text.chars().all(plain)
}

/// Escapes quotes, control characters and deceptive characters, the latter as `\u{…}`.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.extend(c.escape_default()),
            c if is_deceptive(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        out
    })
}

/// Escapes these characters in JSON, whose own escaping omits DEL and everything above ASCII; a terminal interprets
/// U+009B as the beginning of a control sequence. JSON contains none of them outside strings.
fn visible(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if is_deceptive(c) {
            write_json_escape(&mut out, c);
        } else {
            out.push(c);
        }
        out
    })
}

/// Writes one or two UTF-16 code units (RFC 8259 section 7).
fn write_json_escape(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a `String` cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use countersign_core::Timestamp;
    use tracing::Level;

    fn line(user: &str) -> Line {
        Line {
            at: Timestamp::from_millis(1_795_473_266_007),
            level: Level::WARN,
            fields: vec![
                ("message", "login refused".into()),
                ("user", user.into()),
                ("tries", 3.into()),
            ],
        }
    }

    #[test]
    fn a_line_has_time_level_and_message() {
        assert_eq!(
            line("bob@example.com").as_text(),
            "2026-11-23T22:34:26.007Z WARN  login refused user=bob@example.com tries=3\n"
        );
    }

    #[test]
    fn line_breaks_and_escapes_in_a_value_are_escaped() {
        let hostile =
            "bob\r\n2026-11-23T00:00:00Z INFO login successful\u{1b}[31m\u{2028}\u{9b}2J\"}";
        for text in [line(hostile).as_text(), line(hostile).as_json()] {
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.trim_end().contains(|c: char| c.is_control() || c == '\u{2028}'));
        }
        let json: serde_json::Value = serde_json::from_str(&line(hostile).as_json()).unwrap();
        assert_eq!(json["user"], hostile);
    }
}
