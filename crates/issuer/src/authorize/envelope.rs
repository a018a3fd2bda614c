//! What travels in the browser of a login in flight: the request, sealed to that browser.

use countersign_core::ids::{self, NoRandomness};
use countersign_core::{SessionId, Timestamp};
use countersign_jose::SealingKeys;
use serde::{Deserialize, Serialize};

use super::AuthRequest;
use crate::Failure;

const PURPOSE: &str = "authorization request";

/// The cookie that says which browser this is: 32 random bytes, renewed at sign-in. The one before is
/// remembered so that another tab's login, begun before, is not lost; it opens only envelopes in which
/// nobody has signed in yet, which are worth no more than the link that began them.
#[derive(Clone, Debug)]
pub struct Binder {
    current: String,
    previous: Option<String>,
}

impl Binder {
    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self { current: ids::random_token()?, previous: None })
    }

    /// Reads the cookie's value; anything odd is no binder at all.
    pub fn from_cookie(value: &str) -> Option<Self> {
        let mut parts = value.split('.');
        let current = parts.next().filter(|part| is_token(part))?;
        let previous = parts.next().filter(|part| is_token(part)).map(str::to_owned);
        Some(Self { current: current.to_owned(), previous })
    }

    pub fn to_cookie(&self) -> String {
        match &self.previous {
            Some(previous) => format!("{}.{previous}", self.current),
            None => self.current.clone(),
        }
    }

    /// The current one first.
    pub(super) fn each(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.current.as_str()).chain(self.previous.as_deref())
    }

    /// A new one, at sign-in: what was planted in the browser before is worthless after.
    pub fn renewed(&self) -> Result<Self, NoRandomness> {
        Ok(Self { current: ids::random_token()?, previous: Some(self.current.clone()) })
    }
}

fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A request on its way through the steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    pub request: AuthRequest,
    /// The session this envelope's approval page was shown for, or whose login happened in it.
    pub session: Option<SessionId>,
    /// The login step happened in this envelope: `prompt=login` and `max_age` are satisfied by that,
    /// never by comparing clocks.
    pub logged_in: Option<Timestamp>,
    /// The person said "not you?" to the session of this browser.
    pub switch: bool,
}

impl Envelope {
    pub fn new(request: AuthRequest) -> Self {
        Self { request, session: None, logged_in: None, switch: false }
    }

    pub fn seal(&self, keys: &SealingKeys, binder: &Binder) -> Result<String, Failure> {
        let plain = serde_json::to_vec(self).map_err(|e| Failure::Broken(e.to_string()))?;
        Ok(keys.seal(PURPOSE, binder.current.as_bytes(), &plain)?)
    }

    /// `None`: not sealed by us, or to another browser.
    pub fn open(keys: &SealingKeys, binder: &Binder, sealed: &str) -> Option<Self> {
        if let Some(envelope) = Self::open_with(keys, &binder.current, sealed) {
            return Some(envelope);
        }
        let envelope = Self::open_with(keys, binder.previous.as_ref()?, sealed)?;
        envelope.session.is_none().then_some(envelope)
    }

    fn open_with(keys: &SealingKeys, binder: &str, sealed: &str) -> Option<Self> {
        let plain = keys.open(PURPOSE, binder.as_bytes(), sealed)?;
        serde_json::from_slice(&plain).ok()
    }
}
