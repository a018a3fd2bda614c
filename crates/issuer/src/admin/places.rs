//! Clients and connectors as an administrator sees them: as configured, and how they are.

use countersign_core::{Client, ConnectorId, SessionFilter};
use serde::{Deserialize, Serialize};

use super::Administrator;
use crate::{Failure, Issuer};

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
    pub last_trouble: Option<String>,
    /// What the trouble was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// It refused so many people at once that it is not believed until a person confirms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub braked_since: Option<String>,
    /// Live sessions that came by it.
    pub sessions: i64,
}

impl Issuer {
    /// In the order of their ids.
    pub async fn client_views(&self) -> Result<Vec<ClientView>, Failure> {
        let mut views = Vec::new();
        for client in self.clients.iter() {
            views.push(self.client_view(client).await?);
        }
        views.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(views)
    }

    async fn client_view(&self, client: &Client) -> Result<ClientView, Failure> {
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

    pub async fn connector_views(&self) -> Result<Vec<ConnectorView>, Failure> {
        let mut views = Vec::new();
        for health in self.upstreams() {
            let filter = SessionFilter {
                connector: Some(health.connector.clone()),
                ..SessionFilter::default()
            };
            let count = self.store.count_sessions(&filter).await?;
            let trouble = health.last_trouble.as_ref();
            views.push(ConnectorView {
                id: health.connector.to_string(),
                kind: health.kind.to_owned(),
                name: health.name.clone(),
                up: health.up,
                last_answer: super::view::told(health.last_answer),
                last_trouble: trouble.map(|(at, _)| at.to_string()),
                trouble: trouble.map(|(_, cause)| cause.clone()),
                braked_since: health.braked.as_ref().map(|brake| brake.set_at.to_string()),
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
    ) -> Result<bool, Failure> {
        Ok(self.release_brake(connector, who.actor()).await?.is_some())
    }
}
