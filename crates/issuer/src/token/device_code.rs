//! `urn:ietf:params:oauth:grant-type:device_code` (RFC 8628 sections 3.4 and 3.5): the device polls until a user has
//! decided. Polling writes nothing; the redemption writes once.

use countersign_core::session::{EndReason, Ended};
use countersign_core::{
    Client, DeviceRequestStatus, GrantId, GrantType, Secret, Session, SessionId,
};
use countersign_jose::hash;
use countersign_store::RedeemDeviceCodeOutcome;

use super::code::check_verifier;
use super::issue::TokenSubject;
use super::new_grant::{GrantTerms, OFFLINE_LIMIT, log_dropped};
use super::{TokenError, TokenErrorCode, Tokens};
use crate::Issuer;

const INVALID: &str = "Invalid Device code.";
const OVER: &str = "The session that approved this device has ended.";

impl Issuer {
    /// `authorization_pending` until a user has decided. A second use ends the grant of the first.
    pub(super) async fn redeem_device_code(
        &self,
        client: &Client,
        device_code: &Secret,
        verifier: Option<&Secret>,
    ) -> Result<Tokens, TokenError> {
        if !self.settings.allows(GrantType::DeviceCode) {
            let reason = "The device authorization grant is not enabled";
            return Err(TokenError::refused(TokenErrorCode::UnsupportedGrantType, reason));
        }
        let device_code_hash = hash::sha256(device_code.expose());
        let found = self.store.device_request_by_device_code(&device_code_hash).await?;
        // A request of another client has no effect on the code and does not reveal its state.
        let Some(request) = found.filter(|request| request.client == client.id) else {
            return Err(TokenError::invalid_grant(INVALID));
        };
        let now = self.now();
        let (session, auth_time) = match request.status {
            DeviceRequestStatus::Used { grant } => {
                return Err(self.device_code_used_twice(grant.as_ref()).await?);
            }
            _ if now >= request.expires_at => {
                let reason = "The device code has expired: start again.";
                return Err(TokenError::refused(TokenErrorCode::ExpiredToken, reason));
            }
            _ if self.attempts.polls_too_fast(&device_code_hash, now) => {
                let reason = "Polled too early: wait 5 seconds longer between requests.";
                return Err(TokenError::refused(TokenErrorCode::SlowDown, reason));
            }
            DeviceRequestStatus::Pending => {
                let reason = "Nobody has approved this device yet.";
                return Err(TokenError::refused(TokenErrorCode::AuthorizationPending, reason));
            }
            DeviceRequestStatus::Denied => {
                let reason = "The person denied the request.";
                return Err(TokenError::refused(TokenErrorCode::AccessDenied, reason));
            }
            DeviceRequestStatus::Approved { session, auth_time } => (session, auth_time),
        };
        check_verifier(request.challenge.as_ref(), verifier)?;
        let session = self.approving_session(client, &session).await?;
        let terms = GrantTerms { scopes: request.scopes, nonce: None, auth_time };
        let grant = self.new_grant(client, &session, terms)?;
        let (prepared, grant) = self.prepare_grant(client, grant)?;
        let subject = TokenSubject::new(grant.clone(), session);
        let (signed, generation) = (self.sign_tokens(prepared, subject).await?, grant.generation);
        let redeemed =
            self.store.redeem_device_code(&device_code_hash, grant, now, OFFLINE_LIMIT).await?;
        match redeemed {
            RedeemDeviceCodeOutcome::Granted { dropped } => log_dropped(signed.session(), &dropped),
            RedeemDeviceCodeOutcome::AlreadyUsed { grant } => {
                return Err(self.device_code_used_twice(grant.as_ref()).await?);
            }
            RedeemDeviceCodeOutcome::SessionEnded => return Err(TokenError::invalid_grant(OVER)),
            RedeemDeviceCodeOutcome::NotRedeemable => {
                return Err(TokenError::invalid_grant(INVALID));
            }
        }
        Ok(self.issue(signed, generation))
    }

    async fn approving_session(
        &self,
        client: &Client,
        id: &SessionId,
    ) -> Result<Session, TokenError> {
        match self.store.session(id).await? {
            Some(session) if self.is_valid(Some(client), &session).await? => Ok(session),
            _ => Err(TokenError::invalid_grant(OVER)),
        }
    }

    /// As for an authorization code (RFC 6749 section 4.1.2): a second use revokes the tokens issued for the first.
    async fn device_code_used_twice(
        &self,
        grant: Option<&GrantId>,
    ) -> Result<TokenError, TokenError> {
        if let Some(grant) = grant {
            let ended =
                Ended { at: self.now(), by: "system".to_owned(), reason: EndReason::CodeReused };
            if self.store.end_grant(grant, ended, None).await?.is_some() {
                tracing::warn!(event = "grant_ended", grant = %grant, reason = "code_reused", "a device code was used twice");
            }
        }
        Ok(TokenError::invalid_grant(INVALID))
    }
}
