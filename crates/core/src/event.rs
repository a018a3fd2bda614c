//! One thing that happened: the words of the audit log. Names are stable; details never hold a secret.

use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
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
    /// All that a filter found were ended; each has its own event too.
    SessionsEnded,
    GrantEnded,
    ConsentGiven,
    ConsentWithdrawn,
    GroupsChanged,
    /// A refresh token newer than the database: it went back in time.
    DatabaseRestored,
    KeyRotated,
    /// An upstream refused so many people at once that none of it is believed.
    CircuitBreakerOpened,
    /// A person has confirmed; what that upstream says counts again.
    CircuitBreakerClosed,
    /// A client could not be told of an end, or refused to hear it.
    LogoutNotificationFailed,
}

impl EventKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::Reauthenticated => "reauthenticated",
            Self::SignedOut => "signed_out",
            Self::SessionEnded => "session_ended",
            Self::SessionsEnded => "sessions_ended",
            Self::GrantEnded => "grant_ended",
            Self::ConsentGiven => "consent_given",
            Self::ConsentWithdrawn => "consent_withdrawn",
            Self::GroupsChanged => "groups_changed",
            Self::DatabaseRestored => "database_restored",
            Self::KeyRotated => "key_rotated",
            Self::CircuitBreakerOpened => "circuit_breaker_opened",
            Self::CircuitBreakerClosed => "circuit_breaker_closed",
            Self::LogoutNotificationFailed => "logout_notification_failed",
        }
    }

    /// The kind that [`Self::as_str`] spells so.
    pub fn parse(text: &str) -> Option<Self> {
        let text: StrDeserializer<'_, Error> = text.into_deserializer();
        Self::deserialize(text).ok()
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

#[cfg(test)]
mod tests {
    use super::EventKind;

    #[test]
    fn a_kind_is_read_as_it_is_spelled() {
        for kind in [EventKind::SignedIn, EventKind::SessionsEnded, EventKind::KeyRotated] {
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(EventKind::parse("SignedIn"), None);
    }
}
