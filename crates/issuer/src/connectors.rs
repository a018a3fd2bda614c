//! The upstreams of this issuer, and which of them a client may use.

use std::sync::{Arc, PoisonError, RwLock};

use countersign_core::{Client, Connector, ConnectorId};

/// The connectors of the configuration file and those of the database, in the order of their names, as the page
/// shows them. The stored ones are replaced as a whole when they change.
#[derive(Default)]
pub struct Connectors {
    configured: Vec<Arc<Connector>>,
    without_sign_in: Vec<ConnectorId>,
    current: RwLock<Arc<Current>>,
}

/// Both together.
#[derive(Default)]
struct Current {
    list: Vec<Arc<Connector>>,
    without_sign_in: Vec<ConnectorId>,
}

impl Connectors {
    pub fn new(connectors: impl IntoIterator<Item = Connector>) -> Self {
        let configured = connectors.into_iter().map(Arc::new).collect();
        let connectors = Self { configured, ..Self::default() };
        connectors.replace_stored([], &[]);
        connectors
    }

    /// Connectors that serve no sign-in, because their `grantTypes` lack `authorization_code`. Sessions that
    /// exist already keep working.
    #[must_use]
    pub fn without_sign_in(mut self, ids: Vec<ConnectorId>) -> Self {
        self.without_sign_in = ids;
        self.replace_stored([], &[]);
        self
    }

    /// Replaces all stored connectors. One of the configuration file comes before a stored one of the same id,
    /// as in Dex.
    pub fn replace_stored(
        &self,
        stored: impl IntoIterator<Item = Connector>,
        without_sign_in: &[ConnectorId],
    ) {
        let stored = stored.into_iter().filter(|connector| !self.is_configured(&connector.id));
        let mut list = self.configured.clone();
        list.extend(stored.map(Arc::new));
        list.sort_by_key(|connector| connector.name.to_lowercase());
        let stored = without_sign_in.iter().filter(|id| !self.is_configured(id));
        let without_sign_in = self.without_sign_in.iter().chain(stored).cloned().collect();
        let current = Arc::new(Current { list, without_sign_in });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    /// Whether the configuration file has it.
    pub fn is_configured(&self, id: &ConnectorId) -> bool {
        self.configured.iter().any(|connector| connector.id == *id)
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether people can sign in through this connector.
    pub fn serves_sign_in(&self, id: &ConnectorId) -> bool {
        !self.current().without_sign_in.contains(id)
    }

    pub fn get(&self, id: &ConnectorId) -> Option<Arc<Connector>> {
        self.current().list.iter().find(|connector| connector.id == *id).cloned()
    }

    pub fn iter(&self) -> impl Iterator<Item = Arc<Connector>> {
        self.current().list.clone().into_iter()
    }

    /// Those through which people can sign in to this client.
    pub fn for_client(&self, client: &Client) -> impl Iterator<Item = Arc<Connector>> {
        self.iter()
            .filter(|connector| self.serves_sign_in(&connector.id))
            .filter(|connector| may_use(client, &connector.id))
    }

    /// As [`Connectors::allowed`], if people can sign in through it.
    pub fn allowed_for_sign_in(&self, client: &Client, id: &ConnectorId) -> Option<Arc<Connector>> {
        self.allowed(client, id).filter(|connector| self.serves_sign_in(&connector.id))
    }

    /// The connector of this id, if it exists and this client may use it.
    pub fn allowed(&self, client: &Client, id: &ConnectorId) -> Option<Arc<Connector>> {
        self.get(id).filter(|connector| may_use(client, &connector.id))
    }
}

fn may_use(client: &Client, connector: &ConnectorId) -> bool {
    client.allowed_connectors.is_empty() || client.allowed_connectors.contains(connector)
}
