//! Who somebody is, as a connector saw them.

use serde::{Deserialize, Serialize};

/// A person at one upstream. Field meanings follow Dex, so that `sub` and claims stay what they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The upstream's stable id; half of `sub`.
    pub user_id: String,
    /// The claim `name`.
    pub username: String,
    pub preferred_username: String,
    /// Empty when the upstream knows none; the claim is then left out.
    pub email: String,
    pub email_verified: bool,
    /// Exactly as they appear in the claim `groups`, in the upstream's order.
    pub groups: Vec<String>,
}

/// What a login asks of its upstream. A session remembers it: one that lacks a want must ask anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// The upstream must let itself be asked again without the person (`offline_access`).
    pub offline: bool,
    pub groups: bool,
}

impl Wants {
    /// True when a login that asked for `self` serves a request that needs `other`.
    pub fn cover(self, other: Self) -> bool {
        (self.offline || !other.offline) && (self.groups || !other.groups)
    }

    pub fn and(self, other: Self) -> Self {
        Self { offline: self.offline || other.offline, groups: self.groups || other.groups }
    }
}
