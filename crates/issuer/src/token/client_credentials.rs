//! `client_credentials` (RFC 6749 section 4.4): a client of `admin.clients` gets a token of its own for
//! the API. Nobody signed in, so there is no session, no ID token and no refresh token, and the token
//! is good for nothing else.

use std::time::Duration;

use countersign_core::{Client, Scopes, ids, scopes};
use serde::Serialize;

use super::{ACCESS_TOKEN_TYPE, TokenError, TokenErrorCode, Tokens};
use crate::Issuer;
use crate::keyring::run_blocking;

/// No end reaches such a token, because nothing stands behind it that could be ended: it dies soon.
const LONGEST: Duration = Duration::from_secs(15 * 60);

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
        // Only what is announced is there.
        if self.settings.admin.clients.is_empty() {
            let why = "client_credentials is for clients of admin.clients, and there are none.";
            return Err(TokenError::refused(TokenErrorCode::UnsupportedGrantType, why));
        }
        // A public client has proved nothing, also if it has a secret: that is in everybody's copy of it
        // (RFC 6749 section 4.4: confidential clients only).
        let confidential = !client.public && client.secret.is_some();
        if !confidential || !self.settings.admin.admits_client(&client.id) {
            return Err(TokenError::refused(
                TokenErrorCode::UnauthorizedClient,
                "Only confidential clients of admin.clients may use client_credentials.",
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
        let until = now + self.settings.token_lifetime_of(client).min(LONGEST);
        let (jti, api) = (ids::random_id()?, self.api_audience());
        let claims = AccessToken {
            iss: self.settings.issuer.as_str(),
            sub: format!("client:{}", client.id),
            aud: &api,
            exp: until.secs(),
            iat: now.secs(),
            jti: &jti,
            client_id: client.id.as_str(),
            scope: scope.to_string(),
        };
        let claims = super::issue::json(&claims)?;
        let signer = self.keyring.keys().signer(now)?;
        let signed = run_blocking(move || signer.sign(Some(ACCESS_TOKEN_TYPE), &claims)).await?;
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
