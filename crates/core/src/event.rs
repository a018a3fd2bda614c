//! Events of the audit log. Their names are stable; details never contain a secret.

use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};

use crate::{ClientId, ConnectorId, GrantId, SessionId, Timestamp};

/// Defines [`EventKind`] with one name per kind, so that no kind can be missing from [`EventKind::ALL`].
macro_rules! event_kinds {
    ($($(#[$doc:meta])* $kind:ident => $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum EventKind {
            $($(#[$doc])* $kind,)*
        }

        impl EventKind {
            /// Every kind, in the order of their definition.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

event_kinds! {
    SignedIn => "signed_in",
    /// The same user authenticated again in the same browser.
    Reauthenticated => "reauthenticated",
    SignedOut => "signed_out",
    SessionEnded => "session_ended",
    /// All sessions that a filter matched were ended; each has its own event too.
    SessionsEnded => "sessions_ended",
    GrantEnded => "grant_ended",
    ConsentGiven => "consent_given",
    ConsentWithdrawn => "consent_withdrawn",
    /// A user approved a device authorization request (RFC 8628).
    DeviceApproved => "device_approved",
    DeviceDenied => "device_denied",
    GroupsChanged => "groups_changed",
    /// A refresh token with a newer generation than the database: a backup was restored.
    DatabaseRestored => "database_restored",
    KeyRotated => "key_rotated",
    /// A signing key was deleted early, because it was compromised.
    KeyDropped => "key_dropped",
    /// An administrator blocked a user, or changed reason or end of the block.
    UserBlocked => "user_blocked",
    UserUnblocked => "user_unblocked",
    /// An upstream refused so many users within a minute that its refusals are not acted upon.
    CircuitBreakerOpened => "circuit_breaker_opened",
    /// An administrator confirmed the upstream's refusals, which are acted upon again.
    CircuitBreakerClosed => "circuit_breaker_closed",
    /// A client could not be reached with a logout token, or rejected it.
    LogoutNotificationFailed => "logout_notification_failed",
    /// Keys, sessions and objects were imported from Dex.
    DexImported => "dex_imported",
    /// A replica reloaded its configuration file, and keys of it had changed.
    ConfigurationReloaded => "configuration_reloaded",
    /// A client, user or connector was created in the database by Dex's gRPC API; `details` contains its kind and id.
    StoredObjectCreated => "stored_object_created",
    StoredObjectChanged => "stored_object_changed",
    StoredObjectDeleted => "stored_object_deleted",
}

impl EventKind {
    /// The kind with this name.
    pub fn parse(text: &str) -> Option<Self> {
        let text: StrDeserializer<'_, Error> = text.into_deserializer();
        Self::deserialize(text).ok()
    }
}

/// A row of the audit log, written in the same transaction as the change it records.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Timestamp,
    pub kind: EventKind,
    /// The actor: `user:<user_id>`, `client:<id>`, `upstream`, `system`.
    pub actor: String,
    pub session: Option<SessionId>,
    pub grant: Option<GrantId>,
    pub client: Option<ClientId>,
    pub connector: Option<ConnectorId>,
    pub user_id: Option<String>,
    pub ip: Option<String>,
    /// The reason, as a stable code such as `code_reused`.
    pub reason: Option<String>,
    /// A JSON object with details, such as the groups; `{}` if there are none.
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
    fn every_event_kind_is_parsed_from_its_name() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(EventKind::parse("SignedIn"), None);
    }
}
