//! What travels in the browser of a login in flight: the request, sealed to that browser.

use countersign_core::ids::{self, NoRandomness};
use countersign_core::{SessionId, Timestamp};
use countersign_jose::SealingKeys;
use serde::{Deserialize, Serialize};

use super::AuthRequest;
use crate::IssuerError;

const PURPOSE: &str = "authorization request";

/// The cookie that says which browser this is: 32 random bytes, renewed at sign-in. The ones before are
/// remembered so that other tabs' logins, begun before, are not lost; what they open has forgotten
/// who signed in, and is worth no more than the link that began it.
#[derive(Clone, Debug)]
pub struct BrowserBinding {
    /// The current one first.
    tokens: Vec<String>,
}

impl BrowserBinding {
    /// The current one and those before it.
    const REMEMBERED: usize = 5;

    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self { tokens: vec![ids::random_token()?] })
    }

    /// Reads the cookie's value; anything odd is no binder at all.
    pub fn from_cookie(value: &str) -> Option<Self> {
        let tokens: Vec<String> =
            value.split('.').take(Self::REMEMBERED).map(str::to_owned).collect();
        tokens.iter().all(|token| is_token(token)).then_some(Self { tokens })
    }

    pub fn to_cookie(&self) -> String {
        self.tokens.join(".")
    }

    pub(super) fn current(&self) -> &str {
        self.tokens.first().map_or("", String::as_str)
    }

    /// The current one first.
    pub(super) fn each(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str)
    }

    /// A new one, at sign-in: what was planted in the browser before is worthless after.
    pub fn renewed(&self) -> Result<Self, NoRandomness> {
        let before = self.tokens.iter().take(Self::REMEMBERED - 1).cloned();
        Ok(Self { tokens: std::iter::once(ids::random_token()?).chain(before).collect() })
    }
}

fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A request on its way through the steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingLogin {
    pub request: AuthRequest,
    /// The session this envelope's approval page was shown for, or whose login happened in it.
    pub session: Option<SessionId>,
    /// The login step happened in this envelope: `prompt=login` and `max_age` are satisfied by that,
    /// never by comparing clocks.
    pub logged_in: Option<Timestamp>,
    /// The person said "not you?" to the session of this browser.
    pub switch: bool,
}

impl PendingLogin {
    pub fn new(request: AuthRequest) -> Self {
        Self { request, session: None, logged_in: None, switch: false }
    }

    pub fn seal(
        &self,
        keys: &SealingKeys,
        binding: &BrowserBinding,
    ) -> Result<String, IssuerError> {
        let plain = serde_json::to_vec(self).map_err(|e| IssuerError::Broken(e.to_string()))?;
        Ok(keys.seal(PURPOSE, binding.current().as_bytes(), &plain)?)
    }

    /// `None`: not sealed by us, or to another browser.
    pub fn open(keys: &SealingKeys, binding: &BrowserBinding, sealed: &str) -> Option<Self> {
        if let Some(pending) = Self::open_with(keys, binding.current(), sealed) {
            return Some(pending);
        }
        let before = binding.each().skip(1);
        let pending = before.into_iter().find_map(|b| Self::open_with(keys, b, sealed))?;
        Some(Self::new(pending.request))
    }

    fn open_with(keys: &SealingKeys, binding: &str, sealed: &str) -> Option<Self> {
        let plain = keys.open(PURPOSE, binding.as_bytes(), sealed)?;
        serde_json::from_slice(&plain).ok()
    }
}
