//! The connectors of this issuer, and which of them a client may use.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use countersign_core::connector::LoginMethod;
use countersign_core::{Client, Connector, ConnectorId, GrantType};

/// The connectors of the configuration file and those of the database, ordered by name as on the login page. The stored
/// ones are replaced as a whole when they change.
#[derive(Default)]
pub struct Connectors {
    configured: Vec<Arc<Connector>>,
    /// Grant type limits of connectors in the configuration file; no entry: not limited.
    grant_types: HashMap<ConnectorId, Vec<GrantType>>,
    current: RwLock<Arc<Current>>,
}

/// Configured and stored connectors together.
#[derive(Default)]
struct Current {
    list: Vec<Arc<Connector>>,
    grant_types: HashMap<ConnectorId, Vec<GrantType>>,
    trusted_headers: Arc<[String]>,
}

impl Connectors {
    pub fn new(connectors: impl IntoIterator<Item = Connector>) -> Self {
        let configured = connectors.into_iter().map(Arc::new).collect();
        let connectors = Self { configured, ..Self::default() };
        connectors.replace_stored([], HashMap::new());
        connectors
    }

    /// Sets the grant types that connectors are limited to (`connectors[].grantTypes`, as in Dex). Their existing sessions
    /// do not end, and count for these grant types only.
    #[must_use]
    pub fn limited_to(mut self, grant_types: HashMap<ConnectorId, Vec<GrantType>>) -> Self {
        self.grant_types = grant_types;
        self.replace_stored([], HashMap::new());
        self
    }

    /// Replaces all stored connectors and their limits. A connector of the configuration file takes precedence over a
    /// stored one with the same id, as in Dex.
    pub fn replace_stored(
        &self,
        stored: impl IntoIterator<Item = Connector>,
        mut grant_types: HashMap<ConnectorId, Vec<GrantType>>,
    ) {
        let stored = stored.into_iter().filter(|connector| !self.is_configured(&connector.id));
        let stored: Vec<_> = stored.map(Arc::new).collect();
        self.current().share_used_refresh_tokens(&stored);
        let mut list = self.configured.clone();
        list.extend(stored);
        list.sort_by_key(|connector| connector.name.to_lowercase());
        grant_types.retain(|id, _| !self.is_configured(id));
        grant_types.extend(self.grant_types.clone());
        let trusted_headers = list.iter().flat_map(|one| trusted_headers(one)).collect();
        let current = Arc::new(Current { list, grant_types, trusted_headers });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    /// For connectors that replace those of `before` at a reload.
    pub fn share_used_refresh_tokens(&self, before: &Self) {
        before.current().share_used_refresh_tokens(&self.current().list);
    }

    /// Whether the configuration file defines the connector.
    pub fn is_configured(&self, id: &ConnectorId) -> bool {
        self.configured.iter().any(|connector| connector.id == *id)
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the connector may be used for this grant type.
    pub fn serves(&self, id: &ConnectorId, grant_type: GrantType) -> bool {
        let current = self.current();
        current.grant_types.get(id).is_none_or(|limited| limited.contains(&grant_type))
    }

    pub fn get(&self, id: &ConnectorId) -> Option<Arc<Connector>> {
        self.current().list.iter().find(|connector| connector.id == *id).cloned()
    }

    pub fn iter(&self) -> impl Iterator<Item = Arc<Connector>> {
        self.current().list.clone().into_iter()
    }

    /// The header names from which any connector reads the user, in lower case.
    pub fn trusted_headers(&self) -> Arc<[String]> {
        Arc::clone(&self.current().trusted_headers)
    }

    /// The connectors through which a user can log in to this client with this grant type.
    pub fn for_client(
        &self,
        client: &Client,
        grant_type: GrantType,
    ) -> impl Iterator<Item = Arc<Connector>> {
        self.iter()
            .filter(move |connector| self.serves(&connector.id, grant_type))
            .filter(|connector| may_use(client, &connector.id))
    }

    /// Like [`Connectors::allowed`], and the connector must also serve this grant type.
    pub fn allowed_for(
        &self,
        client: &Client,
        id: &ConnectorId,
        grant_type: GrantType,
    ) -> Option<Arc<Connector>> {
        self.allowed(client, id).filter(|connector| self.serves(&connector.id, grant_type))
    }

    /// The connector of this id, if it exists and this client may use it.
    pub fn allowed(&self, client: &Client, id: &ConnectorId) -> Option<Arc<Connector>> {
        self.get(id).filter(|connector| may_use(client, &connector.id))
    }
}

impl Current {
    /// An upstream that rotates its refresh tokens accepts each one once, so a connector that replaces another one of
    /// the same upstream must know the successors of those that were used a moment ago.
    fn share_used_refresh_tokens(&self, newer: &[Arc<Connector>]) {
        for connector in newer {
            let is_same_upstream = |other: &&Arc<Connector>| {
                other.id == connector.id && other.fingerprint == connector.fingerprint
            };
            let replaced = self.list.iter().find(is_same_upstream);
            let used =
                replaced.and_then(|replaced| replaced.refresh.as_ref()?.used_refresh_tokens());
            if let (Some(used), Some(refresh)) = (used, &connector.refresh) {
                refresh.share_used_refresh_tokens(used);
            }
        }
    }
}

fn trusted_headers(connector: &Connector) -> Vec<String> {
    match &connector.login_method {
        LoginMethod::TrustedHeader(method) => {
            method.fields().into_iter().map(str::to_owned).collect()
        }
        LoginMethod::Password(_) | LoginMethod::Redirect(_) | LoginMethod::PostedForm(_) => {
            Vec::new()
        }
    }
}

fn may_use(client: &Client, connector: &ConnectorId) -> bool {
    client.allowed_connectors.is_empty() || client.allowed_connectors.contains(connector)
}
