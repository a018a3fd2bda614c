//! Which sessions an operation is about: the same filter for a search, for the preview of an end and for the
//! end itself, so that what was previewed is what ends.

use serde::{Deserialize, Serialize};

use crate::{ClientId, ConnectorId, SessionId, Timestamp};

/// A field left out does not matter; those given must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionFilter {
    /// Part of a name, an e-mail address, a login or a user id, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Exactly this user id, login (`preferred_username`) or e-mail address, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Exactly this group, as in the claim `groups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorId>,
    /// Sessions that gave this client something which has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
    /// The address of the sign-in, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Last gave something at this instant or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_since: Option<Timestamp>,
    /// Last gave something before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_before: Option<Timestamp>,
    /// Signed in at this instant or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_since: Option<Timestamp>,
    /// Signed in before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Timestamp>,
    /// Exactly this person: the connector and its user id, as `sub` holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<(ConnectorId, String)>,
    /// One of these; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionId>,
    /// All but this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<SessionId>,
    pub state: SessionState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    #[default]
    Live,
    Ended,
    All,
}

impl SessionFilter {
    /// True when nothing narrows it but the state: a bulk end of this would end everything, be it
    /// all but one's own.
    pub fn is_everything(&self) -> bool {
        *self == Self { state: self.state, except: self.except.clone(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::{SessionFilter, SessionState};
    use crate::SessionId;

    #[test]
    fn all_but_ones_own_is_still_everything() {
        let state = SessionState::All;
        let except = Some(SessionId::new("mine"));
        let filter = SessionFilter { state, except, ..SessionFilter::default() };
        assert!(filter.is_everything());
        let group = Some("dev".to_owned());
        assert!(!SessionFilter { group, ..filter }.is_everything());
    }
}
