//! The filters we send (RFC 4515). Every value is escaped here, once, and nowhere else.

use std::fmt::Write;

use ldap3::ldap_escape;

/// `(&<configured>(attribute=value))` with an alternative for each pair.
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

/// Text keeps its letters, whatever alphabet; bytes that are not text are all written in hex.
fn escape(value: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(value) {
        return ldap_escape(text).into_owned();
    }
    value.iter().fold(String::with_capacity(value.len() * 3), |mut hex, byte| {
        // Writing into a String cannot fail.
        let _ = write!(hex, "\\{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests;
