//! The state of a login before it is finished, which its browser keeps: the browser binding (a cookie) and the
//! pending login (the request, sealed to that binding).

use countersign_core::ids::{self, NoRandomness};
use countersign_core::{SessionId, Timestamp};
use countersign_jose::{SealingKeys, hash};
use serde::{Deserialize, Serialize};

use super::AuthRequest;
use crate::IssuerError;

const PURPOSE: &str = "authorization request";

/// The cookie that identifies a browser: a token that stays (`browser`), and one that is renewed at every
/// sign-in (`sign_in`).
///
/// What is sealed for a browser is bound to the first, so a login in any tab survives any number of sign-ins in
/// other tabs. A pending login also carries a hash of the second: after another sign-in it opens without its
/// session and login time, and is then worth no more than the link that began it. A value planted in the
/// browser before a sign-in is therefore of no use after it.
#[derive(Clone, Debug)]
pub struct BrowserBinding {
    browser: String,
    /// Empty before the first sign-in.
    sign_in: String,
}

impl BrowserBinding {
    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self { browser: ids::random_token()?, sign_in: String::new() })
    }

    /// Reads the cookie's value; anything malformed is no binding at all.
    pub fn from_cookie(value: &str) -> Option<Self> {
        let (browser, sign_in) = value.split_once('.').unwrap_or((value, ""));
        let is_valid = is_token(browser) && (sign_in.is_empty() || is_token(sign_in));
        is_valid.then(|| Self { browser: browser.to_owned(), sign_in: sign_in.to_owned() })
    }

    pub fn to_cookie(&self) -> String {
        match self.sign_in.is_empty() {
            true => self.browser.clone(),
            false => format!("{}.{}", self.browser, self.sign_in),
        }
    }

    /// What sealed values are bound to.
    pub(super) fn browser(&self) -> &str {
        &self.browser
    }

    fn sign_in_hash(&self) -> String {
        hash::sha256(&self.sign_in)
    }

    /// With a new sign-in token.
    pub fn renewed(&self) -> Result<Self, NoRandomness> {
        Ok(Self { browser: self.browser.clone(), sign_in: ids::random_token()? })
    }
}

fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// An authorization request on its way through the steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingLogin {
    pub request: AuthRequest,
    /// The session the approval page was shown for, or that the login step created.
    pub session: Option<SessionId>,
    /// When the login step happened in this pending login: `prompt=login` and `max_age` are satisfied by that,
    /// never by comparing clocks.
    pub logged_in: Option<Timestamp>,
    /// The user asked to sign in as somebody else.
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
        let sealed = (self, binding.sign_in_hash());
        let plain = serde_json::to_vec(&sealed).map_err(|e| IssuerError::Broken(e.to_string()))?;
        Ok(keys.seal(PURPOSE, binding.browser().as_bytes(), &plain)?)
    }

    /// `None`: not sealed by us, or to another browser.
    pub fn open(keys: &SealingKeys, binding: &BrowserBinding, sealed: &str) -> Option<Self> {
        let plain = keys.open(PURPOSE, binding.browser().as_bytes(), sealed)?;
        let (pending, sign_in): (Self, String) = serde_json::from_slice(&plain).ok()?;
        Some(match sign_in == binding.sign_in_hash() {
            true => pending,
            false => Self::new(pending.request),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::BrowserBinding;

    /// Issue 9, 6: the sixth sign-in in another tab lost a login that was waiting.
    #[test]
    fn a_browser_stays_itself_over_any_number_of_sign_ins() {
        let first = BrowserBinding::new().unwrap();
        let mut last = first.clone();
        for _ in 0..40 {
            let renewed = last.renewed().unwrap();
            assert_ne!(renewed.to_cookie(), last.to_cookie());
            last = BrowserBinding::from_cookie(&renewed.to_cookie()).unwrap();
        }
        assert_eq!(first.browser(), last.browser());
        assert!(last.to_cookie().len() < 100);
        assert!(BrowserBinding::from_cookie("short").is_none());
    }
}
