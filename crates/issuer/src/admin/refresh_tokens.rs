//! The refresh tokens of one person, as Dex's gRPC API lists and revokes them: the person is named by the claim
//! `sub`.

use countersign_core::identity::pair_of;
use countersign_core::{ClientId, ConnectorId, Grant, SessionFilter};

use super::Administrator;
use crate::{Issuer, IssuerError};

/// Sessions of one page while a person's sessions are read.
const PAGE: i64 = 100;

impl Issuer {
    /// Live grants with a refresh token. `None`: `sub` is not a subject of this issuer's form.
    pub async fn refresh_tokens_of(&self, sub: &str) -> Result<Option<Vec<Grant>>, IssuerError> {
        let Some((user_id, connector)) = pair_of(sub).filter(|(user_id, _)| !user_id.is_empty())
        else {
            return Ok(None);
        };
        let person = Some((ConnectorId::new(connector), user_id));
        let filter = SessionFilter { person, ..SessionFilter::default() };
        let (mut grants, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.find_sessions(&filter, after.as_deref(), PAGE).await?;
            for found in page.sessions.iter().filter(|found| found.live_grants > 0) {
                grants.extend(self.store.grants_of(&found.session.id).await?);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        grants.retain(|grant| grant.refreshable && grant.ended.is_none());
        Ok(Some(grants))
    }

    /// Ends the person's grants for one client that have a refresh token, and returns how many ended. `None`: `sub` is
    /// not a subject of this issuer's form.
    pub async fn revoke_refresh_tokens(
        &self,
        who: &Administrator,
        sub: &str,
        client: &ClientId,
    ) -> Result<Option<usize>, IssuerError> {
        let Some(grants) = self.refresh_tokens_of(sub).await? else { return Ok(None) };
        let mut ended = 0;
        for grant in grants.iter().filter(|grant| grant.client == *client) {
            ended += usize::from(self.end_grant(who, &grant.id).await?.is_some());
        }
        Ok(Some(ended))
    }
}
