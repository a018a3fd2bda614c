//! The claims of a verified token, which only `verify` and `upstream` construct, and why a token is refused. The JSON of a
//! token is untrusted input and parsed strictly: no repeated members, no numbers out of range, limited depth.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Whole seconds since 1970, zero or more (NumericDate without its fractions, RFC 7519 section 2).
const TIMES: [&str; 4] = ["exp", "nbf", "iat", "auth_time"];
/// Registered claims with text values: subject, audience and ids.
const TEXTS: [&str; 8] = ["iss", "sub", "azp", "nonce", "jti", "sid", "scope", "client_id"];

/// Why a token is refused. Contains nothing from the token, so it may be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("not a token of the only form that is accepted")]
    Malformed,
    #[error("signed with a key that is not known here")]
    UnknownKey,
    #[error("the signature does not fit")]
    BadSignature,
    #[error("a token of another kind")]
    WrongType,
    #[error("a token of another issuer")]
    WrongIssuer,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    NotYetValid,
}

/// The claims of a token whose signature, issuer, type and times were verified, in the token's order.
///
/// `iss`, `sub`, `aud`, `azp`, `nonce`, `jti`, `sid`, `scope`, `client_id`, `exp`, `nbf`, `iat` and `auth_time` have
/// their JSON type, otherwise the token was refused; so for these a getter's `None` means absent. For all other claims
/// `None` means absent or of another type.
#[derive(Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Refuses a registered claim of the wrong type instead of treating it as absent: otherwise an attacker
    /// could disable a check by making its claim "absent".
    pub(crate) fn new(map: Map<String, Value>) -> Result<Self, Refused> {
        let is_time = |v: &Value| v.as_i64().is_some_and(|seconds| seconds >= 0);
        let sound = TIMES.iter().all(|name| map.get(*name).is_none_or(is_time))
            && TEXTS.iter().all(|name| map.get(*name).is_none_or(Value::is_string))
            && map.get("aud").is_none_or(is_text_or_texts);
        if sound { Ok(Self(map)) } else { Err(Refused::Malformed) }
    }

    /// The claims of an upstream's token, where only the claims that the ID token rules use are checked: a
    /// registered claim that is null is absent, a time may have a fraction (NumericDate, RFC 7519 section 2)
    /// and is rounded down, and `auth_time`, `jti`, `sid`, `scope` and `client_id` may have any type, because
    /// they are not used.
    pub(crate) fn of_upstream(mut map: Map<String, Value>) -> Result<Self, Refused> {
        let deciding = ["iss", "sub", "aud", "azp", "nonce", "exp", "nbf", "iat"];
        for name in deciding.into_iter().chain(["auth_time", "jti", "sid", "scope"]) {
            if map.get(name).is_some_and(Value::is_null) {
                map.remove(name);
            }
        }
        for name in ["exp", "nbf", "iat"] {
            if let Some(value) = map.get_mut(name) {
                *value = whole_seconds(value).ok_or(Refused::Malformed)?.into();
            }
        }
        let is_text = |name: &&str| map.get(*name).is_none_or(Value::is_string);
        let sound = ["iss", "sub", "azp", "nonce"].iter().all(is_text)
            && map.get("aud").is_none_or(is_text_or_texts);
        if sound { Ok(Self(map)) } else { Err(Refused::Malformed) }
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The strings of a claim that is one string or an array of them, as `aud` is (RFC 7519 section 4.1.3). Empty
    /// when absent.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whole seconds for times; `None` for a number with a fraction.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    /// `true` and `false` only; the text `"true"` is `None`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// Whether `client_id` is one of the audiences. This does not imply that the client is trusted.
    pub fn is_for(&self, client_id: &str) -> bool {
        self.texts("aud").contains(&client_id)
    }

    /// All claims as signed, for `/userinfo`.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

fn is_text_or_texts(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(all) => all.iter().all(Value::is_string),
        _ => false,
    }
}

/// Zero or more, and below the year 10000.
fn whole_seconds(value: &Value) -> Option<i64> {
    const YEAR_10000: i64 = 253_402_300_800;
    let seconds = match (value.as_i64(), value.as_f64()) {
        (Some(whole), _) => whole,
        (None, Some(fraction)) if (0.0..253_402_300_800.0).contains(&fraction) => {
            // Within the range of i64: formatted without its fraction.
            format!("{:.0}", fraction.floor()).parse().ok()?
        }
        _ => return None,
    };
    (0..YEAR_10000).contains(&seconds).then_some(seconds)
}

/// Prints only the claim names, because the values are personal data.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")?;
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// An object with its order preserved; `None` for anything else. A repeated name at any depth is refused, as RFC 7515
/// section 4 and RFC 7519 section 4 permit, because parsers that choose different ones could be exploited. serde_json
/// refuses 128 levels and overflowing numbers.
pub(crate) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Once>(bytes) {
        Ok(Once(Value::Object(map))) => Some(map),
        _ => None,
    }
}

struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OnceVisitor).map(Self)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without doubled names")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Value, E> {
        Number::from_f64(it).map(Value::Number).ok_or_else(|| E::custom("no finite number"))
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(Value::String(it.to_owned()))
    }

    fn visit_string<E>(self, it: String) -> Result<Value, E> {
        Ok(Value::String(it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Once(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Once(member))) = map.next_entry::<String, Once>()? {
            if members.insert(name, member).is_some() {
                return Err(A::Error::custom("a name twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::object;

    #[test]
    fn valid_json_is_parsed() {
        let text = r#"{"b":1,"a":[true,null,-2,1.5,"é",{"c":{}}],"z":18446744073709551615}"#;
        assert_eq!(serde_json::to_string(&object(text.as_bytes()).unwrap()).unwrap(), text);
    }

    #[test]
    fn repeated_names_overflow_depth_and_trailing_data_are_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
            r#"{"a":1e400}"#,
            r#"{"a":-1e400}"#,
            r#"{"a":NaN}"#,
            r#"{"a":01}"#,
            r#"{"a":1}{"a":1}"#,
            r#"{"a":1},"#,
            r#"{"a":1"#,
            r#"[{"a":1}]"#,
            r#""a""#,
            "null",
            "",
            "\u{feff}{}",
        ] {
            assert!(object(text.as_bytes()).is_none(), "{text}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_none(), "not UTF-8");
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(object(deep.as_bytes()).is_none());
    }
}
