//! The claims of a verified token. Only `verify` constructs them.

use std::fmt;

use serde_json::{Map, Value};

use crate::verify::Refused;

/// Whole seconds since 1970, zero or more (NumericDate without its fractions, RFC 7519 section 2).
const TIMES: [&str; 4] = ["exp", "nbf", "iat", "auth_time"];
/// Registered claims with text values: subject, audience and ids.
const TEXTS: [&str; 8] = ["iss", "sub", "azp", "nonce", "jti", "sid", "scope", "client_id"];

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
