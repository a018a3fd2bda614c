//! What a person has allowed applications, and its withdrawal by the person.

use countersign_core::{ClientId, Session};
use countersign_store::StoredConsent;

use crate::account_sessions::AccountEnd;
use crate::{Issuer, IssuerError};

impl Issuer {
    /// The consents of this session's person, in the order of client ids.
    pub async fn account_consents(
        &self,
        mine: &Session,
    ) -> Result<Vec<StoredConsent>, IssuerError> {
        Ok(self.store.consents_of(&mine.identity.user_id, &mine.connector).await?)
    }

    /// Withdraws a consent: the client's grants of this person end in all sessions, and its next login requires
    /// for consent again. `None`: there was neither consent nor grant.
    pub async fn withdraw_account_consent(
        &self,
        mine: &Session,
        client: &ClientId,
    ) -> Result<Option<AccountEnd>, IssuerError> {
        let user_id = &mine.identity.user_id;
        let by = format!("user:{user_id}");
        let withdrawn =
            self.store.withdraw_consent(user_id, &mine.connector, client, &by, self.now()).await?;
        let Some(withdrawn) = withdrawn else { return Ok(None) };
        tracing::info!(event = "consent_withdrawn", client = %client, session = %mine.id, user_id, grants = withdrawn.grants_ended, "a person withdrew a consent");
        Ok(Some(AccountEnd { tokens_until: withdrawn.tokens_until }))
    }
}
