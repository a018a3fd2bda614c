//! Blocking a user: until the block expires or is lifted, sign-ins, tokens and Kubernetes requests are refused wherever
//! the session is looked up. Relying parties that verify tokens offline accept them until the reported expiry.

use std::sync::Arc;

use countersign_core::{ConnectorId, SessionFilter, Timestamp};
use countersign_store::{BlockUser, BlockedUser};
use serde::{Deserialize, Serialize};

use super::Administrator;
use super::fields::{FieldError, Fields, RequestError, bad};
use super::queries::{Page, Person};
use super::view::{BEYOND, ClientCount, EndView, rfc3339};
use crate::{Issuer, IssuerError};

/// Fields of a [`PersonId`].
pub const PERSON_FIELDS: [&str; 2] = ["connector", "user_id"];
/// Fields of a [`BlockRequest`].
pub const BLOCK_FIELDS: [&str; 5] = ["connector", "user_id", "reason", "until", "keep_sessions"];
/// Longest reason, in characters.
const LONGEST_REASON: usize = 500;
/// Users suggested when the given user id is unknown.
const SUGGESTIONS: i64 = 5;

/// A user of one connector: the pair that `sub` encodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonId {
    pub connector: ConnectorId,
    pub user_id: String,
}

#[derive(Clone, Debug)]
pub struct BlockRequest {
    pub person: PersonId,
    pub reason: String,
    /// `None`: the block lasts until it is lifted.
    pub expires_at: Option<Timestamp>,
    /// Their sessions are refused but do not end: they work again once the block is over, and applications
    /// receive no logout tokens.
    pub keep_sessions: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockedUserView {
    pub connector: String,
    pub user_id: String,
    /// Display name from the user's newest stored session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub reason: String,
    pub blocked_at: String,
    pub blocked_by: String,
    /// Display name, where that is a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by_name: Option<String>,
    /// Absent: the block lasts until it is lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BlockedUserPageView {
    pub blocked_users: Vec<BlockedUserView>,
    /// For the parameter `page` of the next request; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What blocking this user would end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockPreviewView {
    pub connector: String,
    pub user_id: String,
    /// Absent: no session of this user is stored, so the user id may be misspelt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Users of this connector whose login, e-mail address or name equals the given user id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<SuggestionView>,
    /// Live sessions.
    pub sessions: i64,
    pub grants: i64,
    pub clients: Vec<ClientCount>,
    /// Expiry of the last token that relying parties verify offline; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_until: Option<String>,
    /// The block currently in force; a new block replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<BlockedUserView>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SuggestionView {
    pub user_id: String,
    pub name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockView {
    pub blocked_user: BlockedUserView,
    /// Sessions that ended with the block; none when `keep_sessions` is set.
    pub ended: EndView,
}

impl BlockedUserView {
    /// Display name of who blocked the user, else the actor.
    pub fn blocked_by_display(&self) -> &str {
        self.blocked_by_name.as_deref().unwrap_or(&self.blocked_by)
    }
}

impl Fields<'_> {
    /// See [`PERSON_FIELDS`].
    pub fn person(&self) -> Result<PersonId, FieldError> {
        let required = |name: &str| self.text(name).ok_or_else(|| bad(name, "is missing"));
        let connector = ConnectorId::new(required("connector")?);
        Ok(PersonId { connector, user_id: required("user_id")?.to_owned() })
    }

    /// See [`BLOCK_FIELDS`].
    pub fn block(&self) -> Result<BlockRequest, FieldError> {
        let person = self.person()?;
        let reason = self.text("reason").ok_or_else(|| bad("reason", "is missing"))?;
        if reason.chars().count() > LONGEST_REASON {
            return Err(bad("reason", format!("is longer than {LONGEST_REASON} characters")));
        }
        let keep_sessions = match self.text("keep_sessions") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(bad("keep_sessions", "expected true or false")),
        };
        let (reason, expires_at) = (reason.to_owned(), self.end("until")?);
        Ok(BlockRequest { person, reason, expires_at, keep_sessions })
    }
}

impl Issuer {
    /// What [`Issuer::block_user`] would end now, without `keep_sessions`.
    pub async fn preview_block(
        &self,
        who: &Administrator,
        person: &PersonId,
    ) -> Result<BlockPreviewView, RequestError> {
        self.check_person(who, person)?;
        let PersonId { connector, user_id } = person;
        let count = self.store.count_sessions(&sessions_of(person)).await?;
        let name = self.name_of(person).await?;
        let mut suggestions = Vec::new();
        if name.is_none() {
            let similar = self.store.find_people(user_id, SUGGESTIONS).await?;
            let here = similar.into_iter().filter(|other| other.connector == *connector);
            suggestions = here
                .map(|other| SuggestionView {
                    name: other.identity.display_name().to_owned(),
                    user_id: other.identity.user_id,
                })
                .collect();
        }
        let blocked = self.blocked_user(connector, user_id).await?;
        let clients = count.clients.iter();
        Ok(BlockPreviewView {
            connector: connector.to_string(),
            user_id: user_id.clone(),
            blocked,
            name,
            suggestions,
            sessions: count.sessions,
            grants: count.grants,
            clients: clients
                .map(|(client, grants)| ClientCount { client: client.to_string(), grants: *grants })
                .collect(),
            tokens_until: rfc3339(count.tokens_until),
        })
    }

    /// Blocks a user, replacing an existing block, then ends their sessions unless `keep_sessions` is set.
    pub async fn block_user(
        self: &Arc<Self>,
        who: &Administrator,
        request: BlockRequest,
    ) -> Result<BlockView, RequestError> {
        self.check_person(who, &request.person)?;
        let person = &request.person;
        let block = BlockUser {
            connector: person.connector.clone(),
            user_id: person.user_id.clone(),
            reason: request.reason,
            by: who.as_actor(),
            now: self.now(),
            expires_at: request.expires_at,
        };
        let blocked = self.store.block_user(block).await?;
        tracing::warn!(event = "user_blocked", actor = who.actor(), address = who.address(), connector = %person.connector, user_id = %person.user_id, reason = %blocked.reason, until = blocked.expires_at.map(tracing::field::display), "blocked by an administrator");
        let mut views = self.views_of(std::slice::from_ref(&blocked)).await?;
        let blocked_user = views.pop().unwrap_or_else(|| view(&blocked, None, None));
        let ended = match request.keep_sessions {
            true => {
                let tokens_until = self.store.count_sessions(&sessions_of(person)).await?;
                let tokens_until = rfc3339(tokens_until.tokens_until);
                let beyond = BEYOND.to_owned();
                EndView { sessions: 0, grants: 0, tokens_until, beyond, more: false }
            }
            false => EndView::from(&self.end_sessions(who, sessions_of(person)).await?),
        };
        Ok(BlockView { blocked_user, ended })
    }

    /// Lifts a block; false when the user is not blocked.
    pub async fn unblock_user(
        &self,
        who: &Administrator,
        person: &PersonId,
    ) -> Result<bool, IssuerError> {
        let PersonId { connector, user_id } = person;
        let lifted =
            self.store.unblock_user(connector, user_id, who.as_actor(), self.now()).await?;
        if lifted {
            tracing::warn!(event = "user_unblocked", actor = who.actor(), address = who.address(), connector = %connector, user_id, "a block was lifted by an administrator");
        }
        Ok(lifted)
    }

    /// Blocked users, ordered by connector and user id.
    pub async fn blocked_users(&self, page: &Page) -> Result<BlockedUserPageView, RequestError> {
        let after = match page.after.as_deref().map(parse_cursor) {
            Some(None) => return Err(bad("page", "is no page of this list").into()),
            Some(Some(after)) => Some(after),
            None => None,
        };
        let found = self.store.blocked_users(after, page.limit, self.now()).await?;
        let last = found.users.last().map(|user| (user.connector.clone(), user.user_id.clone()));
        Ok(BlockedUserPageView {
            next: last.as_ref().filter(|_| found.more).map(cursor),
            blocked_users: self.views_of(&found.users).await?,
        })
    }

    /// The block of this user that is in force now, if any.
    pub async fn blocked_user(
        &self,
        connector: &ConnectorId,
        user_id: &str,
    ) -> Result<Option<BlockedUserView>, IssuerError> {
        let block = self.store.blocked_user(connector, user_id, self.now()).await?;
        Ok(self.views_of(block.as_slice()).await?.pop())
    }

    /// Blocks with the display names of the users and of those who blocked them.
    async fn views_of(&self, blocks: &[BlockedUser]) -> Result<Vec<BlockedUserView>, IssuerError> {
        let user_of = |block: &BlockedUser| (block.connector.clone(), block.user_id.clone());
        let actor_of =
            |block: &BlockedUser| self.person_of(&block.blocked_by, Some(&block.connector));
        let persons =
            blocks.iter().flat_map(|block| actor_of(block).into_iter().chain([user_of(block)]));
        let names = self.names_of(persons.collect()).await?;
        let name_of = |person: &Person| names.get(person).cloned().flatten();
        let view_of = |block: &BlockedUser| {
            view(block, name_of(&user_of(block)), actor_of(block).as_ref().and_then(name_of))
        };
        Ok(blocks.iter().map(view_of).collect())
    }

    async fn name_of(&self, person: &PersonId) -> Result<Option<String>, IssuerError> {
        let person = (person.connector.clone(), person.user_id.clone());
        Ok(self.store.person_names(&[person]).await?.pop().flatten())
    }

    /// Refuses an unknown connector, which would block no user, and the administrator's own account.
    fn check_person(&self, who: &Administrator, person: &PersonId) -> Result<(), FieldError> {
        if self.connectors.get(&person.connector).is_none() {
            return Err(bad("connector", "is no connector of this issuer"));
        }
        match who.actor() == format!("user:{}@{}", person.user_id, person.connector) {
            true => Err(bad("user_id", "is your own account")),
            false => Ok(()),
        }
    }
}

fn sessions_of(person: &PersonId) -> SessionFilter {
    let person = Some((person.connector.clone(), person.user_id.clone()));
    SessionFilter { person, ..SessionFilter::default() }
}

fn view(block: &BlockedUser, name: Option<String>, by_name: Option<String>) -> BlockedUserView {
    BlockedUserView {
        connector: block.connector.to_string(),
        user_id: block.user_id.clone(),
        name,
        reason: block.reason.clone(),
        blocked_at: block.blocked_at.to_string(),
        blocked_by: block.blocked_by.clone(),
        blocked_by_name: by_name,
        expires_at: rfc3339(block.expires_at),
    }
}

/// Connector and user id of the last row, hex-encoded so that it needs no escaping in URLs and on command lines.
fn cursor((connector, user_id): &(ConnectorId, String)) -> String {
    let text = format!("{connector}\n{user_id}");
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_cursor(text: &str) -> Option<(ConnectorId, String)> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes = digits.map(|pair| u8::from_str_radix(pair?, 16).ok());
    let text = String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()?;
    let (connector, user_id) = text.split_once('\n')?;
    Some((ConnectorId::new(connector), user_id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{cursor, parse_cursor};
    use countersign_core::ConnectorId;

    #[test]
    fn a_cursor_names_the_last_row_whatever_its_user_id_holds() {
        let last = (ConnectorId::new("ldap"), "cn=Jürgen\n, o=a&b".to_owned());
        assert_eq!(parse_cursor(&cursor(&last)), Some(last));
        for other in ["", "x", "6c", "zz", "ff0a"] {
            assert_eq!(parse_cursor(other), None, "{other}");
        }
    }
}
