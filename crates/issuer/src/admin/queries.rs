//! Looking: sessions, events, who had a group, clients and connectors. Changes nothing.

use countersign_core::{ClientId, GrantId, SessionFilter, SessionId, Timestamp};
use countersign_store::{EventQuery, MembershipQuery, StoreError};

use super::fields::{FieldError, Holders, bad};
use super::view::{
    EventPageView, EventView, GrantView, MembershipPageView, MembershipView, SessionDetailView,
    SessionPageView, SessionView,
};
use crate::{Issuer, IssuerError};

/// Events shown with a session.
const EVENTS_OF_A_SESSION: i64 = 200;

/// A page of an answer that may be longer.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// As the answer before gave it; `None` is the first page.
    pub after: Option<String>,
    pub limit: i64,
}

impl Issuer {
    /// Newest sign-in first. `Err` inside: the page's name is none that we gave.
    pub async fn find_sessions(
        &self,
        filter: &SessionFilter,
        page: &Page,
    ) -> Result<Result<SessionPageView, FieldError>, IssuerError> {
        let found = self.store.find_sessions(filter, page.after.as_deref(), page.limit).await;
        Ok(named_page(found)?.map(|found| SessionPageView {
            sessions: found.sessions.iter().map(SessionView::from).collect(),
            next: found.next,
        }))
    }

    /// One session with all it gave and what happened to it; `None` when nobody remembers it.
    pub async fn session_details(
        &self,
        id: &SessionId,
    ) -> Result<Option<SessionDetailView>, IssuerError> {
        let Some(session) = self.store.session(id).await? else { return Ok(None) };
        let grants = self.store.grants_of(id).await?;
        let query = EventQuery {
            session: Some(id.clone()),
            limit: EVENTS_OF_A_SESSION,
            ..EventQuery::default()
        };
        let events = self.store.events(query).await?;
        let trace = self.store.trace(id).await?;
        let live = || grants.iter().filter(|grant| grant.ended.is_none());
        let mut clients: Vec<String> = live().map(|grant| grant.client.to_string()).collect();
        clients.sort_unstable();
        clients.dedup();
        let until: Option<Timestamp> = grants.iter().map(|grant| grant.tokens_until).max();
        let session = SessionView {
            clients,
            live_grants: i64::try_from(live().count()).unwrap_or(i64::MAX),
            tokens_until: super::view::told(until),
            trace: trace.as_ref().map(super::explain::trace_lines).unwrap_or_default(),
            ..SessionView::of(&session)
        };
        Ok(Some(SessionDetailView {
            session,
            grants: grants.iter().map(GrantView::from).collect(),
            events: events.iter().map(EventView::from).collect(),
        }))
    }

    /// The session a grant belongs to.
    pub async fn session_of_grant(
        &self,
        grant: &GrantId,
    ) -> Result<Option<SessionId>, IssuerError> {
        Ok(self.store.grant(grant).await?.map(|(_, session)| session.id))
    }

    /// The audit log, newest first.
    pub async fn find_events(
        &self,
        query: EventQuery,
    ) -> Result<Result<EventPageView, FieldError>, IssuerError> {
        let limit = query.limit;
        let found = self.store.events(query).await;
        Ok(named_page(found)?.map(|events| {
            let full = i64::try_from(events.len()).unwrap_or(i64::MAX) >= limit;
            EventPageView {
                next: events.last().filter(|_| full).map(|last| last.id.clone()),
                events: events.iter().map(EventView::from).collect(),
            }
        }))
    }

    /// Who had this group between two instants, and by which upstream.
    pub async fn memberships(
        &self,
        asked: &Holders,
        page: &Page,
    ) -> Result<Result<MembershipPageView, FieldError>, IssuerError> {
        let query = MembershipQuery {
            group: asked.group.clone(),
            connector: asked.connector.clone(),
            since: asked.since,
            until: asked.until,
            after: page.after.clone(),
            limit: page.limit,
        };
        let found = self.store.memberships(query).await;
        Ok(named_page(found)?.map(|found| MembershipPageView {
            group: asked.group.clone(),
            memberships: found.memberships.iter().map(MembershipView::from).collect(),
            next: found.next,
        }))
    }

    /// True when the configuration has this client.
    pub fn knows_client(&self, id: &ClientId) -> bool {
        self.clients.get(id).is_some()
    }
}

/// A page that somebody made up is their mistake, everything else ours.
fn named_page<T>(found: Result<T, StoreError>) -> Result<Result<T, FieldError>, IssuerError> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(StoreError::InvalidCursor) => Ok(Err(bad("page", "is no page of this list"))),
        Err(error) => Err(error.into()),
    }
}
