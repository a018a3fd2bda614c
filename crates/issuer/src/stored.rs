//! Clients, local users and connectors that are stored in the database instead of the configuration file.
//!
//! They are read into memory as a whole when their version changes, so a lookup needs no query. A document is JSON,
//! sealed under the root key.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use countersign_core::stored::canonical_email;
use countersign_core::{
    Client, ClientId, Connector, ConnectorFactory, ConnectorId, GrantType, LocalUsers, Secret,
    StoredConnector, StoredUser,
};
use countersign_jose::RootKeys;
use countersign_store::{LogoutRules, ObjectKind, StoredObject};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use crate::{Issuer, IssuerError};

const PURPOSE: &str = "stored object";

/// A connector with the stored one that it was built from.
type BuiltConnector = (StoredConnector, Connector);

/// Converts stored objects into clients, users and connectors; assembled by the program.
pub struct StoredObjects {
    version: AtomicI64,
    /// Held while objects are read, so that an older result never replaces a newer one. The connectors in use: one that
    /// is read again unchanged stays, with its connections and with what it knows of its upstream.
    reading: Mutex<Vec<BuiltConnector>>,
    /// Whether this configuration is the one in use, whose clients determine the logout rules of the store.
    sets_logout_rules: AtomicBool,
    /// `None`: the password database is not enabled.
    local_users: Option<Arc<dyn LocalUsers>>,
    connectors: Arc<dyn ConnectorFactory>,
}

impl StoredObjects {
    pub fn new(
        local_users: Option<Arc<dyn LocalUsers>>,
        connectors: Arc<dyn ConnectorFactory>,
    ) -> Self {
        Self {
            version: AtomicI64::new(-1),
            reading: Mutex::default(),
            sets_logout_rules: AtomicBool::default(),
            local_users,
            connectors,
        }
    }

    /// `None`: the password database is not enabled.
    pub fn local_users(&self) -> Option<&dyn LocalUsers> {
        self.local_users.as_deref()
    }

    pub fn connectors(&self) -> &dyn ConnectorFactory {
        &*self.connectors
    }

    /// The connectors in the same order, those of `before` where they are unchanged. One that cannot be used is logged
    /// and left out.
    fn built(
        &self,
        stored: Vec<StoredConnector>,
        before: &[BuiltConnector],
    ) -> Vec<BuiltConnector> {
        let build = |stored: StoredConnector| {
            let same = before.iter().find(|(known, _)| builds_the_same(known, &stored));
            let built = match same {
                Some((_, connector)) => Ok(connector.clone()),
                None => self.connectors.build(&stored),
            };
            match built {
                Ok(connector) => Some((stored, connector)),
                Err(reason) => {
                    tracing::error!(connector = %stored.id, reason = %reason, "a stored connector cannot be used");
                    None
                }
            }
        };
        stored.into_iter().filter_map(build).collect()
    }
}

impl Issuer {
    /// Reads the stored objects again if they have changed. An unusable object is logged and skipped, so that it does
    /// not prevent the server from starting.
    pub async fn reload_stored_objects(&self) -> Result<(), IssuerError> {
        let mut in_use = self.stored.reading.lock().await;
        let version = self.store.stored_objects_version().await?;
        if version == self.stored.version.load(Ordering::Acquire) {
            return Ok(());
        }
        let (mut clients, mut users, mut connectors) = (Vec::new(), Vec::new(), Vec::new());
        for object in self.store.stored_objects().await? {
            match object.kind {
                ObjectKind::Client => clients.push(client_of(&self.root, &object)?),
                ObjectKind::User => users.push(user_of(&self.root, &object)?),
                ObjectKind::Connector => connectors.push(connector_of(&self.root, &object)?),
            }
        }
        self.clients.replace_stored(clients);
        if let Some(local) = self.stored.local_users() {
            local.replace_stored(&users);
        }
        let limited = connectors.iter().filter(|connector| !connector.grant_types.is_empty());
        let grant_types = limited.map(|c| (c.id.clone(), known_grant_types(c))).collect();
        *in_use = self.stored.built(connectors, &in_use);
        let built: Vec<_> = in_use.iter().map(|(_, connector)| connector.clone()).collect();
        self.connectors.replace_stored(built, grant_types);
        self.set_logout_rules();
        self.stored.version.store(version, Ordering::Release);
        Ok(())
    }

    /// Called when this configuration comes into use: from now on its clients determine the logout rules of the store,
    /// and those of `before`, which shares the store, no longer do. Waits until `before` has ended reading stored
    /// objects, so that it sets no rules afterwards.
    pub async fn take_over_logout_rules(&self, before: Option<&Self>) {
        if let Some(before) = before {
            let _reading = before.stored.reading.lock().await;
            before.stored.sets_logout_rules.store(false, Ordering::Release);
        }
        let _reading = self.stored.reading.lock().await;
        self.stored.sets_logout_rules.store(true, Ordering::Release);
        self.set_logout_rules();
    }

    /// Called with the lock of reading; does nothing if this configuration is not in use.
    fn set_logout_rules(&self) {
        if !self.stored.sets_logout_rules.load(Ordering::Acquire) {
            return;
        }
        let all: Vec<_> = self.clients.iter().collect();
        let rules = LogoutRules::of(all.iter().map(|client| &**client));
        let _same = self.store.clone().with_logout_rules(rules);
    }
}

impl Issuer {
    /// Seals objects that are sealed under another key again under the first root key, so that the other key can be
    /// removed.
    pub async fn reseal_stored_objects(&self) -> Result<(), IssuerError> {
        for object in self.store.stored_objects().await? {
            if self.root.is_current(object.document.expose()) {
                continue;
            }
            let plain = plain_document(&self.root, &object)?;
            let document = self.root.seal(PURPOSE, &plain)?.into();
            let resealed = StoredObject { document, ..object.clone() };
            // A concurrent change has already sealed the object under the first key.
            self.store.reseal_object(resealed, object.document).await?;
        }
        Ok(())
    }
}

/// Limits of grant types are no part of the connector.
fn builds_the_same(one: &StoredConnector, other: &StoredConnector) -> bool {
    (&one.id, &one.kind, &one.name) == (&other.id, &other.kind, &other.name)
        && one.config.matches(other.config.expose())
}

/// Unknown names are ignored and permit no grant type.
fn known_grant_types(connector: &StoredConnector) -> Vec<GrantType> {
    connector.grant_types.iter().filter_map(|name| GrantType::parse(name)).collect()
}

#[derive(Serialize, Deserialize)]
struct ClientDocument {
    id: ClientId,
    secret: Option<String>,
    name: String,
    logo_url: Option<String>,
    redirect_uris: Vec<String>,
    trusted_peers: Vec<ClientId>,
    public: bool,
    allowed_connectors: Vec<ConnectorId>,
    post_logout_redirect_uris: Vec<String>,
    backchannel_logout_uri: Option<String>,
    ends_with_browser: bool,
}

/// The client as a stored object, sealed under the root key.
pub fn client_object(root: &RootKeys, client: &Client) -> Result<StoredObject, IssuerError> {
    let document = ClientDocument {
        id: client.id.clone(),
        secret: client.secret.as_ref().map(|secret| secret.expose().to_owned()),
        name: client.name.clone(),
        logo_url: client.logo_url.clone(),
        redirect_uris: client.redirect_uris.clone(),
        trusted_peers: client.trusted_peers.clone(),
        public: client.public,
        allowed_connectors: client.allowed_connectors.clone(),
        post_logout_redirect_uris: client.post_logout_redirect_uris.clone(),
        backchannel_logout_uri: client.backchannel_logout_uri.as_ref().map(Url::to_string),
        ends_with_browser: client.ends_with_browser,
    };
    sealed(root, ObjectKind::Client, client.id.as_str(), &document)
}

/// The client in a stored object; an error if the root key cannot open it.
pub fn client_of(root: &RootKeys, object: &StoredObject) -> Result<Client, IssuerError> {
    let document: ClientDocument = opened(root, object)?;
    Ok(Client {
        id: document.id,
        secret: document.secret.map(Secret::from),
        name: document.name,
        logo_url: document.logo_url,
        redirect_uris: document.redirect_uris,
        trusted_peers: document.trusted_peers,
        public: document.public,
        allowed_connectors: document.allowed_connectors,
        post_logout_redirect_uris: document.post_logout_redirect_uris,
        backchannel_logout_uri: document
            .backchannel_logout_uri
            .and_then(|uri| Url::parse(&uri).ok()),
        ends_with_browser: document.ends_with_browser,
        ..Client::default()
    })
}

#[derive(Serialize, Deserialize)]
struct UserDocument {
    email: String,
    hash: String,
    username: String,
    name: String,
    preferred_username: String,
    user_id: String,
    groups: Vec<String>,
    email_verified: bool,
}

/// The user as a stored object, sealed under the root key.
pub fn user_object(root: &RootKeys, user: &StoredUser) -> Result<StoredObject, IssuerError> {
    let document = UserDocument {
        email: user.email.clone(),
        hash: user.hash.expose().to_owned(),
        username: user.username.clone(),
        name: user.name.clone(),
        preferred_username: user.preferred_username.clone(),
        user_id: user.user_id.clone(),
        groups: user.groups.clone(),
        email_verified: user.email_verified,
    };
    sealed(root, ObjectKind::User, &canonical_email(&user.email), &document)
}

/// The user in a stored object; an error if the root key cannot open it.
pub fn user_of(root: &RootKeys, object: &StoredObject) -> Result<StoredUser, IssuerError> {
    let document: UserDocument = opened(root, object)?;
    Ok(StoredUser {
        email: document.email,
        hash: document.hash.into(),
        username: document.username,
        name: document.name,
        preferred_username: document.preferred_username,
        user_id: document.user_id,
        groups: document.groups,
        email_verified: document.email_verified,
    })
}

#[derive(Serialize, Deserialize)]
struct ConnectorDocument {
    id: ConnectorId,
    kind: String,
    name: String,
    config: String,
    grant_types: Vec<String>,
}

/// The connector as a stored object, sealed under the root key.
pub fn connector_object(
    root: &RootKeys,
    connector: &StoredConnector,
) -> Result<StoredObject, IssuerError> {
    let document = ConnectorDocument {
        id: connector.id.clone(),
        kind: connector.kind.clone(),
        name: connector.name.clone(),
        config: connector.config.expose().to_owned(),
        grant_types: connector.grant_types.clone(),
    };
    sealed(root, ObjectKind::Connector, connector.id.as_str(), &document)
}

/// The connector in a stored object; an error if the root key cannot open it.
pub fn connector_of(
    root: &RootKeys,
    object: &StoredObject,
) -> Result<StoredConnector, IssuerError> {
    let document: ConnectorDocument = opened(root, object)?;
    Ok(StoredConnector {
        id: document.id,
        kind: document.kind,
        name: document.name,
        config: document.config.into(),
        grant_types: document.grant_types,
    })
}

fn sealed(
    root: &RootKeys,
    kind: ObjectKind,
    id: &str,
    document: &impl Serialize,
) -> Result<StoredObject, IssuerError> {
    let text = serde_json::to_string(document).map_err(|e| IssuerError::Broken(e.to_string()))?;
    let document = root.seal(PURPOSE, text.as_bytes())?.into();
    Ok(StoredObject { kind, id: id.to_owned(), document })
}

fn opened<T: DeserializeOwned>(root: &RootKeys, object: &StoredObject) -> Result<T, IssuerError> {
    let bytes = plain_document(root, object)?;
    // The cause is omitted because it may quote a secret.
    serde_json::from_slice(&bytes).map_err(|_| broken(object, "is not the JSON that it was"))
}

fn plain_document(
    root: &RootKeys,
    object: &StoredObject,
) -> Result<impl Deref<Target = Vec<u8>> + use<>, IssuerError> {
    let bytes = root.open(PURPOSE, object.document.expose());
    bytes.map_err(|e| broken(object, &format!("cannot be opened: {e}")))
}

fn broken(object: &StoredObject, reason: &str) -> IssuerError {
    IssuerError::Broken(format!("the stored {} {}: {reason}", object.kind.as_str(), object.id))
}
