//! Creates, changes and deletes clients, local users and connectors of the database, as Dex's gRPC API does.
//!
//! Objects of the configuration file are read-only. A change takes effect in this process at once, and in other
//! replicas within seconds, when they next read the version of the stored objects.

use countersign_core::client::registration::check_client;
use countersign_core::event::EventKind;
use countersign_core::stored::canonical_email;
use countersign_core::{
    Client, ClientId, ConnectorId, Event, GrantType, LocalUsers, Secret, StoredConnector,
    StoredUser,
};
use countersign_store::{ObjectChange, ObjectKind, StoredObject};
use serde_json::json;

use super::Administrator;
use crate::stored::{
    client_object, client_of, connector_object, connector_of, user_object, user_of,
};
use crate::{Issuer, IssuerError};

/// Attempts at a change when other requests change the same object concurrently.
const MAX_ATTEMPTS: u32 = 5;

/// The outcome of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectOutcome {
    Done,
    AlreadyExists,
    NotFound,
    /// The object is defined in the configuration file, which takes precedence.
    ReadOnly,
    /// The object would not be usable; the reason, without secrets.
    Invalid(String),
}

/// Why a changed object was not stored.
enum ChangeError {
    /// The object would be invalid, for this reason.
    Invalid(String),
    Failed(IssuerError),
}

impl From<IssuerError> for ChangeError {
    fn from(error: IssuerError) -> Self {
        Self::Failed(error)
    }
}

impl Issuer {
    /// Creates a client, unless its registration is not accepted by [`check_client`].
    pub async fn create_client(
        &self,
        who: &Administrator,
        client: &Client,
    ) -> Result<ObjectOutcome, IssuerError> {
        if self.clients.is_configured(&client.id) {
            return Ok(ObjectOutcome::ReadOnly);
        }
        if let Err(reason) = check_client(client) {
            return Ok(ObjectOutcome::Invalid(reason));
        }
        self.create_object(who, client_object(&self.root, client)?).await
    }

    /// `change` may be called more than once, because a conflicting change by another request causes a retry.
    pub async fn change_client(
        &self,
        who: &Administrator,
        id: &ClientId,
        change: impl Fn(&mut Client),
    ) -> Result<ObjectOutcome, IssuerError> {
        if self.clients.is_configured(id) {
            return Ok(ObjectOutcome::ReadOnly);
        }
        self.change_object(who, ObjectKind::Client, id.as_str(), |object| {
            let mut client = client_of(&self.root, object)?;
            change(&mut client);
            match check_client(&client) {
                Ok(()) => Ok(client_object(&self.root, &client)?),
                Err(reason) => Err(ChangeError::Invalid(reason)),
            }
        })
        .await
    }

    /// Deletes a client of the database. Its tokens are refused from then on.
    pub async fn delete_client(
        &self,
        who: &Administrator,
        id: &ClientId,
    ) -> Result<ObjectOutcome, IssuerError> {
        if self.clients.is_configured(id) {
            return Ok(ObjectOutcome::ReadOnly);
        }
        self.delete_object(who, ObjectKind::Client, id.as_str()).await
    }

    pub async fn create_user(
        &self,
        who: &Administrator,
        user: &StoredUser,
    ) -> Result<ObjectOutcome, IssuerError> {
        if let Some(refused) = self.refused_user(user) {
            return Ok(refused);
        }
        self.create_object(who, user_object(&self.root, user)?).await
    }

    /// `change` may be called more than once. It must not change the e-mail address.
    pub async fn change_user(
        &self,
        who: &Administrator,
        email: &str,
        change: impl Fn(&mut StoredUser),
    ) -> Result<ObjectOutcome, IssuerError> {
        if self.is_configured_user(email) {
            return Ok(ObjectOutcome::ReadOnly);
        }
        self.change_object(who, ObjectKind::User, &canonical_email(email), |object| {
            let mut user = user_of(&self.root, object)?;
            change(&mut user);
            match self.refused_user(&user) {
                None => Ok(user_object(&self.root, &user)?),
                Some(ObjectOutcome::Invalid(reason)) => Err(ChangeError::Invalid(reason)),
                Some(_) => Err(ChangeError::Invalid(
                    "the configuration file has a user of this address".to_owned(),
                )),
            }
        })
        .await
    }

    pub async fn delete_user(
        &self,
        who: &Administrator,
        email: &str,
    ) -> Result<ObjectOutcome, IssuerError> {
        if self.is_configured_user(email) {
            return Ok(ObjectOutcome::ReadOnly);
        }
        self.delete_object(who, ObjectKind::User, &canonical_email(email)).await
    }

    /// Whether there is a local user with this e-mail address, in the configuration file or the database.
    pub async fn has_user(&self, email: &str) -> Result<bool, IssuerError> {
        if self.is_configured_user(email) {
            return Ok(true);
        }
        let stored = self.store.stored_object(ObjectKind::User, &canonical_email(email)).await?;
        Ok(stored.is_some())
    }

    /// All local users, those of the configuration file first, without their password hashes.
    pub async fn users(&self) -> Result<Vec<StoredUser>, IssuerError> {
        let local = self.stored.local_users();
        let mut users = local.map(LocalUsers::configured).unwrap_or_default();
        for object in self.store.stored_objects().await? {
            if object.kind == ObjectKind::User && !self.is_configured_user(&object.id) {
                let user = user_of(&self.root, &object)?;
                users.push(StoredUser { hash: Secret::default(), ..user });
            }
        }
        Ok(users)
    }

    pub async fn create_connector(
        &self,
        who: &Administrator,
        connector: &StoredConnector,
    ) -> Result<ObjectOutcome, IssuerError> {
        if self.connectors.is_configured(&connector.id) {
            return Ok(ObjectOutcome::ReadOnly);
        }
        if let Err(reason) = self.check_connector(connector) {
            return Ok(ObjectOutcome::Invalid(reason));
        }
        self.create_object(who, connector_object(&self.root, connector)?).await
    }

    /// `change` may be called more than once, because a conflicting change by another request causes a retry.
    pub async fn change_connector(
        &self,
        who: &Administrator,
        id: &ConnectorId,
        change: impl Fn(&mut StoredConnector),
    ) -> Result<ObjectOutcome, IssuerError> {
        if self.connectors.is_configured(id) {
            return Ok(ObjectOutcome::ReadOnly);
        }
        self.change_object(who, ObjectKind::Connector, id.as_str(), |object| {
            let mut connector = connector_of(&self.root, object)?;
            change(&mut connector);
            match self.check_connector(&connector) {
                Ok(()) => Ok(connector_object(&self.root, &connector)?),
                Err(reason) => Err(ChangeError::Invalid(reason)),
            }
        })
        .await
    }

    pub async fn delete_connector(
        &self,
        who: &Administrator,
        id: &ConnectorId,
    ) -> Result<ObjectOutcome, IssuerError> {
        if self.connectors.is_configured(id) {
            return Ok(ObjectOutcome::ReadOnly);
        }
        self.delete_object(who, ObjectKind::Connector, id.as_str()).await
    }

    /// The connectors of the database, except those whose id the configuration file also defines.
    pub async fn stored_connectors(&self) -> Result<Vec<StoredConnector>, IssuerError> {
        let objects = self.store.stored_objects().await?;
        let connectors = objects.iter().filter(|object| object.kind == ObjectKind::Connector);
        let connectors = connectors.map(|object| connector_of(&self.root, object));
        let mut connectors = connectors.collect::<Result<Vec<_>, _>>()?;
        connectors.retain(|connector| !self.connectors.is_configured(&connector.id));
        Ok(connectors)
    }

    fn is_configured_user(&self, email: &str) -> bool {
        self.stored.local_users().is_some_and(|local| local.is_configured(email))
    }

    /// Why the user could not sign in; `None` when they can.
    fn refused_user(&self, user: &StoredUser) -> Option<ObjectOutcome> {
        let Some(local) = self.stored.local_users() else {
            let reason = "enablePasswordDB is not true in the configuration file";
            return Some(ObjectOutcome::Invalid(reason.to_owned()));
        };
        if local.is_configured(&user.email) {
            return Some(ObjectOutcome::ReadOnly);
        }
        if canonical_email(&user.email).is_empty() {
            return Some(ObjectOutcome::Invalid("its email is empty".to_owned()));
        }
        local.fingerprint(user).err().map(ObjectOutcome::Invalid)
    }

    fn check_connector(&self, connector: &StoredConnector) -> Result<(), String> {
        let StoredConnector { id, kind, name, grant_types, .. } = connector;
        for (member, text) in [("id", id.as_str()), ("type", kind), ("name", name)] {
            if text.is_empty() {
                return Err(format!("its {member} is empty"));
            }
        }
        if let Some(unknown) = grant_types.iter().find(|name| GrantType::parse(name).is_none()) {
            return Err(format!("{unknown:?} is no grant type"));
        }
        self.stored.connectors().build(connector).map(|_| ())
    }

    async fn create_object(
        &self,
        who: &Administrator,
        object: StoredObject,
    ) -> Result<ObjectOutcome, IssuerError> {
        let event = self.object_event(who, EventKind::StoredObjectCreated, object.kind, &object.id);
        match self.store.create_object(ObjectChange { object, event: event.clone() }).await? {
            true => self.take_effect(&event).await,
            false => Ok(ObjectOutcome::AlreadyExists),
        }
    }

    /// `change` returns the new document of the object, or why the object would be invalid.
    async fn change_object(
        &self,
        who: &Administrator,
        kind: ObjectKind,
        id: &str,
        change: impl Fn(&StoredObject) -> Result<StoredObject, ChangeError>,
    ) -> Result<ObjectOutcome, IssuerError> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(previous) = self.store.stored_object(kind, id).await? else {
                return Ok(ObjectOutcome::NotFound);
            };
            let object = match change(&previous) {
                Ok(object) => object,
                Err(ChangeError::Invalid(reason)) => return Ok(ObjectOutcome::Invalid(reason)),
                Err(ChangeError::Failed(error)) => return Err(error),
            };
            let event = self.object_event(who, EventKind::StoredObjectChanged, kind, id);
            let change = ObjectChange { object, event: event.clone() };
            if self.store.replace_object(change, previous.document).await? {
                return self.take_effect(&event).await;
            }
        }
        Err(IssuerError::Unavailable {
            what: format!("the {} {id}", kind.as_str()),
            cause: "it is being changed by others at the same time".to_owned(),
        })
    }

    async fn delete_object(
        &self,
        who: &Administrator,
        kind: ObjectKind,
        id: &str,
    ) -> Result<ObjectOutcome, IssuerError> {
        let event = self.object_event(who, EventKind::StoredObjectDeleted, kind, id);
        let object = StoredObject { kind, id: id.to_owned(), document: Secret::default() };
        match self.store.delete_object(ObjectChange { object, event: event.clone() }).await? {
            true => self.take_effect(&event).await,
            false => Ok(ObjectOutcome::NotFound),
        }
    }

    async fn take_effect(&self, event: &Event) -> Result<ObjectOutcome, IssuerError> {
        let (object, actor) = (&event.details, &event.actor);
        tracing::warn!(event = event.kind.as_str(), %object, actor, address = event.ip, "changed by an administrator");
        self.reload_stored_objects().await?;
        Ok(ObjectOutcome::Done)
    }

    fn object_event(
        &self,
        who: &Administrator,
        event: EventKind,
        kind: ObjectKind,
        id: &str,
    ) -> Event {
        let mut event = Event::new(self.now(), event, who.actor());
        event.ip.clone_from(&who.ip);
        event.details = json!({ "kind": kind.as_str(), "id": id });
        match kind {
            ObjectKind::Client => event.client = Some(ClientId::new(id)),
            ObjectKind::Connector => event.connector = Some(ConnectorId::new(id)),
            ObjectKind::User => {}
        }
        event
    }
}
