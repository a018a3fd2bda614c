//! The claims of a token that is a JWT, each with its meaning.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::claim_descriptions::{describe, show_value};
use serde_json::{Map, Value};

use crate::pages::Name;

/// Longest value shown, in characters.
const MAX_VALUE: usize = 1_000;

/// One line of the table.
pub struct ClaimRow {
    pub name: Name,
    pub value: Name,
    pub meaning: &'static str,
}

/// The payload; `None` for a token that is not a JWT. Nothing is verified here.
pub fn decode(token: &str) -> Option<Map<String, Value>> {
    part(token, 1)
}

/// The header, such as `{"alg":"RS256","kid":"…"}`.
pub fn decode_header(token: &str) -> Option<Map<String, Value>> {
    part(token, 0)
}

pub fn rows(claims: &Map<String, Value>) -> Vec<ClaimRow> {
    let rows = claims.iter().map(|(name, value)| ClaimRow {
        name: Name::new(name),
        value: Name::up_to(MAX_VALUE, &show_value(name, value)),
        meaning: describe(name),
    });
    rows.collect()
}

fn part(token: &str, index: usize) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let part = parts.nth(index)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
