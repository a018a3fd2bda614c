//! A filter of sessions, shared by search, preview and bulk end, so that exactly the previewed sessions end.

use serde::{Deserialize, Serialize};

use crate::{ClientId, ConnectorId, SessionId, Timestamp};

/// Absent fields match every session; all present ones must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionFilter {
    /// Part of a name, e-mail address, login or user id, ignoring case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Exactly this user id, login (`preferred_username`) or e-mail address, ignoring case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Exactly this group, as in the claim `groups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorId>,
    /// Sessions with a live grant for this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
    /// The address of the sign-in, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Last issued something at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_since: Option<Timestamp>,
    /// Last issued something before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_before: Option<Timestamp>,
    /// Signed in at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_since: Option<Timestamp>,
    /// Signed in before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Timestamp>,
    /// Exactly this user: connector and user id, as in `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<(ConnectorId, String)>,
    /// Only these sessions; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionId>,
    /// All except this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<SessionId>,
    pub state: SessionState,
}

/// Which sessions match: those not ended, those ended, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    #[default]
    Live,
    Ended,
    All,
}

impl SessionFilter {
    /// Whether the filter has no condition except the state and `except`, so that it matches all sessions.
    pub fn is_everything(&self) -> bool {
        *self == Self { state: self.state, except: self.except.clone(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::{SessionFilter, SessionState};
    use crate::SessionId;

    #[test]
    fn all_sessions_but_ones_own_still_count_as_everything() {
        let state = SessionState::All;
        let except = Some(SessionId::new("mine"));
        let filter = SessionFilter { except, state, ..SessionFilter::default() };
        assert!(filter.is_everything());
        let group = Some("dev".to_owned());
        assert!(!SessionFilter { group, ..filter }.is_everything());
    }
}
