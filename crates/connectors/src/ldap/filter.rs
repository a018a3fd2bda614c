//! Builds filters (RFC 4515). All values are escaped here and nowhere else.

use std::fmt::Write;

use ldap3::ldap_escape;

/// `(&<configured>(|(attribute=value)…))`: the configured filter and at least one of the pairs.
pub(super) fn any_of<'a>(
    configured: &str,
    alternatives: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> String {
    let mut parts: Vec<String> = alternatives
        .into_iter()
        .map(|(attribute, value)| format!("({attribute}={})", escape(value)))
        .collect();
    let wanted = match parts.len() {
        1 => parts.remove(0),
        _ => format!("(|{})", parts.concat()),
    };
    if configured.is_empty() { wanted } else { format!("(&{configured}{wanted})") }
}

/// Escapes a value. UTF-8 text keeps its characters; binary values are written in hexadecimal.
fn escape(value: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(value) {
        return ldap_escape(text).into_owned();
    }
    value.iter().fold(String::with_capacity(value.len() * 3), |mut hex, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "\\{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::any_of;

    fn one(value: &[u8]) -> String {
        any_of("(objectClass=person)", [("uid", value)])
    }

    #[test]
    fn a_name_is_escaped_once_and_whole() {
        for (name, escaped) in [
            ("jane", "jane"),
            ("*", r"\2a"),
            ("*)(uid=*", r"\2a\29\28uid=\2a"),
            (r"\2a", r"\5c2a"),
            ("a)(|(cn=*", r"a\29\28|\28cn=\2a"),
            ("nul\0", r"nul\00"),
            ("Zoë (ops)", r"Zoë \28ops\29"),
            ("名前", "名前"),
        ] {
            let filter = one(name.as_bytes());
            assert_eq!(filter, format!("(&(objectClass=person)(uid={escaped}))"));
            assert!(ldap3::parse_filter(&filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_written_in_hex() {
        assert_eq!(one(&[0xff, 0x2a, 0x41]), r"(&(objectClass=person)(uid=\ff\2a\41))");
    }

    #[test]
    fn several_attributes_are_alternatives_and_no_filter_is_none() {
        let value: &[u8] = b"x";
        assert_eq!(any_of("", [("uid", value)]), "(uid=x)");
        assert_eq!(any_of("", [("uid", value), ("mail", value)]), "(|(uid=x)(mail=x))");
        assert_eq!(
            any_of("(a=b)", [("uid", value), ("mail", value)]),
            "(&(a=b)(|(uid=x)(mail=x)))"
        );
    }
}
