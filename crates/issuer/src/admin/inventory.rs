//! Clients and connectors for an administrator: their configuration, health, and counts of sessions and grants.
//! Sessions are counted only for the rows of the requested page.

use std::sync::Arc;

use countersign_core::{Client, ClientId, ConnectorId};
use countersign_store::{ClientCount, ConnectorCount};
use serde::{Deserialize, Serialize};

use super::Administrator;
use super::fields::{FieldError, RequestError, bad};
use super::queries::Page;
use super::view::rfc3339;
use crate::upstream_health::{ConnectorStatus, Health};
use crate::{Issuer, IssuerError};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientView {
    pub id: String,
    pub name: String,
    pub public: bool,
    pub redirect_uris: Vec<String>,
    pub trusted_peers: Vec<String>,
    /// Empty: every connector is allowed.
    pub allowed_connectors: Vec<String>,
    /// Seconds.
    pub token_lifetime: u64,
    /// Live sessions with a grant of this client that has not ended.
    pub sessions: i64,
    pub grants: i64,
    /// True when there are more than were counted.
    pub at_least: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, Default)]
pub struct ClientPageView {
    pub clients: Vec<ClientView>,
    pub total: usize,
    /// For the parameter `page` of the next request; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectorView {
    pub id: String,
    pub kind: String,
    pub name: String,
    /// As last observed by this replica: `up`, `down`, or `unknown` when it sent no request in the last 10 minutes.
    pub health: Health,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_response: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// The error of `last_failure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Set while its circuit breaker is open: the upstream refused so many users within a minute that refusals are not
    /// acted upon until an administrator confirms them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_open_since: Option<String>,
    /// Live sessions created through this connector.
    pub sessions: i64,
    /// True when there are more than were counted.
    pub at_least: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, Default)]
pub struct ConnectorPageView {
    pub connectors: Vec<ConnectorView>,
    pub total: usize,
    /// For the parameter `page` of the next request; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Issuer {
    /// The clients, ordered by id.
    pub async fn client_views(&self, page: &Page) -> Result<ClientPageView, RequestError> {
        let mut all: Vec<Arc<Client>> = self.clients.iter().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        let (shown, next) = part(&all, page)?;
        let ids: Vec<ClientId> = shown.iter().map(|client| client.id.clone()).collect();
        let counts = self.store.count_clients(&ids).await?;
        let view = |(client, count): (&Arc<Client>, &ClientCount)| self.client_view(client, count);
        let clients = shown.iter().zip(&counts).map(view).collect();
        Ok(ClientPageView { clients, total: all.len(), next })
    }

    fn client_view(&self, client: &Client, count: &ClientCount) -> ClientView {
        ClientView {
            id: client.id.to_string(),
            name: client.name.clone(),
            public: client.public,
            redirect_uris: client.redirect_uris.clone(),
            trusted_peers: client.trusted_peers.iter().map(ToString::to_string).collect(),
            allowed_connectors: client.allowed_connectors.iter().map(ToString::to_string).collect(),
            token_lifetime: self.settings.token_lifetime_of(client).as_secs(),
            sessions: count.sessions,
            grants: count.grants,
            at_least: count.is_capped,
        }
    }

    /// The connectors, in the order of the configuration.
    pub async fn connector_views(&self, page: &Page) -> Result<ConnectorPageView, RequestError> {
        let all = self.connector_statuses();
        let (shown, next) = part(&all, page)?;
        let ids: Vec<ConnectorId> = shown.iter().map(|status| status.connector.clone()).collect();
        let counts = self.store.count_connectors(&ids).await?;
        let connectors = shown.iter().zip(&counts).map(connector_view).collect();
        Ok(ConnectorPageView { connectors, total: all.len(), next })
    }

    /// Confirms an upstream's refusals, which closes its circuit breaker; false when the breaker was not open.
    pub async fn confirm_connector(
        &self,
        who: &Administrator,
        connector: &ConnectorId,
    ) -> Result<bool, IssuerError> {
        Ok(self.close_circuit_breaker(connector, who.actor()).await?.is_some())
    }
}

fn connector_view((status, count): (&ConnectorStatus, &ConnectorCount)) -> ConnectorView {
    let failure = status.last_failure.as_ref();
    ConnectorView {
        id: status.connector.to_string(),
        kind: status.kind.to_owned(),
        name: status.name.clone(),
        health: status.health,
        last_response: rfc3339(status.last_response),
        last_failure: failure.map(|(at, _)| at.to_string()),
        last_error: failure.map(|(_, cause)| cause.clone()),
        circuit_open_since: status.circuit_breaker.as_ref().map(|open| open.opened_at.to_string()),
        sessions: count.sessions,
        at_least: count.is_capped,
    }
}

/// The rows of a page, and the cursor of the next page: the number of rows before it.
fn part<'a, T>(all: &'a [T], page: &Page) -> Result<(&'a [T], Option<String>), FieldError> {
    let begin = match page.after.as_deref() {
        None => 0,
        Some(text) => {
            let begin = text.parse::<usize>().ok().filter(|begin| *begin < all.len());
            begin.ok_or_else(|| bad("page", "is no page of this list"))?
        }
    };
    let limit = usize::try_from(page.limit).unwrap_or(1).max(1);
    let end = all.len().min(begin.saturating_add(limit));
    let shown = all.get(begin..end).unwrap_or_default();
    Ok((shown, (end < all.len()).then(|| end.to_string())))
}
