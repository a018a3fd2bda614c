//! `client_credentials` (RFC 6749 section 4.4): a confidential client receives tokens for itself. No user signs in, so
//! there is no session and no refresh token.
//!
//! With the scope `countersign:admin` a client of `admin.clients` receives a token that only the API accepts. For any
//! other scope `client_credentials` must be in `oauth2.grantTypes`; those tokens are like a user's, with the client as
//! subject.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::{Client, ClientId, GrantType, Scopes, Timestamp, ids, scopes};
use countersign_jose::{Claims, hash};
use serde::Serialize;

use super::audience::Audience;
use super::{ACCESS_TOKEN_TYPE, TokenError, TokenErrorCode, Tokens};
use crate::Issuer;

/// The token has no grant and cannot be revoked, so its lifetime is short.
const LONGEST: Duration = Duration::from_mins(15);

/// `sub` of a client's own tokens. It begins with a word and a colon, which no user's does (those are base64url), so a
/// client cannot be mistaken for a user.
fn subject_of(client: &ClientId) -> String {
    format!("client:{client}")
}

/// RFC 9068 section 2.2, and the claims of an ID token where it is one.
#[derive(Clone, Serialize)]
struct ClientToken {
    iss: String,
    sub: String,
    aud: TokenAudience,
    exp: i64,
    iat: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_hash: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Clone, Serialize)]
#[serde(untagged)]
enum TokenAudience {
    Api(String),
    Clients(Audience),
}

impl Issuer {
    pub(super) async fn client_credentials(
        &self,
        client: &Client,
        requested: Option<Scopes>,
    ) -> Result<Tokens, TokenError> {
        let scope = requested.unwrap_or_default();
        let for_api = scope.has(scopes::ADMIN);
        self.check_client(client, for_api)?;
        let allowed = |scope: &str| match scope {
            scopes::ADMIN => for_api,
            scopes::OPENID | scopes::EMAIL | scopes::PROFILE | scopes::GROUPS => !for_api,
            audience => !for_api && audience.starts_with(scopes::AUDIENCE),
        };
        if let Some(refused) = scope.iter().find(|scope| Scopes::is_known(scope) && !allowed(scope))
        {
            let reason = format!("client_credentials does not give the scope {refused} here.");
            return Err(TokenError::refused(TokenErrorCode::InvalidScope, reason));
        }
        if self.settings.strict_scopes && scope.iter().any(|scope| !Scopes::is_known(scope)) {
            return Err(TokenError::refused(TokenErrorCode::InvalidScope, "Unrecognized scope."));
        }
        let scope = scope.filtered(Scopes::is_known);
        let aud = match for_api {
            true => TokenAudience::Api(self.api_audience()),
            false => TokenAudience::Clients(self.audience(client, &scope)?),
        };
        self.sign_client_tokens(client, scope, aud).await
    }

    /// The client whose own access token has these claims, if it may still obtain such tokens; for introspection.
    pub(super) fn client_of_own_token(&self, claims: &Claims) -> Option<Arc<Client>> {
        let id = ClientId::new(claims.text("client_id")?);
        let client = self.clients.get(&id)?;
        let is_own = claims.text("sub") == Some(subject_of(&id).as_str());
        let for_api = Scopes::parse(claims.text("scope")?).has(scopes::ADMIN);
        (is_own && self.check_client(&client, for_api).is_ok()).then_some(client)
    }

    /// RFC 6749 section 4.4: confidential clients only. A public client is refused even with a secret, because every
    /// copy of it contains that secret.
    fn check_client(&self, client: &Client, for_api: bool) -> Result<(), TokenError> {
        let everybody = self.settings.allows(GrantType::ClientCredentials);
        if !everybody && self.settings.admin.clients.is_empty() {
            let reason = "client_credentials is not enabled (oauth2.grantTypes, admin.clients).";
            return Err(TokenError::refused(TokenErrorCode::UnsupportedGrantType, reason));
        }
        let confidential = !client.public && client.secret.is_some();
        let admitted = match for_api {
            true => self.settings.admin.admits_client(&client.id),
            false => everybody,
        };
        if !confidential || !(admitted || self.settings.admin.admits_client(&client.id)) {
            let reason =
                "Only confidential clients that are allowed it may use client_credentials.";
            return Err(TokenError::refused(TokenErrorCode::UnauthorizedClient, reason));
        }
        if !admitted {
            let reason =
                "client_credentials grants this client the scope countersign:admin and no other.";
            return Err(TokenError::refused(TokenErrorCode::InvalidScope, reason));
        }
        Ok(())
    }

    async fn sign_client_tokens(
        &self,
        client: &Client,
        scope: Scopes,
        aud: TokenAudience,
    ) -> Result<Tokens, TokenError> {
        let now = self.now();
        let lifetime = match &aud {
            TokenAudience::Api(_) => self.settings.token_lifetime_of(client),
            TokenAudience::Clients(audience) => self.lifetime_for(client, audience),
        };
        let until = now + lifetime.min(LONGEST);
        let access = self.client_token(client, &scope, aud, until)?;
        let has_id_token = scope.has(scopes::OPENID);
        let id =
            ClientToken { jti: ids::random_id()?, client_id: None, scope: None, ..access.clone() };
        let keys = self.keyring.keys();
        let (signer, access_token_signer) = (keys.signer(now)?, keys.access_token_signer(now)?);
        let turn = signer.turn(&self.keyring.signing_threads).await?;
        let (turn, claims) = (turn.as_ref(), super::issue::json(&access)?);
        let access_token = access_token_signer.sign(turn, Some(ACCESS_TOKEN_TYPE), claims).await?;
        let id_token = if has_id_token {
            let at_hash = Some(hash::half_hash(signer.algorithm(), &access_token));
            let claims = super::issue::json(&ClientToken { at_hash, ..id })?;
            Some(signer.sign(turn, None, claims).await?)
        } else {
            None
        };
        tracing::info!(event = "tokens_issued", client = %client.id, access_jti = %access.jti, scope = %scope, "tokens of a client's own issued");
        Ok(Tokens {
            access_token,
            issued_token_type: None,
            token_type: "bearer",
            expires_in: until.since(now).as_secs(),
            refresh_token: None,
            id_token,
            scope: scope.to_string(),
        })
    }

    fn client_token(
        &self,
        client: &Client,
        scope: &Scopes,
        aud: TokenAudience,
        until: Timestamp,
    ) -> Result<ClientToken, TokenError> {
        let has_azp = match &aud {
            TokenAudience::Api(_) => false,
            TokenAudience::Clients(audience) => self.has_azp(audience),
        };
        let groups = if scope.has(scopes::GROUPS) { client.own_groups.clone() } else { Vec::new() };
        Ok(ClientToken {
            iss: self.settings.issuer.as_str().to_owned(),
            sub: subject_of(&client.id),
            aud,
            exp: until.secs(),
            iat: self.now().secs(),
            jti: ids::random_id()?,
            azp: has_azp.then(|| client.id.clone()),
            client_id: Some(client.id.clone()),
            scope: Some(scope.to_string()),
            at_hash: None,
            groups,
            name: scope.has(scopes::PROFILE).then(|| client.name.clone()),
        })
    }
}
