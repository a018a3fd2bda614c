//! How long things live for one client, where that is not what the issuer says for all.

use std::time::Duration;

/// A field of `None` is the issuer's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// ID and access tokens.
    pub tokens: Option<Duration>,
    pub codes: Option<Duration>,
    /// From `/auth` to the code.
    pub requests: Option<Duration>,
    /// Whether a refresh token is replaced when it is used.
    pub rotate: Option<bool>,
    /// How long the refresh token before the current one is answered with the same successor.
    pub reuse_interval: Option<Duration>,
    /// Of a refresh token, since the code was redeemed.
    pub refresh_absolute: Option<Limit>,
    /// Of a refresh token, since it was last used.
    pub refresh_idle: Option<Limit>,
    /// A sign-in older than this does not sign on to this client.
    pub session_absolute: Option<Duration>,
    /// Nor does one whose browser asked for nothing for so long.
    pub session_idle: Option<Duration>,
}

/// An end that may never come.
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
    /// Nothing differs from what the issuer says for all.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
