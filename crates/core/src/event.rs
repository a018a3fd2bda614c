//! One thing that happened: the words of the audit log. Names are stable; details never hold a secret.

use serde::{Deserialize, Serialize};

use crate::{ClientId, ConnectorId, GrantId, SessionId, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    SignedIn,
    /// The same person proved themselves again in the same browser.
    Reauthenticated,
    SignedOut,
    SessionEnded,
    GrantEnded,
    ConsentGiven,
    ConsentWithdrawn,
    GroupsChanged,
    /// A refresh token newer than the database: it went back in time.
    DatabaseWentBack,
    KeyRotated,
}

impl EventKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::Reauthenticated => "reauthenticated",
            Self::SignedOut => "signed_out",
            Self::SessionEnded => "session_ended",
            Self::GrantEnded => "grant_ended",
            Self::ConsentGiven => "consent_given",
            Self::ConsentWithdrawn => "consent_withdrawn",
            Self::GroupsChanged => "groups_changed",
            Self::DatabaseWentBack => "database_went_back",
            Self::KeyRotated => "key_rotated",
        }
    }
}

/// A row of the audit log, written in the transaction of the act it tells of.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Timestamp,
    pub kind: EventKind,
    /// Who did it: `user:<user_id>`, `client:<id>`, `upstream`, `system`.
    pub actor: String,
    pub session: Option<SessionId>,
    pub grant: Option<GrantId>,
    pub client: Option<ClientId>,
    pub connector: Option<ConnectorId>,
    pub user_id: Option<String>,
    pub ip: Option<String>,
    /// Why, in a stable word such as `code_reused`.
    pub reason: Option<String>,
    /// A JSON object with what else belongs to it, such as the groups; `{}` when there is nothing.
    pub details: serde_json::Value,
}

impl Event {
    pub fn new(at: Timestamp, kind: EventKind, actor: impl Into<String>) -> Self {
        Self {
            at,
            kind,
            actor: actor.into(),
            session: None,
            grant: None,
            client: None,
            connector: None,
            user_id: None,
            ip: None,
            reason: None,
            details: serde_json::json!({}),
        }
    }
}
