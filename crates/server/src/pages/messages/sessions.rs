//! Texts about sessions, their grants to clients, consents, and their ends.

use super::{Message, PluralMessage};

#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    pub heading: &'static str,
    /// Marks the session of the requesting browser.
    pub here: &'static str,
    pub unknown_device: &'static str,
    /// Follows the name of a browser; `{}` is the operating system.
    pub on: Message,
    pub signed_in: &'static str,
    pub used: &'static str,
    /// Precedes the time of the grant.
    pub granted: &'static str,
    pub no_grants: &'static str,
    pub stays: &'static str,
    pub until: &'static str,
    /// Precedes a list of [`SharedData`].
    pub receives: &'static str,
    pub more_grants: PluralMessage,
    pub all: PluralMessage,
    pub end: &'static str,
    /// The complete label of the button, for screen readers that list buttons without context.
    pub end_sign_in: Message,
    pub end_grant: Message,
    pub everywhere_else: &'static str,
    pub everywhere_else_explain: &'static str,
    pub end_all_others: &'static str,
    pub newer: &'static str,
    pub older: &'static str,
    pub one_heading: &'static str,
    pub grants_heading: &'static str,
    pub grants_explain: &'static str,
    pub address: &'static str,
    pub program: &'static str,
    pub since: &'static str,
    pub last_used: &'static str,
    pub browser_until: &'static str,
    pub back: &'static str,
    pub shared_data: SharedData,
    pub ended: Ended,
    pub consents: Consents,
}

#[derive(Clone, Copy, Debug)]
pub struct Consents {
    pub heading: &'static str,
    pub explain: &'static str,
    pub none: &'static str,
    /// Precedes a time.
    pub granted: &'static str,
    pub withdraw: &'static str,
    pub withdraw_label: Message,
}

/// Scopes in two or three words, for a list.
#[derive(Clone, Copy, Debug)]
pub struct SharedData {
    pub openid: &'static str,
    pub profile: &'static str,
    pub email: &'static str,
    pub groups: &'static str,
    pub federated_id: &'static str,
    pub audience: Message,
}

/// Texts shown after something was ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub sign_in: &'static str,
    pub grant: Message,
    pub others: PluralMessage,
    pub no_others: &'static str,
    pub consent: Message,
    /// Precedes an instant.
    pub last_token: &'static str,
    pub no_token: &'static str,
    pub outlives: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Groups {
    pub heading: &'static str,
    /// `{}` is a connector's name; an instant follows.
    pub provided_by: Message,
    pub stale: Message,
    pub not_requested: &'static str,
    pub ask: &'static str,
    pub all: PluralMessage,
    pub search: &'static str,
    pub find: &'static str,
    pub none_found: &'static str,
    pub earlier: &'static str,
    pub more: &'static str,
}
