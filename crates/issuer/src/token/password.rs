//! `password` (RFC 6749 section 4.3): a client that has a user's password authenticates them through the connector of
//! `oauth2.passwordConnector`. Intended only for programs without a browser: the client sees the password.

use countersign_core::connector::LoginMethod;
use countersign_core::{Client, GrantType, Scopes, scopes};

use super::issue::TokenSubject;
use super::new_grant::GrantTerms;
use super::{TokenError, TokenErrorCode, Tokens};
use crate::Issuer;
use crate::login::{Browser, PasswordOutcome, PasswordSubmission};

/// A password grant request.
pub struct PasswordRequest {
    pub submission: PasswordSubmission,
    pub scope: Option<Scopes>,
    pub nonce: Option<String>,
    /// The client program; attempts are counted by its address.
    pub caller: Browser,
}

impl std::fmt::Debug for PasswordRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordRequest")
    }
}

impl Issuer {
    pub(super) async fn password_grant(
        &self,
        client: &Client,
        request: PasswordRequest,
    ) -> Result<Tokens, TokenError> {
        let connector = self.settings.password_connector.as_ref();
        let connector = connector.filter(|_| self.settings.allows(GrantType::Password));
        let Some(connector) = connector else {
            let reason = "The password grant is not enabled (oauth2.passwordConnector)";
            return Err(TokenError::refused(TokenErrorCode::UnsupportedGrantType, reason));
        };
        let connector = self.connectors.allowed_for(client, connector, GrantType::Password);
        let usable = connector.filter(|c| matches!(c.login_method, LoginMethod::Password(_)));
        let Some(connector) = usable else {
            let reason = "This client may not use the password grant at this connector.";
            return Err(TokenError::refused(TokenErrorCode::UnauthorizedClient, reason));
        };
        let requested = request.scope.unwrap_or_else(|| Scopes::parse(scopes::OPENID));
        let scopes = self.requested_scopes(&requested, client).map_err(|error| {
            TokenError::refused(TokenErrorCode::InvalidScope, error.description)
        })?;
        if scopes.has(scopes::ADMIN) {
            let reason = "The password grant does not give the scope countersign:admin.";
            return Err(TokenError::refused(TokenErrorCode::InvalidScope, reason));
        }
        let user =
            match self.check_password(&connector, &request.submission, &request.caller).await? {
                PasswordOutcome::Authenticated(user) => *user,
                PasswordOutcome::Refused(_) => {
                    return Err(TokenError::invalid_grant("Invalid username or password."));
                }
                PasswordOutcome::RateLimited(_) => {
                    let reason = "Too many attempts for this account or from this address.";
                    return Err(TokenError::refused(TokenErrorCode::TooManyRequests, reason));
                }
            };
        let blocked = || TokenError::invalid_grant("This account may not sign in.");
        let new_session = self.new_session(connector, user, &request.caller).await?;
        let new_session = new_session.ok_or_else(blocked)?;
        let session = new_session.session();
        let auth_time = session.auth_time;
        let terms = GrantTerms { scopes, nonce: request.nonce, auth_time };
        let grant = self.new_grant(client, &session, terms)?;
        let (prepared, grant) = self.prepare_grant(client, grant)?;
        let subject = TokenSubject::new(grant.clone(), session);
        let (signed, generation) = (self.sign_tokens(prepared, subject).await?, grant.generation);
        if !self.store_new_session(new_session, grant).await? {
            return Err(blocked());
        }
        Ok(self.issue(signed, generation))
    }
}
