//! Clients and connectors as an administrator sees them: as configured, and how they are.

use countersign_core::{Client, ConnectorId, SessionFilter};
use serde::{Deserialize, Serialize};

use super::Administrator;
use crate::{Issuer, IssuerError};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientView {
    pub id: String,
    pub name: String,
    pub public: bool,
    pub redirect_uris: Vec<String>,
    pub trusted_peers: Vec<String>,
    /// Empty: all.
    pub allowed_connectors: Vec<String>,
    /// Seconds.
    pub tokens_live: u64,
    /// Live sessions that gave it something which has not ended.
    pub sessions: i64,
    pub grants: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectorView {
    pub id: String,
    pub kind: String,
    pub name: String,
    /// As this replica saw it last.
    pub up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// The cause of `last_failure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// It refused so many people at once that it is not believed until a person confirms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_open_since: Option<String>,
    /// Live sessions that came by it.
    pub sessions: i64,
}

impl Issuer {
    /// In the order of their ids.
    pub async fn client_views(&self) -> Result<Vec<ClientView>, IssuerError> {
        let mut views = Vec::new();
        for client in self.clients.iter() {
            views.push(self.client_view(&client).await?);
        }
        views.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(views)
    }

    async fn client_view(&self, client: &Client) -> Result<ClientView, IssuerError> {
        let filter = SessionFilter { client: Some(client.id.clone()), ..SessionFilter::default() };
        let count = self.store.count_sessions(&filter).await?;
        let own = count.clients.iter().find(|(id, _)| *id == client.id);
        Ok(ClientView {
            id: client.id.to_string(),
            name: client.name.clone(),
            public: client.public,
            redirect_uris: client.redirect_uris.clone(),
            trusted_peers: client.trusted_peers.iter().map(ToString::to_string).collect(),
            allowed_connectors: client.allowed_connectors.iter().map(ToString::to_string).collect(),
            tokens_live: self.settings.token_lifetime_of(client).as_secs(),
            sessions: count.sessions,
            grants: own.map_or(0, |(_, grants)| *grants),
        })
    }

    pub async fn connector_views(&self) -> Result<Vec<ConnectorView>, IssuerError> {
        let mut views = Vec::new();
        for health in self.connector_statuses() {
            let filter = SessionFilter {
                connector: Some(health.connector.clone()),
                ..SessionFilter::default()
            };
            let count = self.store.count_sessions(&filter).await?;
            let last_error = health.last_failure.as_ref();
            views.push(ConnectorView {
                id: health.connector.to_string(),
                kind: health.kind.to_owned(),
                name: health.name.clone(),
                up: health.up,
                last_answer: super::view::told(health.last_answer),
                last_failure: last_error.map(|(at, _)| at.to_string()),
                last_error: last_error.map(|(_, cause)| cause.clone()),
                circuit_open_since: health
                    .circuit_breaker
                    .as_ref()
                    .map(|circuit_breaker| circuit_breaker.opened_at.to_string()),
                sessions: count.sessions,
            });
        }
        Ok(views)
    }

    /// A person says that what this upstream answers is meant; false when no brake holds.
    pub async fn confirm_connector(
        &self,
        who: &Administrator,
        connector: &ConnectorId,
    ) -> Result<bool, IssuerError> {
        Ok(self.close_circuit_breaker(connector, who.actor()).await?.is_some())
    }
}
