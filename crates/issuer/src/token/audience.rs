//! The audience of tokens: the clients that it names, and what follows from them.

use std::time::Duration;

use countersign_core::{Client, ClientId, Scopes};
use serde::{Deserialize, Serialize};

use super::{TokenError, TokenErrorCode};
use crate::Issuer;

/// One audience is serialized as a string, several as a list, as in Dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(ClientId),
    Many(Vec<ClientId>),
}

impl Audience {
    pub fn iter(&self) -> impl Iterator<Item = &ClientId> {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
        .iter()
    }
}

impl Issuer {
    /// The clients of the `audience:` scopes in their order, then the client itself unless it is one of them. Trust is
    /// checked again here, because the configuration may have changed since `/auth`.
    pub(super) fn audience(
        &self,
        client: &Client,
        scopes: &Scopes,
    ) -> Result<Audience, TokenError> {
        let mut audience: Vec<ClientId> = scopes.audience_clients().collect();
        for peer in &audience {
            if !self.clients.get(peer).is_some_and(|peer| peer.trusts(&client.id)) {
                return Err(TokenError::refused(
                    TokenErrorCode::InvalidScope,
                    format!("Client may not ask for tokens for {peer}."),
                ));
            }
        }
        if !audience.contains(&client.id) {
            audience.push(client.id.clone());
        }
        Ok(match audience.as_slice() {
            [only] => Audience::One(only.clone()),
            _ => Audience::Many(audience),
        })
    }

    /// The shortest lifetime of the client and all audiences: a cluster with short-lived tokens does not receive longer
    /// ones through a peer.
    pub(super) fn lifetime_for(&self, client: &Client, audience: &Audience) -> Duration {
        let named = audience.iter().filter_map(|id| self.clients.get(id));
        let lifetimes = named.map(|named| self.settings.token_lifetime_of(&named));
        lifetimes.fold(self.settings.token_lifetime_of(client), Duration::min)
    }

    /// Whether the tokens have `azp`. OpenID Connect Core 2 requires it with several audiences. A cluster's tokens
    /// always have it, so that `requiredClaims` can distinguish tokens of its own client from those a peer requested.
    pub(super) fn has_azp(&self, audience: &Audience) -> bool {
        matches!(audience, Audience::Many(_)) || self.is_for_cluster(audience)
    }

    /// Whether one of the audiences is a Kubernetes cluster's client.
    pub(super) fn is_for_cluster(&self, audience: &Audience) -> bool {
        let mut clients = audience.iter().filter_map(|id| self.clients.get(id));
        clients.any(|client| client.kubernetes.is_some())
    }
}
