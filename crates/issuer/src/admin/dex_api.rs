//! Operations that only Dex's gRPC API has: the refresh tokens of the user named by a `sub` claim, and verifying a
//! local user's password under the same attempt limits as the login form.

use std::net::IpAddr;
use std::time::Duration;

use countersign_core::identity::pair_of;
use countersign_core::{ClientId, ConnectorId, Grant, Secret, SessionFilter};

use super::Administrator;
use crate::login::{Browser, PasswordOutcome, PasswordSubmission};
use crate::{Issuer, IssuerError};

/// Sessions read by one query while a user's sessions are listed.
const PAGE: i64 = 100;

impl Issuer {
    /// The user's live grants with a refresh token. `None`: `sub` does not have the format of this issuer.
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

/// The connector of local users, as in Dex.
const LOCAL: &str = "local";

/// The outcome of `VerifyPassword`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordVerification {
    Correct,
    Wrong,
    /// There is no local user with this e-mail address.
    UnknownUser,
    /// Too many attempts for this account or from this address: the password was not verified.
    RateLimited(Duration),
}

impl Issuer {
    /// Takes as long for an unknown user as for a known one. `address` is that of the gRPC client.
    pub async fn verify_password(
        &self,
        email: &str,
        password: Secret,
        address: IpAddr,
    ) -> Result<PasswordVerification, IssuerError> {
        let Some(connector) = self.connectors.get(&ConnectorId::new(LOCAL)) else {
            return Ok(PasswordVerification::UnknownUser);
        };
        let submission = PasswordSubmission { login: email.to_owned(), password };
        let caller =
            Browser { cookie: None, address, user_agent: String::new(), device_cookie: None };
        match self.check_password(&connector, &submission, &caller).await? {
            PasswordOutcome::Authenticated(_) => Ok(PasswordVerification::Correct),
            PasswordOutcome::RateLimited(wait) => Ok(PasswordVerification::RateLimited(wait)),
            PasswordOutcome::Refused(_) if self.has_user(email).await? => {
                Ok(PasswordVerification::Wrong)
            }
            PasswordOutcome::Refused(_) => Ok(PasswordVerification::UnknownUser),
        }
    }
}
