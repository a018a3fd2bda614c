//! The upstreams of this issuer, and which of them a client may use.

use countersign_core::{Client, Connector, ConnectorId};

/// In the order of their names, as the page shows them.
#[derive(Clone, Default)]
pub struct Connectors {
    list: Vec<Connector>,
    without_sign_in: Vec<ConnectorId>,
}

impl Connectors {
    pub fn new(connectors: impl IntoIterator<Item = Connector>) -> Self {
        let mut list: Vec<Connector> = connectors.into_iter().collect();
        list.sort_by_key(|connector| connector.name.to_lowercase());
        Self { list, without_sign_in: Vec::new() }
    }

    /// Connectors that serve no sign-in, because their `grantTypes` lack `authorization_code`. Sessions that
    /// exist already keep working.
    #[must_use]
    pub fn without_sign_in(mut self, ids: Vec<ConnectorId>) -> Self {
        self.without_sign_in = ids;
        self
    }

    /// Whether people can sign in through this connector.
    pub fn serves_sign_in(&self, id: &ConnectorId) -> bool {
        !self.without_sign_in.contains(id)
    }

    pub fn get(&self, id: &ConnectorId) -> Option<&Connector> {
        self.list.iter().find(|connector| connector.id == *id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Connector> {
        self.list.iter()
    }

    /// Those through which people can sign in to this client.
    pub fn for_client<'a>(&'a self, client: &'a Client) -> impl Iterator<Item = &'a Connector> {
        self.list
            .iter()
            .filter(|connector| self.serves_sign_in(&connector.id))
            .filter(|connector| may_use(client, &connector.id))
    }

    /// As [`Connectors::allowed`], if people can sign in through it.
    pub fn allowed_for_sign_in(&self, client: &Client, id: &ConnectorId) -> Option<&Connector> {
        self.allowed(client, id).filter(|connector| self.serves_sign_in(&connector.id))
    }

    /// The connector of this id, if it exists and this client may use it.
    pub fn allowed(&self, client: &Client, id: &ConnectorId) -> Option<&Connector> {
        self.get(id).filter(|connector| may_use(client, &connector.id))
    }
}

fn may_use(client: &Client, connector: &ConnectorId) -> bool {
    client.allowed_connectors.is_empty() || client.allowed_connectors.contains(connector)
}
