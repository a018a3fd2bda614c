//! Creates a grant for a code, device code, password or subject token, and the tokens in an authorization response: the
//! implicit and hybrid flows (OpenID Connect Core 3.2 and 3.3), where `oauth2.responseTypes` allows them.

use countersign_core::{
    Client, Grant, GrantId, GrantType, ResponseType, Scopes, Secret, Session, Timestamp, scopes,
};

use super::TokenError;
use super::issue::{PreparedTokens, TokenSubject};
use crate::login::AuthRequest;
use crate::{Issuer, IssuerError};

/// Maximum number of live offline grants per session and client; beyond it the one unused longest is ended.
pub(super) const OFFLINE_LIMIT: i64 = 100;

/// The scopes and claims that a grant is created with.
pub(super) struct GrantTerms {
    pub scopes: Scopes,
    pub nonce: Option<String>,
    /// When the user authenticated.
    pub auth_time: Timestamp,
}

impl Issuer {
    /// A new grant: with a refresh token if `offline_access` was granted and the connector can refresh, otherwise
    /// without that scope.
    pub(super) fn new_grant(
        &self,
        client: &Client,
        session: &Session,
        terms: GrantTerms,
    ) -> Result<Grant, TokenError> {
        let now = self.now();
        let connector = self.connectors.get(&session.connector);
        let can_refresh = connector.is_some_and(|connector| connector.refresh.is_some())
            && self.settings.allows(GrantType::RefreshToken)
            && self.connectors.serves(&session.connector, GrantType::RefreshToken);
        let refreshable = can_refresh && terms.scopes.has(scopes::OFFLINE_ACCESS);
        Ok(Grant {
            id: GrantId::random()?,
            session: session.id.clone(),
            client: client.id.clone(),
            scopes: terms.scopes.filtered(|scope| refreshable || scope != scopes::OFFLINE_ACCESS),
            nonce: terms.nonce,
            auth_time: terms.auth_time,
            refreshable,
            generation: 1,
            mac_key: self.keyring.keys().mac_settled.newest(),
            created_at: now,
            rotated_at: now,
            tokens_until: now + self.settings.token_lifetime_of(client),
            ended: None,
        })
    }

    /// Decides all that may be refused about the grant's tokens; returns them and the grant with their expiry.
    pub(super) fn prepare_grant(
        &self,
        client: &Client,
        grant: Grant,
    ) -> Result<(PreparedTokens, Grant), TokenError> {
        self.prepare_grant_until(client, grant, None)
    }

    /// Like [`Issuer::prepare_grant`], with tokens that expire at `limit` at the latest.
    pub(super) fn prepare_grant_until(
        &self,
        client: &Client,
        grant: Grant,
        limit: Option<Timestamp>,
    ) -> Result<(PreparedTokens, Grant), TokenError> {
        let mut prepared = self.prepare(client, grant.scopes.clone())?;
        if let Some(limit) = limit {
            prepared.tokens_until = prepared.tokens_until.min(limit);
        }
        let grant = Grant { tokens_until: prepared.tokens_until, ..grant };
        Ok((prepared, grant))
    }
}

pub(super) fn log_dropped(session: &Session, dropped: &[GrantId]) {
    for grant in dropped {
        tracing::warn!(event = "grant_ended", grant = %grant, session = %session.id, reason = "too_many_grants", "the longest idle grant ended");
    }
}

impl Issuer {
    /// The parameters of the authorization response that contain tokens. They belong to a grant of their own, without a
    /// refresh token (RFC 6749 section 4.2.2). `code` is for `c_hash`. `None`: the session has ended.
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
        let subject = TokenSubject {
            code: code.map(Secret::new),
            has_access_token: token,
            ..TokenSubject::new(grant.clone(), session)
        };
        let signed = self.sign_tokens(prepared, subject).await.map_err(failed)?;
        let generation = grant.generation;
        if self.store.issue_grant(grant, self.now(), OFFLINE_LIMIT).await?.is_none() {
            return Ok(None);
        }
        let tokens = self.issue(signed, generation);
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

/// An error here means that the configuration has changed since the request was parsed, which allowed it.
fn failed(error: TokenError) -> IssuerError {
    match error {
        TokenError::Failed(error) => error,
        TokenError::Refused(code, reason) => {
            IssuerError::Broken(format!("{}: {reason}", code.as_str()))
        }
    }
}
