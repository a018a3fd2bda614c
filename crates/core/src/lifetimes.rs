//! Lifetimes of a client that differ from the issuer's.

use std::time::Duration;

/// `None`: the issuer's value applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Lifetime of ID and access tokens.
    pub tokens: Option<Duration>,
    pub codes: Option<Duration>,
    /// Time from the request at `/auth` to the code.
    pub requests: Option<Duration>,
    /// Whether a refresh token is rotated when it is used.
    pub rotate: Option<bool>,
    /// For how long the previous refresh token is answered with the same successor.
    pub reuse_interval: Option<Duration>,
    /// Lifetime of a refresh token since the code exchange.
    pub refresh_absolute: Option<Limit>,
    /// Lifetime of a refresh token since it was last used.
    pub refresh_idle: Option<Limit>,
    /// Maximum age of a sign-in for single sign-on at this client.
    pub session_absolute: Option<Duration>,
    /// Maximum time since the browser was last used, for single sign-on at this client.
    pub session_idle: Option<Duration>,
}

/// A lifetime that may be unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    After(Duration),
    Never,
}

impl Limit {
    /// `None`: unlimited.
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
