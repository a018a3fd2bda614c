//! Tokens in the authorization response: the implicit and hybrid flows (OpenID Connect Core 3.2 and 3.3), where
//! `oauth2.responseTypes` allows them.

use countersign_core::{Client, ResponseType, Secret, Session, scopes};

use super::TokenError;
use super::code::OFFLINE_LIMIT;
use super::issue::TokenSubject;
use super::new_grant::GrantTerms;
use crate::login::AuthRequest;
use crate::{Issuer, IssuerError};

impl Issuer {
    /// The parameters of the response that hold tokens. They have a grant of their own, without a refresh token
    /// (RFC 6749 section 4.2.2). `code` is for `c_hash`. `None`: the session has ended.
    pub(crate) async fn front_channel_tokens(
        &self,
        client: &Client,
        session: Session,
        request: &AuthRequest,
        code: Option<&str>,
    ) -> Result<Option<Vec<(&'static str, String)>>, IssuerError> {
        let ResponseType { token, id_token, .. } = request.response_type;
        let terms = GrantTerms {
            scopes: request.scopes.filtered(|scope| scope != scopes::OFFLINE_ACCESS),
            nonce: request.nonce.clone(),
            auth_time: session.auth_time,
        };
        let grant = self.new_grant(client, &session, terms).map_err(failed)?;
        let (prepared, grant) = self.prepare_grant(client, grant).map_err(failed)?;
        if self.store.issue_grant(grant.clone(), self.now(), OFFLINE_LIMIT).await?.is_none() {
            return Ok(None);
        }
        let subject = TokenSubject {
            code: code.map(Secret::new),
            has_access_token: token,
            ..TokenSubject::new(grant, session)
        };
        let tokens = self.issue_tokens(prepared, subject).await.map_err(failed)?;
        let mut fields = Vec::new();
        if token {
            fields.push(("access_token", tokens.access_token));
            fields.push(("token_type", tokens.token_type.to_owned()));
            fields.push(("expires_in", tokens.expires_in.to_string()));
            fields.push(("scope", tokens.scope));
        }
        fields.extend(tokens.id_token.filter(|_| id_token).map(|token| ("id_token", token)));
        Ok(Some(fields))
    }
}

/// What is refused here was allowed when the request was parsed, so the configuration has changed since.
fn failed(error: TokenError) -> IssuerError {
    match error {
        TokenError::Failed(error) => error,
        TokenError::Refused(code, reason) => {
            IssuerError::Broken(format!("{}: {reason}", code.as_str()))
        }
    }
}
