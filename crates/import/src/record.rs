//! An object of Dex, independent of its storage.
//!
//! Dex spells a field in several ways: `redirect_uris` in SQL, `redirectURIs` in Kubernetes and etcd, `CreatedAt`
//! beside `client_id`. A [`Record`] compares field names only by letters and digits, in lower case.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::{Secret, Timestamp};
use countersign_store::dex::DexRow;
use serde_json::{Map, Value};

pub(crate) struct Record {
    fields: BTreeMap<String, Value>,
    /// The encoding of byte fields: plain in SQL, base64 in JSON.
    bytes: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Plain,
    Base64,
}

impl Record {
    /// A row of an SQL table. Lists and objects are JSON text in it.
    pub(crate) fn of_row(row: DexRow) -> Self {
        let value = |text: Option<String>| text.map_or(Value::Null, Value::String);
        let fields = row.into_iter().map(|(name, text)| (folded(&name), value(text))).collect();
        Self { fields, bytes: Bytes::Plain }
    }

    /// A Kubernetes object or an etcd value. The members of `claims` are named like the SQL columns.
    pub(crate) fn of_object(object: Map<String, Value>) -> Self {
        let mut fields = BTreeMap::new();
        for (name, value) in object {
            match (folded(&name).as_str(), value) {
                ("claims", Value::Object(claims)) => {
                    for (claim, value) in claims {
                        fields.insert(folded(&format!("claims{claim}")), value);
                    }
                }
                (name, value) => {
                    fields.insert(name.to_owned(), value);
                }
            }
        }
        Self { fields, bytes: Bytes::Base64 }
    }

    /// Sets an id that the storage keeps outside the object.
    pub(crate) fn set_id(&mut self, id: &str) {
        self.fields.insert("id".to_owned(), Value::String(id.to_owned()));
    }

    /// The text of a field; empty if it is missing, null or not text.
    pub(crate) fn text(&self, name: &str) -> String {
        match self.fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        }
    }

    pub(crate) fn secret(&self, name: &str) -> Secret {
        Secret::new(self.text(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.fields.get(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => Some(number.as_i64() != Some(0)),
            Value::String(text) => Some(matches!(text.as_str(), "1" | "t" | "true")),
            _ => None,
        }
    }

    /// A list of texts; Go encodes an empty list as `null`.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let Some(Value::Array(items)) = self.json(name) else { return Vec::new() };
        items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }

    pub(crate) fn object(&self, name: &str) -> Map<String, Value> {
        match self.json(name) {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        }
    }

    pub(crate) fn items(&self, name: &str) -> Vec<Value> {
        match self.json(name) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }
    }

    /// A byte field as text; `None` if it is not UTF-8.
    pub(crate) fn bytes(&self, name: &str) -> Option<Secret> {
        let text = self.text(name);
        if self.bytes == Bytes::Plain {
            return Some(Secret::new(text));
        }
        let bytes = STANDARD.decode(text.as_bytes()).ok()?;
        String::from_utf8(bytes).ok().map(Secret::new)
    }

    /// `None` for an absent or zero time: Go's zero time is in year 1, and MySQL has no times before year 1000.
    pub(crate) fn time(&self, name: &str) -> Option<Timestamp> {
        time(&self.text(name))
    }

    fn json(&self, name: &str) -> Option<Value> {
        match self.fields.get(name)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            value => Some(value.clone()),
        }
    }
}

/// Parses RFC 3339, and the formats of SQLite, PostgreSQL and MySQL; UTC without a zone.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim().trim_end_matches("UTC").trim_end();
    // PostgreSQL shortens `+00:00` to `+00`.
    let bare =
        text.len() > 19 && text.get(text.len() - 3..).is_some_and(|z| z.starts_with(['+', '-']));
    let text = if bare { format!("{text}:00") } else { text.to_owned() };
    let at: Timestamp = text.parse().ok()?;
    (at.millis() > 0).then_some(at)
}

fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn an_instant_is_read_in_every_spelling_of_a_storage() {
        let expected = Some("2026-11-27T09:28:15.198Z".parse().unwrap());
        for text in [
            "2026-11-27 09:28:15.198378942+00:00",
            "2026-11-27 09:28:15.198378+00",
            "2026-11-27 09:28:15.198",
            "2026-11-27T09:28:15.198378942Z",
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
        for zero in
            ["0001-01-01 00:00:00 UTC", "1000-01-01 00:00:00.000", "", "0001-01-01T00:00:00Z"]
        {
            assert_eq!(time(zero), None, "{zero}");
        }
    }
}
