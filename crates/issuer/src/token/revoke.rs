//! Revocation (RFC 7009): a client revokes one of its tokens, and with it the whole grant.

use countersign_core::session::{EndReason, Ended};
use countersign_core::{Client, Secret};

use crate::{Issuer, IssuerError};

impl Issuer {
    /// A refresh or an access token of this client ends its grant. Anything else is nothing to revoke,
    /// and the response is the same (RFC 7009 section 2.2).
    pub async fn revoke(&self, client: &Client, token: &Secret) -> Result<(), IssuerError> {
        let Some(grant) = self.grant_named_by(token).await? else { return Ok(()) };
        let Some((grant, session)) = self.store.grant(&grant).await? else { return Ok(()) };
        if grant.client != client.id {
            tracing::warn!(client = %client.id, grant = %grant.id, "a token of another client was to be revoked");
            return Ok(());
        }
        let by = format!("client:{}", client.id);
        let ended = Ended { at: self.now(), by, reason: EndReason::Revoked };
        if let Some(end) = self.store.end_grant(&grant.id, ended, None).await? {
            tracing::info!(event = "grant_ended", grant = %grant.id, session = %session.id, client = %client.id, reason = "revoked", tokens_until = %end.tokens_until, "revoked by its client");
        }
        Ok(())
    }
}
