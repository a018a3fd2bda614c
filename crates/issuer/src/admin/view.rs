//! Sessions, grants, keys and events as the API and the command line output them. No view has a field for a token,
//! cookie, hash, key or upstream data. The format is stable: fields are added, not renamed. Times are RFC 3339 in UTC.

use std::time::Duration;

use countersign_core::session::Ended;
use countersign_core::{Grant, Session, Timestamp};
use countersign_store::{
    EndedBatch, FoundSession, GrantEnd, Membership, SessionCount, SessionEnd, StoredEvent,
};
use serde::{Deserialize, Serialize};

pub use crate::keyring::RotationView;

/// One session: a sign-in by one browser, with a summary of its grants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionView {
    pub id: String,
    pub connector: String,
    pub user_id: String,
    pub username: String,
    pub preferred_username: String,
    pub email: String,
    pub groups: Vec<String>,
    /// When the groups were received from the upstream.
    pub groups_as_of: String,
    pub ip: String,
    pub user_agent: String,
    pub signed_in: String,
    /// When the user last authenticated (`auth_time`).
    pub auth_time: String,
    pub last_seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndedView>,
    /// Clients with a grant of this session that has not ended.
    pub clients: Vec<String>,
    pub live_grants: i64,
    /// Expiry of the last token issued so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_until: Option<String>,
    /// Requests to the upstream and its responses at the last sign-in; only when a single session is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndedView {
    pub at: String,
    pub by: String,
    /// Display name, where that is a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_name: Option<String>,
    pub reason: String,
}

/// What one redeemed code granted one client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GrantView {
    pub id: String,
    pub client: String,
    pub scope: String,
    pub refreshable: bool,
    pub granted: String,
    pub last_used: String,
    pub tokens_until: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndedView>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SessionPageView {
    pub sessions: Vec<SessionView>,
    /// For the parameter `page` of the next request; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Number of matching sessions; absent above 1000, where they are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionDetailView {
    pub session: SessionView,
    pub grants: Vec<GrantView>,
    pub events: Vec<EventView>,
}

/// The effect a bulk end would have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PreviewView {
    /// When the sessions were counted. Sent as `created_before` with the end, it excludes sessions created after the
    /// preview.
    pub as_of: String,
    pub sessions: i64,
    pub people: i64,
    pub grants: i64,
    pub clients: Vec<ClientCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_until: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientCount {
    pub client: String,
    pub grants: i64,
}

/// What ended, and when the last token issued for it expires.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndView {
    pub sessions: i64,
    pub grants: i64,
    /// Expiry of the last token issued before the end; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_until: Option<String>,
    /// Which relying parties may accept a token for longer.
    pub beyond: String,
    /// True when there were more sessions than one call ends: call again.
    pub more: bool,
}

/// Reported with every end: who accepts a token for longer than its session.
pub const BEYOND: &str = "Kubernetes API servers cache an accepted token for 10 s (OIDC) or their webhook's \
    cache-ttl, and streams that are open (exec, watch, port-forward) go on until they close.";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventView {
    pub id: String,
    pub at: String,
    pub kind: String,
    pub actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Display name of the user the event is about, from their newest stored session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// Display name of the actor, if that is a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub details: serde_json::Value,
}

#[derive(Clone, Debug, Serialize, Deserialize, Default)]
pub struct EventPageView {
    pub events: Vec<EventView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One interval in which a user had a group at a connector.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MembershipView {
    pub connector: String,
    pub user_id: String,
    pub person: String,
    pub since: String,
    /// From this instant no new token contains the group. Absent: the user still has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Latest expiry of the tokens that contain the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_until: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MembershipPageView {
    pub group: String,
    pub memberships: Vec<MembershipView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyView {
    pub number: i64,
    pub kid: String,
    pub algorithm: String,
    /// Signs access tokens and nothing else (`signer.accessTokenAlgorithm`).
    #[serde(default)]
    pub access_tokens_only: bool,
    /// The service that keeps the key, if it is not our own; `number` is then its version there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// `next` is published and will sign, `signing` signs, `retired` only verifies.
    pub state: String,
    pub created: String,
    pub signs_from: String,
    /// The earliest instant at which a retired key is dropped; absent for other keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drops_at: Option<String>,
}

impl From<&Ended> for EndedView {
    fn from(ended: &Ended) -> Self {
        let (at, reason) = (ended.at.to_string(), ended.reason.as_str().to_owned());
        Self { at, by: ended.by.clone(), by_name: None, reason }
    }
}

impl SessionView {
    pub fn of(session: &Session) -> Self {
        let person = &session.identity;
        Self {
            id: session.id.to_string(),
            connector: session.connector.to_string(),
            user_id: person.user_id.clone(),
            username: person.username.clone(),
            preferred_username: person.preferred_username.clone(),
            email: person.email.clone(),
            groups: person.groups.clone(),
            groups_as_of: session.identity_at.to_string(),
            ip: session.ip.clone(),
            user_agent: session.user_agent.clone(),
            signed_in: session.created_at.to_string(),
            auth_time: session.auth_time.to_string(),
            last_seen: session.last_seen.to_string(),
            ended: session.ended.as_ref().map(EndedView::from),
            clients: Vec::new(),
            live_grants: 0,
            tokens_until: None,
            trace: Vec::new(),
        }
    }
}

impl From<&FoundSession> for SessionView {
    fn from(found: &FoundSession) -> Self {
        Self {
            clients: found.clients.iter().map(ToString::to_string).collect(),
            live_grants: found.live_grants,
            tokens_until: rfc3339(found.tokens_until),
            ..Self::of(&found.session)
        }
    }
}

impl From<&Grant> for GrantView {
    fn from(grant: &Grant) -> Self {
        Self {
            id: grant.id.to_string(),
            client: grant.client.to_string(),
            scope: grant.scopes.to_string(),
            refreshable: grant.refreshable,
            granted: grant.created_at.to_string(),
            last_used: grant.rotated_at.to_string(),
            tokens_until: grant.tokens_until.to_string(),
            ended: grant.ended.as_ref().map(EndedView::from),
        }
    }
}

impl From<&StoredEvent> for EventView {
    fn from(stored: &StoredEvent) -> Self {
        let event = &stored.event;
        Self {
            id: stored.id.clone(),
            at: event.at.to_string(),
            kind: event.kind.as_str().to_owned(),
            actor: event.actor.clone(),
            session: event.session.as_ref().map(ToString::to_string),
            grant: event.grant.as_ref().map(ToString::to_string),
            client: event.client.as_ref().map(ToString::to_string),
            connector: event.connector.as_ref().map(ToString::to_string),
            user_id: event.user_id.clone(),
            user_name: None,
            actor_name: None,
            ip: event.ip.clone(),
            reason: event.reason.clone(),
            details: event.details.clone(),
        }
    }
}

impl PreviewView {
    pub fn of(count: &SessionCount, as_of: Timestamp) -> Self {
        let clients = count.clients.iter();
        Self {
            // Includes sessions created within the same millisecond, which were counted.
            as_of: (as_of + Duration::from_millis(1)).exact(),
            sessions: count.sessions,
            people: count.people,
            grants: count.grants,
            clients: clients
                .map(|(client, grants)| ClientCount { client: client.to_string(), grants: *grants })
                .collect(),
            tokens_until: rfc3339(count.tokens_until),
        }
    }
}

impl From<&EndedBatch> for EndView {
    fn from(ended: &EndedBatch) -> Self {
        Self {
            sessions: ended.sessions,
            grants: ended.grants,
            tokens_until: rfc3339(ended.tokens_until),
            beyond: BEYOND.to_owned(),
            more: ended.more,
        }
    }
}

impl From<&SessionEnd> for EndView {
    fn from(end: &SessionEnd) -> Self {
        Self {
            sessions: 1,
            grants: i64::try_from(end.grants_ended).unwrap_or(i64::MAX),
            tokens_until: rfc3339(end.tokens_until),
            beyond: BEYOND.to_owned(),
            more: false,
        }
    }
}

impl From<&GrantEnd> for EndView {
    fn from(end: &GrantEnd) -> Self {
        Self {
            sessions: 0,
            grants: 1,
            tokens_until: rfc3339(Some(end.tokens_until)),
            beyond: BEYOND.to_owned(),
            more: false,
        }
    }
}

impl From<&Membership> for MembershipView {
    fn from(membership: &Membership) -> Self {
        Self {
            connector: membership.connector.to_string(),
            user_id: membership.user_id.clone(),
            person: membership.person.clone(),
            since: membership.since.to_string(),
            until: rfc3339(membership.until),
            tokens_until: rfc3339(membership.tokens_until),
        }
    }
}

pub(crate) fn rfc3339(instant: Option<Timestamp>) -> Option<String> {
    instant.map(|instant| instant.to_string())
}
