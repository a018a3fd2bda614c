//! The requests of a cluster: token review, whether a token is valid now ([`Review`]), and the current groups of its user
//! as distributed claims (OpenID Connect Core 1.0 section 5.6.2). [`clusters`] has the list of clusters for a user.
//!
//! Both read the grant and its session from the database within the request, so both refuse a token as soon as one of
//! them has ended. No response is cached here; the API server caches it for as long as it is configured to.

mod clusters;
mod groups;
mod user;
pub use clusters::ListedCluster;
pub use user::User;

use std::sync::Arc;
use std::time::Duration;

use countersign_core::kubernetes::Webhook;
use countersign_core::{Client, ClientId, GrantId, Secret};
use countersign_jose::{Expected, Typ};
use serde_json::Value;
use user::{User, user_of};

use crate::{Issuer, IssuerError};

/// Compared against when the client has no webhook secret or is unknown. A match with it is never accepted.
const NOBODY: &str = "no cluster has this secret, it is only here to be compared";

/// An authenticated API server.
#[derive(Clone, Debug)]
pub struct Cluster {
    client: Arc<Client>,
    webhook: Webhook,
}

/// The answer to a TokenReview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    Yes(User),
    /// The reason, for the API server's log. Without a reason the API server caches the refusal.
    No(String),
}

impl Issuer {
    /// Authenticates an API server. `None` is 401: unknown client, a client without a webhook, or a wrong secret. All
    /// three cost one comparison, so that timing does not reveal which.
    pub fn cluster(&self, client: &ClientId, credential: Option<&Secret>) -> Option<Cluster> {
        let client = self.clients.get(client);
        let webhook = client.as_ref().and_then(|c| c.kubernetes.as_ref()?.webhook.as_ref());
        let nobody = Secret::new(NOBODY);
        let expected = webhook.map_or(&nobody, |webhook| &webhook.secret);
        let matched = expected.matches(credential.map_or("", Secret::expose));
        let cluster = (client.clone(), webhook.cloned());
        let (Some(client), Some(webhook)) = cluster else { return None };
        matched.then_some(Cluster { client, webhook })
    }

    /// Reviews an ID token for the cluster. `Err`: whether it is valid could not be determined.
    pub async fn review(&self, cluster: &Cluster, token: &Secret) -> Result<Review, IssuerError> {
        let (client, webhook) = (&*cluster.client, &cluster.webhook);
        // Only ID tokens: the audience of an access token is this server, and its receiver could present it elsewhere.
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            typ: Typ::IdToken,
            now: Some(self.now()),
            leeway: Duration::ZERO,
        };
        let claims = match self.keyring.keys().verifiers.verify(token.expose(), &expected) {
            Ok(claims) => claims,
            Err(refused) => return Ok(no(client, format!("not a good ID token: {refused}"))),
        };
        // OpenID Connect Core 1.0 section 3.1.3.7, step 3.
        if !claims.is_for(client.id.as_str()) {
            return Ok(no(client, format!("the token is not for {}", client.id)));
        }
        let grant = claims.text("grant_id").map(GrantId::new);
        let living = match grant {
            Some(grant) => self.live_grant(&grant).await?,
            None => None,
        };
        let Some((grant, session)) = living else {
            return Ok(no(client, "the session has ended"));
        };
        let mut claims = claims.into_map();
        let wanted = webhook.groups_claim.as_deref() == Some("groups");
        if wanted && !claims.contains_key("groups") && claims.contains_key("_claim_names") {
            let Some(groups) = self.groups_of(&claims).await? else {
                return Ok(no(client, "the upstream does not say which groups there are now"));
            };
            claims.insert("groups".to_owned(), Value::from(groups));
        }
        match user_of(&claims, webhook, self.settings.issuer.as_str()) {
            Ok(user) => {
                tracing::debug!(client = %client.id, session = %session.id, grant = %grant.id, "a token review succeeded");
                Ok(Review::Yes(user))
            }
            Err(reason) => Ok(no(client, reason)),
        }
    }
}

fn no(client: &Client, reason: impl Into<String>) -> Review {
    let reason = reason.into();
    tracing::info!(client = %client.id, reason = %reason, "a token review was refused");
    Review::No(reason)
}
