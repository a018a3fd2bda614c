//! What is remembered of a sign-in: the session, what it gave (grants), and the codes in between.

use serde::{Deserialize, Serialize};

use crate::{ClientId, ConnectorId, GrantId, Identity, LoginScopes, Scopes, SessionId, Timestamp};

/// One sign-in by one browser.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub connector: ConnectorId,
    /// What the connector said when last asked.
    pub identity: Identity,
    pub identity_at: Timestamp,
    /// Fingerprint of what the sign-in was built on.
    pub fingerprint: String,
    pub login_scopes: LoginScopes,
    /// What the connector needs to ask again, sealed.
    pub upstream: Option<String>,
    pub auth_time: Timestamp,
    pub created_at: Timestamp,
    /// When it last gave anything, be it to a refresh token.
    pub last_seen: Timestamp,
    /// When its browser was last there: a sign-in, or a code given to it. Idle time counts from here.
    pub browser_seen: Timestamp,
    /// The browser's half ends here at the latest; the row may live longer.
    pub cookie_until: Timestamp,
    pub ip: String,
    pub user_agent: String,
    /// When an upstream refused this person for the first of two times.
    pub missing_since: Option<Timestamp>,
    pub ended: Option<Ended>,
    /// The person is blocked until then, at the end of time where there is no end; read with the session.
    pub blocked_until: Option<Timestamp>,
}

impl Session {
    /// An administrator has blocked the person: nothing may be issued, whatever else is valid.
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
    pub why: EndReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    SignedOut,
    /// Somebody else signed in with the same browser.
    Replaced,
    UpstreamDisabled,
    UpstreamMissing,
    /// The account's password, or the directory behind the connector's id, is another one now.
    FingerprintChanged,
    CodeReused,
    /// An old refresh token came back: theft, or a lost answer.
    RefreshReused,
    ConsentWithdrawn,
    TooManyGrants,
    Administrator,
    /// By the person themselves, on their own page.
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

/// What one redeemed code gave one client. Never unique on (session, client).
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: GrantId,
    pub session: SessionId,
    pub client: ClientId,
    pub scopes: Scopes,
    pub nonce: Option<String>,
    /// When the person proved who they are, for the claim `auth_time`.
    pub auth_time: Timestamp,
    /// Whether it carries a refresh token, of which `generation` is the current one.
    pub refreshable: bool,
    pub generation: i64,
    /// The MAC key under which the current refresh token was made.
    pub mac_key: i64,
    pub created_at: Timestamp,
    /// The last rotation; the creation at first.
    pub rotated_at: Timestamp,
    /// The last token given dies then.
    pub tokens_until: Timestamp,
    pub ended: Option<Ended>,
}

/// An authorization code on its way (RFC 6749 section 4.1.2). The code itself is not kept.
#[derive(Clone, Debug)]
pub struct Code {
    /// SHA-256 of the code, base64url.
    pub hash: String,
    /// The authorization request it finishes; a request finishes once.
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
    /// The grant it was redeemed for, once it was.
    pub grant: Option<GrantId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub method: ChallengeMethod,
    pub value: String,
}

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
