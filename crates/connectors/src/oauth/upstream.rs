//! Implements the connector traits for an [`Upstream`]: time limits, errors, and refusing identities that cannot be
//! stored.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::connector::{
    CallbackState, ConnectorError, Fingerprint, LoginMethod, LoginOutcome, LoginRedirect,
    RedirectLogin, Refresh, RefreshOutcome, RefreshRequest, Refusal, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, Secret, Timestamp, Trace};
use url::Url;

use super::{UpstreamError, UsedRefreshTokens, within};

/// The outcome of a login or a refresh at an upstream.
pub(crate) enum UpstreamOutcome {
    Accepted(Box<SignedIn>),
    /// The account is disabled.
    Disabled,
    /// The user is in none of these groups, domains or organizations.
    NotIn(Vec<String>),
    /// The e-mail address is not verified, which the connector requires.
    EmailNotVerified,
    PasswordExpired,
    /// The upstream's error code, such as `access_denied`.
    Denied(&'static str),
}

/// A provider that the browser is redirected to. `trace` records requests and responses.
#[async_trait]
pub(crate) trait Upstream: Send + Sync {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        trace: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError>;

    /// `query` as in [`RedirectLogin::handle_callback`].
    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError>;

    async fn refresh(
        &self,
        known: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError>;

    /// See [`Refresh::successor`].
    async fn successor(&self, _upstream: &Secret) -> Option<Secret> {
        None
    }

    /// See [`RedirectLogin::login_with_id_token`].
    async fn login_with_id_token(
        &self,
        _id_token: &Secret,
        _now: Timestamp,
        _trace: &mut Trace,
    ) -> Result<Option<UpstreamOutcome>, UpstreamError> {
        Ok(None)
    }

    /// If false, [`Upstream::refresh`] is never called.
    fn can_refresh(&self) -> bool {
        true
    }

    /// See [`Refresh::needs_offline_login`].
    fn needs_offline_login(&self) -> bool {
        false
    }

    /// `None` if it issues no refresh tokens.
    fn used_refresh_tokens(&self) -> Option<&UsedRefreshTokens>;

    /// See [`RedirectLogin::diagnose`].
    async fn diagnose(
        &self,
        user: Option<&str>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, UpstreamError>;

    /// See [`RedirectLogin::sign_out_url`].
    async fn sign_out_url(&self, _trace: &mut Trace) -> Result<Option<Url>, UpstreamError> {
        Ok(None)
    }
}

/// Implements the connector traits for an [`Upstream`].
pub(crate) struct OAuth<U> {
    id: ConnectorId,
    upstream: U,
}

impl<U: Upstream + 'static> OAuth<U> {
    pub fn connector(
        kind: &'static str,
        id: ConnectorId,
        name: String,
        fingerprint: String,
        upstream: U,
    ) -> Connector {
        let behind = Arc::new(Self { id: id.clone(), upstream });
        Connector {
            id,
            kind,
            name,
            login_method: LoginMethod::Redirect(behind.clone()),
            refresh: behind.upstream.can_refresh().then_some(behind),
            fingerprint: Fingerprint::Upstream(fingerprint),
        }
    }
}

#[async_trait]
impl<U: Upstream> RedirectLogin for OAuth<U> {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
    ) -> Result<LoginRedirect, ConnectorError> {
        let mut trace = Trace::default();
        let redirect = within(self.upstream.login_url(upstream_login, &mut trace)).await;
        redirect.map_err(|failure| failure.into_connector_error(&self.id, &mut trace))
    }

    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError> {
        let outcome =
            within(self.upstream.handle_callback(upstream_login, callback_state, query, trace))
                .await;
        let outcome = outcome.and_then(|outcome| match &outcome {
            UpstreamOutcome::Accepted(person) => check_identity(person).map(|()| outcome),
            _ => Ok(outcome),
        });
        outcome
            .map(UpstreamOutcome::login)
            .map_err(|failure| failure.into_connector_error(&self.id, trace))
    }

    async fn login_with_id_token(
        &self,
        id_token: &Secret,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<LoginOutcome>, ConnectorError> {
        let outcome = within(self.upstream.login_with_id_token(id_token, now, trace)).await;
        let outcome = outcome.and_then(|outcome| match &outcome {
            Some(UpstreamOutcome::Accepted(person)) => check_identity(person).map(|()| outcome),
            _ => Ok(outcome),
        });
        match outcome {
            Ok(outcome) => Ok(outcome.map(UpstreamOutcome::login)),
            // The client sent the token, so its defects are no fault of the upstream or of its configuration.
            Err(failure @ (UpstreamError::IdToken(_) | UpstreamError::Person(_))) => {
                let reason = failure.to_string();
                trace.note(format!("failed: {reason}"));
                Ok(Some(LoginOutcome::Refused(Refusal::InvalidResponse { reason })))
            }
            Err(failure) => Err(failure.into_connector_error(&self.id, trace)),
        }
    }

    async fn diagnose(
        &self,
        user: Option<&str>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, ConnectorError> {
        let groups = within(self.upstream.diagnose(user, now, trace)).await;
        groups.map_err(|failure| failure.into_connector_error(&self.id, trace))
    }

    async fn sign_out_url(&self) -> Option<Url> {
        let mut trace = Trace::default();
        within(self.upstream.sign_out_url(&mut trace)).await.ok().flatten()
    }
}

#[async_trait]
impl<U: Upstream> Refresh for OAuth<U> {
    async fn refresh(
        &self,
        known: RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError> {
        let again = within(self.upstream.refresh(&known, trace)).await;
        let again = again.and_then(|outcome| match &outcome {
            RefreshOutcome::Current(person) => check_identity(person).map(|()| outcome),
            _ => Ok(outcome),
        });
        again.map_err(|failure| failure.into_connector_error(&self.id, trace))
    }

    async fn successor(&self, upstream: &Secret) -> Option<Secret> {
        self.upstream.successor(upstream).await
    }

    fn needs_offline_login(&self) -> bool {
        self.upstream.needs_offline_login()
    }

    fn used_refresh_tokens(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.upstream.used_refresh_tokens().map(UsedRefreshTokens::table)
    }

    fn share_used_refresh_tokens(&self, replaced: Arc<dyn Any + Send + Sync>) {
        if let Some(tokens) = self.upstream.used_refresh_tokens() {
            tokens.share(replaced);
        }
    }
}

pub(super) fn check_identity(person: &SignedIn) -> Result<(), UpstreamError> {
    match person.identity.member_with_nul() {
        Some(member) => {
            Err(UpstreamError::Person(format!("the {member} contains a NUL character")))
        }
        None => Ok(()),
    }
}

impl UpstreamOutcome {
    pub fn login(self) -> LoginOutcome {
        LoginOutcome::Refused(match self {
            Self::Accepted(person) => return LoginOutcome::Accepted(person),
            Self::Disabled => Refusal::AccountDisabled,
            Self::PasswordExpired => Refusal::PasswordExpired,
            Self::NotIn(required) => Refusal::NotInRequiredGroup { required },
            Self::EmailNotVerified => Refusal::EmailNotVerified,
            Self::Denied(code) => Refusal::UpstreamDenied { code: code.to_owned() },
        })
    }

    pub fn refreshed(self) -> RefreshOutcome {
        let reason = match self {
            Self::Accepted(person) => return RefreshOutcome::Current(person),
            Self::Disabled => return RefreshOutcome::Disabled,
            Self::NotIn(required) => format!("in none of {}", required.join(", ")),
            Self::PasswordExpired => "the password has expired".to_owned(),
            Self::EmailNotVerified => "the e-mail address is no longer verified".to_owned(),
            Self::Denied(code) => return refused_token(code),
        };
        RefreshOutcome::Missing { reason }
    }
}

/// The upstream refuses its refresh token. An upstream that has lost its tokens refuses those of all users, so the
/// outcome is `Missing`, which does not end the session at once.
pub(crate) fn refused_token(code: &str) -> RefreshOutcome {
    RefreshOutcome::Missing { reason: format!("the upstream refuses its token ({code})") }
}
