//! The state of a login before it is finished, which its browser keeps: the browser binding (a cookie) and the
//! pending login (the request, sealed to that binding).

use countersign_core::ids::{self, NoRandomness};
use countersign_core::{SessionId, Timestamp};
use countersign_jose::SealingKeys;
use serde::{Deserialize, Serialize};

use super::AuthRequest;
use crate::IssuerError;

const PURPOSE: &str = "authorization request";

/// The cookie that identifies a browser: tokens renewed at every sign-in, the current one first, and last the
/// token that it began with, which stays.
///
/// A pending login without a session is bound to the token that stays, so it survives any number of sign-ins in
/// other tabs. One that carries a session is bound to the current sign-in token as well: a value planted in the
/// browser before a sign-in opens nothing that the sign-in made. Under one of the few earlier tokens it opens
/// without its session, and is then worth no more than the link that began it.
#[derive(Clone, Debug)]
pub struct BrowserBinding {
    browser: String,
    /// The current one first.
    sign_ins: Vec<String>,
}

impl BrowserBinding {
    /// Sign-in tokens kept: the current one and those before it.
    const REMEMBERED: usize = 5;

    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self { browser: ids::random_token()?, sign_ins: Vec::new() })
    }

    /// Reads the cookie's value; anything malformed is no binding at all.
    pub fn from_cookie(value: &str) -> Option<Self> {
        let mut tokens: Vec<String> =
            value.split('.').take(Self::REMEMBERED + 1).map(str::to_owned).collect();
        let is_valid = tokens.iter().all(|token| is_token(token));
        let browser = tokens.pop().filter(|_| is_valid)?;
        Some(Self { browser, sign_ins: tokens })
    }

    pub fn to_cookie(&self) -> String {
        let tokens = self.sign_ins.iter().chain([&self.browser]);
        tokens.map(String::as_str).collect::<Vec<_>>().join(".")
    }

    /// What a login without a session is bound to.
    pub(super) fn browser(&self) -> &str {
        &self.browser
    }

    /// What a login with a session is bound to.
    pub(super) fn current(&self) -> String {
        self.with(self.sign_ins.first().map_or("", String::as_str))
    }

    fn earlier(&self) -> impl Iterator<Item = String> {
        self.sign_ins.iter().skip(1).map(|sign_in| self.with(sign_in))
    }

    fn with(&self, sign_in: &str) -> String {
        format!("{}\n{sign_in}", self.browser)
    }

    /// With a new sign-in token.
    pub fn renewed(&self) -> Result<Self, NoRandomness> {
        let before = self.sign_ins.iter().take(Self::REMEMBERED - 1).cloned();
        let sign_ins = std::iter::once(ids::random_token()?).chain(before).collect();
        Ok(Self { browser: self.browser.clone(), sign_ins })
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
    /// The user chose to sign in as another user.
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
        let bound_to = match self.session.is_some() || self.logged_in.is_some() {
            true => binding.current(),
            false => binding.browser().to_owned(),
        };
        Ok(keys.seal(PURPOSE, bound_to.as_bytes(), &plain)?)
    }

    /// `None`: not sealed by us, or to another browser.
    pub fn open(keys: &SealingKeys, binding: &BrowserBinding, sealed: &str) -> Option<Self> {
        let open = |bound_to: &str| -> Option<Self> {
            let plain = keys.open(PURPOSE, bound_to.as_bytes(), sealed)?;
            serde_json::from_slice(&plain).ok()
        };
        open(binding.browser()).or_else(|| open(&binding.current())).or_else(|| {
            let pending = binding.earlier().find_map(|bound_to| open(&bound_to))?;
            Some(Self::new(pending.request))
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
        assert!(last.to_cookie().len() < 300);
        assert!(BrowserBinding::from_cookie("short").is_none());
    }
}
