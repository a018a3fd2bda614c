//! A new grant, from a code, device code, password or subject token.

use countersign_core::{Client, Grant, GrantId, GrantType, Scopes, Session, Timestamp, scopes};

use super::TokenError;
use super::issue::PreparedTokens;
use crate::Issuer;

/// What a grant is issued for.
pub(super) struct GrantTerms {
    pub scopes: Scopes,
    pub nonce: Option<String>,
    /// When the person authenticated.
    pub auth_time: Timestamp,
}

impl Issuer {
    /// With a refresh token if `offline_access` was granted and the connector can refresh; else without that
    /// scope.
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

    /// Everything of the grant's tokens that can be refused, and the grant with their expiry.
    pub(super) fn prepare_grant(
        &self,
        client: &Client,
        grant: Grant,
    ) -> Result<(PreparedTokens, Grant), TokenError> {
        let prepared = self.prepare(client, grant.scopes.clone())?;
        let grant = Grant { tokens_until: prepared.tokens_until, ..grant };
        Ok((prepared, grant))
    }
}

pub(super) fn log_dropped(session: &Session, dropped: &[GrantId]) {
    for grant in dropped {
        tracing::warn!(event = "grant_ended", grant = %grant, session = %session.id, reason = "too_many_grants", "the longest idle grant ended");
    }
}
