//! `client_credentials` (RFC 6749 section 4.4): a client of `admin.clients` gets a token of its own for
//! the API. Nobody signed in, so there is no session, no ID token and no refresh token, and the token
//! is good for nothing else.

use countersign_core::{Client, Scopes, ids, scopes};
use serde::Serialize;

use super::{ACCESS_TOKEN_TYPE, TokenError, TokenErrorCode, Tokens};
use crate::Issuer;
use crate::keyring::off_the_async_threads;

/// RFC 9068 section 2.2. `sub` begins with a word and a colon, which no person's can
/// (they are base64url): a client never passes for somebody.
#[derive(Serialize)]
struct AccessToken<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: &'a str,
    client_id: &'a str,
    scope: String,
}

impl Issuer {
    pub(super) async fn client_credentials(
        &self,
        client: &Client,
        asked: Option<Scopes>,
    ) -> Result<Tokens, TokenError> {
        // A public client has proved nothing (RFC 6749 section 4.4: confidential clients only).
        if client.secret.is_none() || !self.settings.admin.admits_client(&client.id) {
            return Err(TokenError::refused(
                TokenErrorCode::UnauthorizedClient,
                "Only clients of admin.clients with a secret may use client_credentials.",
            ));
        }
        let scope = asked.unwrap_or_default();
        if scope.iter().any(|scope| scope != scopes::ADMIN) || scope.is_empty() {
            return Err(TokenError::refused(
                TokenErrorCode::InvalidScope,
                "client_credentials gives the scope countersign:admin and no other.",
            ));
        }
        let now = self.now();
        let until = now + self.settings.token_lifetime_of(client);
        let jti = ids::random_id()?;
        let claims = AccessToken {
            iss: self.settings.issuer.as_str(),
            sub: format!("client:{}", client.id),
            aud: client.id.as_str(),
            exp: until.secs(),
            iat: now.secs(),
            jti: &jti,
            client_id: client.id.as_str(),
            scope: scope.to_string(),
        };
        let claims = super::mint::json(&claims)?;
        let signer = self.keyring.keys().signer(now)?;
        let signed =
            off_the_async_threads(move || signer.sign(Some(ACCESS_TOKEN_TYPE), &claims)).await?;
        tracing::info!(event = "tokens_issued", client = %client.id, access_jti = %jti, scope = %scope, "a client's own token issued");
        Ok(Tokens {
            access_token: signed?,
            token_type: "bearer",
            expires_in: until.since(now).as_secs(),
            refresh_token: None,
            id_token: None,
            scope: scope.to_string(),
        })
    }
}
