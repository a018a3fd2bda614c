//! Sessions, grants and authorization codes; and the filter of sessions, shared by search, preview and bulk end, so that
//! exactly the previewed sessions end.

use serde::{Deserialize, Serialize};

use crate::{ClientId, ConnectorId, GrantId, Identity, LoginScopes, Scopes, SessionId, Timestamp};

/// One sign-in by one browser.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub connector: ConnectorId,
    /// The identity as last returned by the upstream.
    pub identity: Identity,
    pub identity_at: Timestamp,
    /// Fingerprint of the connector or password at sign-in.
    pub fingerprint: String,
    pub login_scopes: LoginScopes,
    /// What the connector needs to query the upstream again, sealed.
    pub upstream: Option<String>,
    pub auth_time: Timestamp,
    pub created_at: Timestamp,
    /// When it last issued anything, including refresh tokens.
    pub last_seen: Timestamp,
    /// When its browser was last used: a sign-in, or a code issued to it. The idle lifetime counts from here.
    pub browser_seen: Timestamp,
    /// Single sign-on ends at this instant at the latest; the row is kept longer for its grants.
    pub cookie_until: Timestamp,
    pub ip: String,
    pub user_agent: String,
    /// When the upstream refused the user for the first of the two required times.
    pub missing_since: Option<Timestamp>,
    pub ended: Option<Ended>,
    /// The user is blocked until then; the maximum instant if the block has no end. Read with the session.
    pub blocked_until: Option<Timestamp>,
}

impl Session {
    /// Whether an administrator has blocked the user: nothing may be issued, even if all else is valid.
    pub fn is_blocked(&self, now: Timestamp) -> bool {
        self.blocked_until.is_some_and(|until| until > now)
    }
}

/// When, by whom and why something ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub at: Timestamp,
    /// `user:…`, `client:…`, `upstream`, `system`.
    pub by: String,
    pub reason: EndReason,
}

/// Why a session or grant has ended; stored by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    SignedOut,
    /// Another user signed in with the same browser.
    Replaced,
    UpstreamDisabled,
    UpstreamMissing,
    /// The fingerprint changed: another password, or another directory under the connector's id.
    FingerprintChanged,
    CodeReused,
    /// Reuse of an old refresh token: theft, or a lost response.
    RefreshReused,
    ConsentWithdrawn,
    TooManyGrants,
    Administrator,
    /// By the user, on the account page.
    EndedByUser,
    Revoked,
}

impl EndReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Replaced => "replaced",
            Self::UpstreamDisabled => "upstream_disabled",
            Self::UpstreamMissing => "upstream_missing",
            Self::FingerprintChanged => "fingerprint_changed",
            Self::CodeReused => "code_reused",
            Self::RefreshReused => "refresh_reused",
            Self::ConsentWithdrawn => "consent_withdrawn",
            Self::TooManyGrants => "too_many_grants",
            Self::Administrator => "administrator",
            Self::EndedByUser => "ended_by_user",
            Self::Revoked => "revoked",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::SignedOut,
            Self::Replaced,
            Self::UpstreamDisabled,
            Self::UpstreamMissing,
            Self::FingerprintChanged,
            Self::CodeReused,
            Self::RefreshReused,
            Self::ConsentWithdrawn,
            Self::TooManyGrants,
            Self::Administrator,
            Self::EndedByUser,
            Self::Revoked,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == text)
    }
}

/// The result of one code exchange by one client. There may be several per session and client.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: GrantId,
    pub session: SessionId,
    pub client: ClientId,
    pub scopes: Scopes,
    pub nonce: Option<String>,
    /// When the user authenticated, for the claim `auth_time`.
    pub auth_time: Timestamp,
    /// Whether it has a refresh token, whose current generation is `generation`.
    pub refreshable: bool,
    /// Increased by every rotation; a refresh token contains the generation it belongs to.
    pub generation: i64,
    /// The MAC key that signed the current refresh token.
    pub mac_key: i64,
    pub created_at: Timestamp,
    /// When it was last rotated; initially its creation.
    pub rotated_at: Timestamp,
    /// When the last issued token expires.
    pub tokens_until: Timestamp,
    pub ended: Option<Ended>,
}

/// An issued authorization code (RFC 6749 section 4.1.2). Only its hash is stored.
#[derive(Clone, Debug)]
pub struct Code {
    /// SHA-256 of the code, base64url.
    pub hash: String,
    /// The authorization request it was issued for; each request is answered once.
    pub request: String,
    pub session: SessionId,
    pub client: ClientId,
    pub redirect_uri: String,
    pub scopes: Scopes,
    pub nonce: Option<String>,
    /// S256 or plain challenge (RFC 7636 section 4.2).
    pub challenge: Option<Challenge>,
    pub auth_time: Timestamp,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// The grant of its exchange, once exchanged.
    pub grant: Option<GrantId>,
}

/// A code challenge (RFC 7636 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub method: ChallengeMethod,
    pub value: String,
}

/// `code_challenge_method` (RFC 7636 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeMethod {
    S256,
    #[serde(rename = "plain")]
    Plain,
}

impl ChallengeMethod {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S256 => "S256",
            Self::Plain => "plain",
        }
    }
}

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
