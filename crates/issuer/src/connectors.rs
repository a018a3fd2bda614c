//! The upstreams of this issuer, and which of them a client may use.

use countersign_core::{Client, Connector, ConnectorId};

/// In the order of their names, as the page shows them.
#[derive(Clone, Default)]
pub struct Connectors(Vec<Connector>);

impl Connectors {
    pub fn new(connectors: impl IntoIterator<Item = Connector>) -> Self {
        let mut list: Vec<Connector> = connectors.into_iter().collect();
        list.sort_by_key(|connector| connector.name.to_lowercase());
        Self(list)
    }

    pub fn get(&self, id: &ConnectorId) -> Option<&Connector> {
        self.0.iter().find(|connector| connector.id == *id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Connector> {
        self.0.iter()
    }

    pub fn for_client<'a>(&'a self, client: &'a Client) -> impl Iterator<Item = &'a Connector> {
        self.0.iter().filter(|connector| may_use(client, &connector.id))
    }

    /// The connector of this id, if it exists and this client may use it.
    pub fn allowed(&self, client: &Client, id: &ConnectorId) -> Option<&Connector> {
        self.get(id).filter(|connector| may_use(client, &connector.id))
    }
}

fn may_use(client: &Client, connector: &ConnectorId) -> bool {
    client.allowed_connectors.is_empty() || client.allowed_connectors.contains(connector)
}
