//! Read-only queries: sessions, events, and the members of a group over time.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::{ConnectorId, GrantId, SessionFilter, SessionId, Timestamp};
use countersign_store::{EventQuery, MembershipQuery, StoredEvent};

use super::fields::{FieldError, Fields, Holders, RequestError};
use super::view::{
    EndedView, EventPageView, EventView, GrantView, MembershipPageView, MembershipView,
    SessionDetailView, SessionPageView, SessionView,
};
use crate::{Issuer, IssuerError};

/// Users whose display names are read by one statement.
const NAMES_OF_ONE_STATEMENT: usize = 100;
/// Events shown with a session.
const EVENTS_OF_A_SESSION: i64 = 200;

/// Connector and user id there.
pub(super) type Person = (ConnectorId, String);

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The value `next` of the previous page; `None` for the first page.
    pub after: Option<String>,
    pub limit: i64,
}

impl Fields<'_> {
    /// `page` and `limit` for a list whose rows each need a count: at most 100 rows instead of 500.
    pub fn short_page(&self) -> Result<Page, FieldError> {
        let after = self.text("page").map(str::to_owned);
        Ok(Page { after, limit: self.number("limit", 50, 100)? })
    }

    /// `page` and `limit`.
    pub fn page(&self) -> Result<Page, FieldError> {
        let after = self.text("page").map(str::to_owned);
        Ok(Page { after, limit: self.number("limit", 50, 500)? })
    }
}

impl Issuer {
    /// Sessions that match the filter, newest first. An invalid cursor in `page` is a [`FieldError`].
    pub async fn find_sessions(
        &self,
        filter: &SessionFilter,
        page: &Page,
    ) -> Result<SessionPageView, RequestError> {
        let found = self.store.find_sessions(filter, page.after.as_deref(), page.limit).await?;
        let mut sessions: Vec<_> = found.sessions.iter().map(SessionView::from).collect();
        self.name_who_ended(sessions.iter_mut().filter_map(ended_session)).await?;
        Ok(SessionPageView { sessions, next: found.next, total: found.total })
    }

    /// One session with its grants and events; `None` when there is no such session.
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
        let mut session = SessionView {
            clients,
            live_grants: i64::try_from(live().count()).unwrap_or(i64::MAX),
            tokens_until: super::view::rfc3339(until),
            trace: trace.as_ref().map(super::explain::trace_lines).unwrap_or_default(),
            ..SessionView::of(&session)
        };
        let mut grants: Vec<_> = grants.iter().map(GrantView::from).collect();
        let connector = ConnectorId::new(&session.connector);
        let ended_grants = grants.iter_mut().filter_map(|grant| grant.ended.as_mut());
        let ended_grants: Vec<_> = ended_grants.map(|ended| (connector.clone(), ended)).collect();
        self.name_who_ended(ended_session(&mut session).into_iter().chain(ended_grants)).await?;
        Ok(Some(SessionDetailView { session, grants, events: self.event_views(&events).await? }))
    }

    /// The session of a grant; `None` when there is no such grant.
    pub async fn session_of_grant(
        &self,
        grant: &GrantId,
    ) -> Result<Option<SessionId>, IssuerError> {
        Ok(self.store.grant(grant).await?.map(|(_, session)| session.id))
    }

    /// The audit log, newest first.
    pub async fn find_events(&self, query: EventQuery) -> Result<EventPageView, RequestError> {
        let limit = query.limit;
        let events = self.store.events(query).await?;
        let full = i64::try_from(events.len()).unwrap_or(i64::MAX) >= limit;
        let next = events.last().filter(|_| full).map(|last| last.id.clone());
        Ok(EventPageView { next, events: self.event_views(&events).await? })
    }

    /// Adds the display names of the user an event is about and of the user who caused it.
    async fn event_views(&self, events: &[StoredEvent]) -> Result<Vec<EventView>, IssuerError> {
        let mut persons = BTreeSet::new();
        for event in events {
            persons.extend(subject_of(event));
            persons.extend(self.actor_of(event));
        }
        let names = self.names_of(persons).await?;
        let name = |person: Option<Person>| names.get(&person?).cloned().flatten();
        let view = |event: &StoredEvent| EventView {
            user_name: name(subject_of(event)),
            actor_name: name(self.actor_of(event)),
            ..EventView::from(event)
        };
        Ok(events.iter().map(view).collect())
    }

    /// Display names, as of the newest session that is kept.
    pub(super) async fn names_of(
        &self,
        persons: BTreeSet<Person>,
    ) -> Result<BTreeMap<Person, Option<String>>, IssuerError> {
        let persons: Vec<_> = persons.into_iter().collect();
        let mut names = BTreeMap::new();
        for batch in persons.chunks(NAMES_OF_ONE_STATEMENT) {
            let found = self.store.person_names(batch).await?;
            names.extend(batch.iter().cloned().zip(found));
        }
        Ok(names)
    }

    /// Sets the names of those who ended sessions or grants; each with the connector of the session.
    async fn name_who_ended<'a>(
        &self,
        ends: impl Iterator<Item = (ConnectorId, &'a mut EndedView)>,
    ) -> Result<(), IssuerError> {
        let ends: Vec<_> = ends
            .filter_map(|(connector, end)| Some((self.person_of(&end.by, Some(&connector))?, end)))
            .collect();
        let names = self.names_of(ends.iter().map(|(person, _)| person.clone()).collect()).await?;
        for (person, end) in ends {
            end.by_name = names.get(&person).cloned().flatten();
        }
        Ok(())
    }

    fn actor_of(&self, stored: &StoredEvent) -> Option<Person> {
        self.person_of(&stored.event.actor, stored.event.connector.as_ref())
    }

    /// The person of an actor: `user:ID@CONNECTOR`, or `user:ID` at the connector of what was done.
    pub(super) fn person_of(&self, actor: &str, connector: Option<&ConnectorId>) -> Option<Person> {
        let user = actor.strip_prefix("user:")?;
        let known = |(id, connector): &(&str, &str)| {
            !id.is_empty() && self.connectors.get(&ConnectorId::new(*connector)).is_some()
        };
        match user.rsplit_once('@').filter(known) {
            Some((id, connector)) => Some((ConnectorId::new(connector), id.to_owned())),
            None => Some((connector?.clone(), user.to_owned())),
        }
    }

    /// The users who had this group between two instants, and at which connector.
    pub async fn memberships(
        &self,
        holders: &Holders,
        page: &Page,
    ) -> Result<MembershipPageView, RequestError> {
        let query = MembershipQuery {
            group: holders.group.clone(),
            connector: holders.connector.clone(),
            since: holders.since,
            until: holders.until,
            after: page.after.clone(),
            limit: page.limit,
        };
        let found = self.store.memberships(query).await?;
        Ok(MembershipPageView {
            group: holders.group.clone(),
            memberships: found.memberships.iter().map(MembershipView::from).collect(),
            next: found.next,
        })
    }
}

fn ended_session(session: &mut SessionView) -> Option<(ConnectorId, &mut EndedView)> {
    Some((ConnectorId::new(&session.connector), session.ended.as_mut()?))
}

fn subject_of(stored: &StoredEvent) -> Option<Person> {
    Some((stored.event.connector.clone()?, stored.event.user_id.clone()?))
}
