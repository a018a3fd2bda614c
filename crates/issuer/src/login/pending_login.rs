//! The state of a login in progress, which is kept in its browser: the browser binding (a cookie) and the pending login
//! (the request, sealed to that binding).

use countersign_core::ids::{self, NoRandomness};
use countersign_core::{SessionId, Timestamp};
use countersign_jose::{SealingKeys, hash};
use serde::{Deserialize, Serialize};

use super::AuthRequest;
use crate::IssuerError;

const PURPOSE: &str = "authorization request";

/// The cookie that identifies a browser. Its value is a list of tokens: one sign-in token per sign-in, the current one
/// first, and last the browser token, which never changes.
///
/// A pending login is sealed to the browser token, so it survives any number of sign-ins in other tabs. One with a
/// session also has the current sign-in token: an attacker who planted a cookie before a sign-in cannot open what that
/// sign-in produced. After another sign-in it opens without its session, like a login that has just begun.
#[derive(Clone, Debug)]
pub struct BrowserBinding {
    browser: String,
    /// Newest first.
    sign_ins: Vec<String>,
}

impl BrowserBinding {
    /// Maximum number of sign-in tokens, the current one included.
    const REMEMBERED: usize = 5;

    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self { browser: ids::random_token()?, sign_ins: Vec::new() })
    }

    /// Parses the cookie's value; `None` for a malformed one.
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

    /// The value that a pending login is sealed to.
    pub(super) fn browser(&self) -> &str {
        &self.browser
    }

    /// Browser token and current sign-in token.
    pub(crate) fn current(&self) -> String {
        self.with(self.sign_ins.first().map_or("", String::as_str))
    }

    fn sign_in_hash(&self) -> String {
        hash::sha256(&self.current())
    }

    fn earlier(&self) -> impl Iterator<Item = String> {
        self.sign_ins.iter().skip(1).map(|sign_in| self.with(sign_in))
    }

    fn with(&self, sign_in: &str) -> String {
        format!("{}\n{sign_in}", self.browser)
    }

    /// The binding with a new sign-in token.
    pub fn renewed(&self) -> Result<Self, NoRandomness> {
        let before = self.sign_ins.iter().take(Self::REMEMBERED - 1).cloned();
        let sign_ins = std::iter::once(ids::random_token()?).chain(before).collect();
        Ok(Self { browser: self.browser.clone(), sign_ins })
    }
}

fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// An authorization request in progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingLogin {
    pub request: AuthRequest,
    /// The session the approval page was shown for, or that the login step created.
    pub session: Option<SessionId>,
    /// When the user logged in during this pending login. `prompt=login` and `max_age` are satisfied by its presence,
    /// not by comparing clocks.
    pub logged_in: Option<Timestamp>,
    /// The user chose to sign in as someone else.
    pub switch: bool,
}

impl PendingLogin {
    pub fn new(request: AuthRequest) -> Self {
        Self { request, session: None, logged_in: None, switch: false }
    }

    /// Seals it to the browser; once it belongs to a session, with the current sign-in token.
    pub fn seal(
        &self,
        keys: &SealingKeys,
        binding: &BrowserBinding,
    ) -> Result<String, IssuerError> {
        let has_session = self.session.is_some() || self.logged_in.is_some();
        let sign_in = has_session.then(|| binding.sign_in_hash());
        let plain = serde_json::to_vec(&WithSignIn { pending: self, sign_in })
            .map_err(|e| IssuerError::Broken(e.to_string()))?;
        Ok(keys.seal(PURPOSE, binding.browser().as_bytes(), &plain)?)
    }

    /// `None`: not sealed by this issuer, or for another browser.
    pub fn open(keys: &SealingKeys, binding: &BrowserBinding, sealed: &str) -> Option<Self> {
        let open = |bound_to: &str| -> Option<(Self, SignInOf)> {
            let plain = keys.open(PURPOSE, bound_to.as_bytes(), sealed)?;
            Some((serde_json::from_slice(&plain).ok()?, serde_json::from_slice(&plain).ok()?))
        };
        if let Some((pending, of)) = open(binding.browser()) {
            if of.sign_in.is_none_or(|hash| hash == binding.sign_in_hash()) {
                return Some(pending);
            }
            let has_signed_in = !binding.sign_ins.is_empty();
            return has_signed_in.then(|| Self::new(pending.request));
        }
        // Earlier versions sealed a login with a session to the sign-in token.
        open(&binding.current()).map(|(pending, _)| pending).or_else(|| {
            let (pending, _) = binding.earlier().find_map(|bound_to| open(&bound_to))?;
            Some(Self::new(pending.request))
        })
    }
}

/// What is sealed.
#[derive(Serialize)]
struct WithSignIn<'a> {
    #[serde(flatten)]
    pending: &'a PendingLogin,
    /// Hash of the sign-in token that the session belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in: Option<String>,
}

/// The member of [`WithSignIn`] beside the pending login.
#[derive(Deserialize)]
struct SignInOf {
    #[serde(default)]
    sign_in: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::BrowserBinding;

    /// Regression (issue 9, 6): the sixth sign-in in another tab made a pending login unusable.
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
