//! The upstreams of this issuer, and which of them a client may use.

use std::collections::HashMap;

use countersign_core::{Client, Connector, ConnectorId, GrantType};

/// In the order of their names, as the page shows them.
#[derive(Clone, Default)]
pub struct Connectors {
    list: Vec<Connector>,
    grant_types: HashMap<ConnectorId, Vec<GrantType>>,
}

impl Connectors {
    pub fn new(connectors: impl IntoIterator<Item = Connector>) -> Self {
        let mut list: Vec<Connector> = connectors.into_iter().collect();
        list.sort_by_key(|connector| connector.name.to_lowercase());
        Self { list, grant_types: HashMap::new() }
    }

    /// The grant types that some connectors are limited to (`connectors[].grantTypes`, as in Dex). Sessions
    /// that exist already keep working.
    #[must_use]
    pub fn limited_to(mut self, grant_types: HashMap<ConnectorId, Vec<GrantType>>) -> Self {
        self.grant_types = grant_types;
        self
    }

    /// Whether the connector may be used for this grant type.
    pub fn serves(&self, id: &ConnectorId, grant_type: GrantType) -> bool {
        self.grant_types.get(id).is_none_or(|limited| limited.contains(&grant_type))
    }

    pub fn get(&self, id: &ConnectorId) -> Option<&Connector> {
        self.list.iter().find(|connector| connector.id == *id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Connector> {
        self.list.iter()
    }

    /// Those through which people can log in to this client for a request of this grant type.
    pub fn for_client<'a>(
        &'a self,
        client: &'a Client,
        grant_type: GrantType,
    ) -> impl Iterator<Item = &'a Connector> {
        self.list
            .iter()
            .filter(move |connector| self.serves(&connector.id, grant_type))
            .filter(|connector| may_use(client, &connector.id))
    }

    /// As [`Connectors::allowed`], if it may also be used for this grant type.
    pub fn allowed_for(
        &self,
        client: &Client,
        id: &ConnectorId,
        grant_type: GrantType,
    ) -> Option<&Connector> {
        self.allowed(client, id).filter(|connector| self.serves(&connector.id, grant_type))
    }

    /// The connector of this id, if it exists and this client may use it.
    pub fn allowed(&self, client: &Client, id: &ConnectorId) -> Option<&Connector> {
        self.get(id).filter(|connector| may_use(client, &connector.id))
    }
}

fn may_use(client: &Client, connector: &ConnectorId) -> bool {
    client.allowed_connectors.is_empty() || client.allowed_connectors.contains(connector)
}
