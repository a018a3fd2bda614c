//! The TokenReview webhook: an API server shows a token, we say whose it is or why it is no good. It
//! is told what it would make of the token itself with `--oidc-…` flags, and no the moment the
//! session or the grant behind it has ended.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::kubernetes::Webhook;
use countersign_core::{Client, ClientId, GrantId, Secret};
use countersign_jose::{Expected, Typ};
use serde_json::Value;

use super::user::{User, user_of};
use crate::{Issuer, IssuerError};

/// Compared against when there is no secret to compare with. Nobody's: it is never accepted.
const NOBODY: &str = "no cluster has this secret, it is only here to be compared";

/// An API server that has proved itself.
#[derive(Clone, Debug)]
pub struct Cluster {
    client: Arc<Client>,
    webhook: Webhook,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    Yes(User),
    /// Why, for the API server's log. Without a reason it would remember the no like a yes.
    No(String),
}

impl Issuer {
    /// `None` is 401, whichever of unknown client, none with a webhook and wrong credential it was;
    /// each costs one comparison.
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

    pub async fn review(&self, cluster: &Cluster, token: &Secret) -> Result<Review, IssuerError> {
        let (client, webhook) = (&*cluster.client, &cluster.webhook);
        // ID tokens alone: an access token is for us, and its receiver could present it to others.
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
