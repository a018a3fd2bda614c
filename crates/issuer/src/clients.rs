//! The registered clients, and client authentication at the token endpoint.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use countersign_core::{Client, ClientId, Secret, client};

use crate::login::AuthRequest;

/// The clients of the configuration file and those of the database. A lookup does not query the database: the stored
/// clients are held in memory and replaced as a whole when they change.
#[derive(Debug)]
pub struct Clients {
    configured: HashMap<ClientId, Arc<Client>>,
    stored: RwLock<Arc<HashMap<ClientId, Arc<Client>>>>,
    /// The client of logins to the account pages. It is in neither map, so no request can use its id.
    account_pages: Arc<Client>,
}

impl Default for Clients {
    fn default() -> Self {
        Self::new([])
    }
}

impl Clients {
    pub fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        let account_pages =
            Client { id: ClientId::new(client::OWN_PAGES), public: true, ..Client::default() };
        let stored = RwLock::default();
        Self { configured: by_id(clients), stored, account_pages: Arc::new(account_pages) }
    }

    /// A client of the configuration file takes precedence over a stored one with the same id, as in Dex.
    pub fn get(&self, id: &ClientId) -> Option<Arc<Client>> {
        self.configured.get(id).cloned().or_else(|| self.stored().get(id).cloned())
    }

    /// Whether the configuration file defines the client.
    pub fn is_configured(&self, id: &ClientId) -> bool {
        self.configured.contains_key(id)
    }

    /// All clients, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Client>> {
        let stored: Vec<_> = self.stored().values().cloned().collect();
        let stored = stored.into_iter().filter(|client| !self.is_configured(&client.id));
        self.configured.values().cloned().chain(stored)
    }

    /// Replaces all stored clients.
    pub fn replace_stored(&self, clients: impl IntoIterator<Item = Client>) {
        let clients = Arc::new(by_id(clients));
        *self.stored.write().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    fn stored(&self) -> Arc<HashMap<ClientId, Arc<Client>>> {
        Arc::clone(&self.stored.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The client this authorization request is for: a registered one, or that of the account pages.
    pub fn of_request(&self, request: &AuthRequest) -> Option<Arc<Client>> {
        match request.account_page {
            Some(_) => Some(Arc::clone(&self.account_pages)),
            None => self.get(&request.client),
        }
    }

    pub(crate) fn account_pages(&self) -> &Client {
        &self.account_pages
    }

    pub fn len(&self) -> usize {
        self.iter().count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `None` is `invalid_client`: the client is unknown, uses another authentication method, or its secret is wrong.
    /// All three cost one comparison, so that timing does not reveal which.
    pub fn authenticate(&self, proof: &ClientProof) -> Option<Arc<Client>> {
        let client = self.get(&proof.id);
        let nobody = Secret::new(NOBODY);
        let expected = client.as_ref().and_then(|c| c.secret.as_ref());
        let presented = proof.secret.as_ref().map_or("", Secret::expose);
        let matched = expected.unwrap_or(&nobody).matches(presented);
        let client = client.as_ref()?;
        let proven = if client.public {
            proof.secret.as_ref().is_none_or(Secret::is_empty) && client.secret.is_none()
                || expected.is_some() && matched
        } else {
            expected.is_some() && !presented.is_empty() && matched
        };
        proven.then(|| Arc::clone(client))
    }
}

fn by_id(clients: impl IntoIterator<Item = Client>) -> HashMap<ClientId, Arc<Client>> {
    clients.into_iter().map(|client| (client.id.clone(), Arc::new(client))).collect()
}

/// Compared against when the client has no secret or is unknown. A match with it is never accepted.
const NOBODY: &str = "no client has this secret, it is only here to be compared";

/// The client credentials of a request, from one authentication method (RFC 6749 section 2.3.1).
#[derive(Clone, Debug)]
pub struct ClientProof {
    pub id: ClientId,
    /// From the Authorization header or the body; `None` for method `none`.
    pub secret: Option<Secret>,
}

#[cfg(test)]
mod tests {
    use super::{ClientProof, Clients};
    use countersign_core::{Client, ClientId, Secret};

    fn clients() -> Clients {
        let client = |id: &str, secret: Option<&str>, public| Client {
            id: ClientId::new(id),
            secret: secret.map(Secret::new),
            name: id.into(),
            public,
            ..Client::default()
        };
        Clients::new([
            client("web", Some("s3cret"), false),
            client("cli", None, true),
            client("argo-cd-cli", Some("odd"), true),
        ])
    }

    fn accepted(id: &str, secret: Option<&str>) -> bool {
        let proof = ClientProof { id: ClientId::new(id), secret: secret.map(Secret::new) };
        clients().authenticate(&proof).is_some()
    }

    #[test]
    fn a_confidential_client_needs_its_secret() {
        assert!(accepted("web", Some("s3cret")));
        for wrong in [None, Some(""), Some("s3cre"), Some(super::NOBODY)] {
            assert!(!accepted("web", wrong));
        }
    }

    #[test]
    fn a_public_client_needs_no_credentials() {
        assert!(accepted("cli", None));
        assert!(accepted("cli", Some("")));
        assert!(!accepted("cli", Some("guess")));
        assert!(!accepted("cli", Some(super::NOBODY)));
        assert!(accepted("argo-cd-cli", Some("odd")));
        assert!(!accepted("argo-cd-cli", None));
    }

    #[test]
    fn an_unknown_client_is_refused_like_a_wrong_secret() {
        assert!(!accepted("nobody", Some(super::NOBODY)));
        assert!(!accepted("nobody", None));
    }
}
