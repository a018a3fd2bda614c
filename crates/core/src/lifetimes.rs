//! Lifetimes of one client that differ from the issuer's.

use std::time::Duration;

/// `None` means the issuer's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// ID and access tokens.
    pub tokens: Option<Duration>,
    pub codes: Option<Duration>,
    /// From `/auth` to the code.
    pub requests: Option<Duration>,
    /// Whether a refresh token is replaced when it is used.
    pub rotate: Option<bool>,
    /// How long the previous refresh token is answered with the same successor.
    pub reuse_interval: Option<Duration>,
    /// Of a refresh token, since the code exchange.
    pub refresh_absolute: Option<Limit>,
    /// Of a refresh token, since it was last used.
    pub refresh_idle: Option<Limit>,
    /// Single sign-on at this client requires a younger sign-in than this.
    pub session_absolute: Option<Duration>,
    /// Single sign-on at this client requires that the browser was used within this time.
    pub session_idle: Option<Duration>,
}

/// A lifetime that may be unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    After(Duration),
    Never,
}

impl Limit {
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::After(duration) => Some(duration),
            Self::Never => None,
        }
    }
}

impl Lifetimes {
    /// True if nothing differs from the issuer's values.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
