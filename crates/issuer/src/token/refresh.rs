//! `refresh_token` (RFC 6749 section 6, RFC 9700 section 4.14.2): rotates the refresh token by generation and
//! revalidates the user at the upstream. If the upstream or the signer is unavailable nothing is consumed.
//!
//! Tokens for the current refresh token are signed before it is consumed. A superseded one is decided by the store
//! first, so that its replay ends the grant although the signer is unavailable, and costs no signature.

use countersign_core::session::{EndReason, Ended};
use countersign_core::{
    Client, Grant, GrantId, GrantType, Scopes, Secret, Session, Timestamp, scopes,
};
use countersign_store::{Rotate, Rotation, Snapshot};

use super::issue::{PreparedTokens, TokenSubject};
use super::refresh_token::RefreshTokenClaims;
use super::{TokenError, TokenErrorCode, Tokens};
use crate::Issuer;
use crate::sessions::{RejectReason, RevalidatedSession, Revalidation};
use crate::settings::RefreshPolicy;

const INVALID_TOKEN: &str =
    "Refresh token is invalid or has already been claimed by another client.";
const ACCOUNT_CHANGED: &str = "Sign in again: the account has changed.";
/// The upstream cannot be queried without the user, and what it returned at sign-in is too old.
const TOO_OLD: &str = "Sign in again: the upstream confirms this person only at sign-in.";
const ACCOUNT_BLOCKED: &str = "This account is blocked by an administrator.";
/// The user may be unknown there or in no required group, or the upstream's own refresh token has ended.
const NOT_CONFIRMED: &str = "Sign in again: the upstream no longer confirms this person.";
const SESSION_ENDED: &str = "The session this refresh token belongs to has ended.";

/// What a refresh will issue if the store accepts the rotation.
struct PendingRotation {
    policy: RefreshPolicy,
    tokens_until: Timestamp,
    snapshot: Option<Snapshot>,
}

impl Issuer {
    pub(super) async fn refresh(
        &self,
        client: &Client,
        token: &Secret,
        narrowed: Option<Scopes>,
    ) -> Result<Tokens, TokenError> {
        if !self.settings.allows(GrantType::RefreshToken) {
            let code = TokenErrorCode::UnsupportedGrantType;
            return Err(TokenError::refused(code, "refresh_token is not enabled"));
        }
        let refresh_token = self.read_refresh_token(token).await?;
        let refresh_token =
            refresh_token.ok_or_else(|| TokenError::invalid_grant(INVALID_TOKEN))?;
        let found = self.store.grant(&refresh_token.grant).await?;
        let (grant, session) = found
            .filter(|(grant, _)| grant.client == client.id && grant.refreshable)
            .ok_or_else(|| TokenError::invalid_grant(INVALID_TOKEN))?;
        self.check_liveness(client, &grant, &session)?;
        let scopes = self.narrowed_scopes(&grant, narrowed)?;
        let prepared = self.prepare(client, scopes)?;
        let policy = self.settings.refresh_of(client);
        if refresh_token.generation < grant.generation {
            if !self.is_valid(Some(client), &session).await? {
                return Err(TokenError::invalid_grant(ACCOUNT_CHANGED));
            }
            let subject = TokenSubject::new(grant, session);
            return Box::pin(self.repeat(&refresh_token, policy, prepared, subject)).await;
        }
        let checked = self.revalidate_for_refresh(session).await?;
        let snapshot = checked.snapshot.clone();
        let until = prepared.tokens_until;
        let pending = PendingRotation { policy, tokens_until: until, snapshot: checked.snapshot };
        let subject = TokenSubject::new(grant.clone(), checked.session);
        let rotated = match self.sign_tokens(prepared, subject).await {
            Ok(signed) => {
                let rotated = self.rotate(&grant, &refresh_token, pending).await;
                rotated.map(|(generation, is_stored)| (signed, generation, is_stored))
            }
            Err(error) => Err(error),
        };
        // The rotation stores the snapshot and releases the lease, whatever its outcome. If its transaction failed or
        // did not take place, both are attempted once more separately, because the upstream may have rotated its
        // refresh token.
        let is_stored = matches!(rotated, Ok((_, _, true)));
        if let Some(snapshot) = snapshot.filter(|_| !is_stored) {
            self.keep_snapshot(snapshot).await?;
        }
        let (signed, generation, _) = rotated?;
        Ok(self.issue(signed, generation))
    }

    /// For a refresh token that was superseded when it was read. The store decides, in one transaction, whether it is
    /// repeated within the reuse interval, and else ends the grant (RFC 9700 section 4.14.2). A repetition receives the
    /// same refresh token without a request to the upstream; only for it are tokens signed, and it consumes nothing.
    ///
    /// Only if a server has reverted the rotation since the token was read is the token the current one again, and
    /// consumed before its tokens are signed; if signing fails, it is repeated within the reuse interval.
    async fn repeat(
        &self,
        refresh_token: &RefreshTokenClaims,
        policy: RefreshPolicy,
        prepared: PreparedTokens,
        subject: TokenSubject,
    ) -> Result<Tokens, TokenError> {
        let tokens_until = prepared.tokens_until;
        let pending = PendingRotation { policy, tokens_until, snapshot: None };
        let (generation, _) = self.rotate(&subject.grant, refresh_token, pending).await?;
        let signed = self.sign_tokens(prepared, subject).await?;
        Ok(self.issue(signed, generation))
    }

    fn check_liveness(
        &self,
        client: &Client,
        grant: &Grant,
        session: &Session,
    ) -> Result<(), TokenError> {
        if let Some(ended) = session.ended.as_ref().or(grant.ended.as_ref()) {
            return Err(TokenError::invalid_grant(ended_description(ended)));
        }
        if session.is_blocked(self.now()) {
            return Err(TokenError::invalid_grant(ACCOUNT_BLOCKED));
        }
        if self.is_refresh_expired(client, grant) {
            return Err(TokenError::invalid_grant("Refresh token expired."));
        }
        if self.connectors.allowed(client, &session.connector).is_none() {
            return Err(TokenError::invalid_grant("Connector not allowed for this client."));
        }
        Ok(())
    }

    pub(super) fn is_refresh_expired(&self, client: &Client, grant: &Grant) -> bool {
        let end = self.settings.refresh_of(client).end(grant.created_at, grant.rotated_at);
        end.is_some_and(|end| self.now() > end)
    }

    async fn revalidate_for_refresh(
        &self,
        session: Session,
    ) -> Result<RevalidatedSession, TokenError> {
        match self.revalidate(session).await? {
            Revalidation::Valid(checked) => Ok(*checked),
            Revalidation::Rejected(RejectReason::Ended) => {
                Err(TokenError::invalid_grant(SESSION_ENDED))
            }
            Revalidation::Rejected(RejectReason::Missing { .. }) => {
                Err(TokenError::invalid_grant(NOT_CONFIRMED))
            }
            Revalidation::Rejected(RejectReason::CannotRevalidate) => {
                Err(TokenError::invalid_grant(TOO_OLD))
            }
            Revalidation::Rejected(RejectReason::FingerprintChanged) => {
                Err(TokenError::invalid_grant(ACCOUNT_CHANGED))
            }
        }
    }

    /// Returns the generation of the new refresh token, and whether the snapshot was stored with it.
    async fn rotate(
        &self,
        grant: &Grant,
        refresh_token: &RefreshTokenClaims,
        pending: PendingRotation,
    ) -> Result<(i64, bool), TokenError> {
        let rotation = self
            .store
            .rotate(Rotate {
                grant: grant.id.clone(),
                session: grant.session.clone(),
                generation: refresh_token.generation,
                rotate: pending.policy.rotate,
                mac_key: self.keyring.keys().mac_settled.newest(),
                now: self.now(),
                tokens_until: pending.tokens_until,
                reuse_interval: pending.policy.reuse_interval,
                snapshot: pending.snapshot,
            })
            .await?;
        match rotation {
            Rotation::Rotated { generation } | Rotation::Repeated { generation } => {
                Ok((generation, true))
            }
            Rotation::DatabaseRestored { generation } => {
                tracing::error!(event = "database_restored", grant = %grant.id, "a refresh token is newer than the database: was it restored?");
                Ok((generation, false))
            }
            Rotation::Reused { tokens_until } => {
                tracing::warn!(event = "grant_ended", grant = %grant.id, client = %grant.client, session = %grant.session, reason = "refresh_reused", tokens_until = %tokens_until, "a rotated refresh token was presented again: it was stolen, or a response was lost");
                Err(TokenError::invalid_grant(INVALID_TOKEN))
            }
            Rotation::Ended => Err(self.refused_meanwhile(&grant.id).await),
        }
    }

    /// The grant, live when it was read, has ended since, or its user was blocked.
    async fn refused_meanwhile(&self, grant: &GrantId) -> TokenError {
        let reason = match self.store.grant(grant).await {
            Ok(Some((grant, session))) => match session.ended.as_ref().or(grant.ended.as_ref()) {
                Some(ended) => ended_description(ended),
                None if session.is_blocked(self.now()) => ACCOUNT_BLOCKED.to_owned(),
                None => SESSION_ENDED.to_owned(),
            },
            Ok(None) | Err(_) => SESSION_ENDED.to_owned(),
        };
        TokenError::invalid_grant(reason)
    }

    /// A subset of the granted scopes (RFC 6749 section 6). Unknown scopes, which `/auth` ignored, are ignored here
    /// too.
    fn narrowed_scopes(
        &self,
        grant: &Grant,
        requested: Option<Scopes>,
    ) -> Result<Scopes, TokenError> {
        let requested = requested.map(|requested| match self.settings.strict_scopes {
            true => requested,
            false => requested.filtered(Scopes::is_known),
        });
        let Some(requested) = requested.filter(|requested| !requested.is_empty()) else {
            return Ok(grant.scopes.clone());
        };
        if requested.within(&grant.scopes) {
            return Ok(grant.scopes.filtered(|s| requested.has(s) || s == scopes::OPENID));
        }
        let extra = requested.filtered(|scope| !grant.scopes.has(scope));
        Err(TokenError::refused(
            TokenErrorCode::InvalidScope,
            format!("Requested scopes contain unauthorized scope(s): {}.", printable(&extra)),
        ))
    }
}

/// When and by whom the grant was ended. The user may see it: only the client the token was issued to can present it.
fn ended_description(ended: &Ended) -> String {
    let by = match ended.reason {
        EndReason::Administrator => "by an administrator",
        EndReason::EndedByUser | EndReason::SignedOut => "by the user",
        EndReason::Revoked => "by its client",
        EndReason::UpstreamDisabled => "because the account is disabled",
        EndReason::UpstreamMissing => "because the upstream no longer confirmed this person",
        EndReason::ConsentWithdrawn => "because the consent was withdrawn",
        _ => return format!("{} At {}.", SESSION_ENDED, ended.at),
    };
    format!("The session this refresh token belongs to was ended {by} at {}.", ended.at)
}

fn printable(scopes: &Scopes) -> String {
    let allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    scopes.to_string().chars().filter(allowed).take(120).collect()
}
