//! What every connector of the family does alike: keeping a login or refresh within its bounds, and saying in
//! the words of the port what came of it. A connector says only where to go and who somebody is.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::connector::{
    CallbackState, ConnectorError, Fingerprint, LoginMethod, LoginOutcome, LoginRedirect,
    RedirectLogin, Refresh, RefreshOutcome, RefreshRequest, Refusal, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, Timestamp, Trace};
use url::Url;

use super::{UpstreamError, within};

/// What an upstream says of somebody, at a login and at a refresh.
pub(crate) enum Verdict {
    Welcome(Box<SignedIn>),
    /// An administrator took the account away.
    Disabled,
    /// In none of these: groups, domains or organisations.
    NotIn(Vec<String>),
    /// The upstream does not vouch for the address, and the connector demands it.
    EmailNotVerified,
    PasswordExpired,
    /// The upstream said no, in a word of its protocol.
    Denied(&'static str),
}

/// What one upstream is to the family. `trace` tells what was asked and answered.
#[async_trait]
pub(crate) trait Upstream: Send + Sync {
    async fn leave(
        &self,
        upstream_login: &UpstreamLogin,
        trace: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError>;

    /// `query` as in [`RedirectLogin::handle_callback`].
    async fn enter(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<Verdict, UpstreamError>;

    async fn ask_again(
        &self,
        known: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError>;

    /// False: [`Upstream::ask_again`] is never called.
    fn can_refresh(&self) -> bool {
        true
    }

    /// See [`Refresh::needs_offline_login`].
    fn needs_offline_login(&self) -> bool {
        false
    }

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

/// An [`Upstream`] behind the port.
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
        let redirect = within(self.upstream.leave(upstream_login, &mut trace)).await;
        redirect.map_err(|failure| failure.into_connector_error(&self.id, &mut trace))
    }

    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError> {
        let verdict =
            within(self.upstream.enter(upstream_login, callback_state, query, trace)).await;
        let verdict = verdict.and_then(|verdict| match &verdict {
            Verdict::Welcome(person) => check_identity(person).map(|()| verdict),
            _ => Ok(verdict),
        });
        verdict.map(Verdict::login).map_err(|failure| failure.into_connector_error(&self.id, trace))
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
        let again = within(self.upstream.ask_again(&known, trace)).await;
        let again = again.and_then(|outcome| match &outcome {
            RefreshOutcome::Current(person) => check_identity(person).map(|()| outcome),
            _ => Ok(outcome),
        });
        again.map_err(|failure| failure.into_connector_error(&self.id, trace))
    }

    fn needs_offline_login(&self) -> bool {
        self.upstream.needs_offline_login()
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

impl Verdict {
    pub fn login(self) -> LoginOutcome {
        LoginOutcome::Refused(match self {
            Self::Welcome(person) => return LoginOutcome::Accepted(person),
            Self::Disabled => Refusal::AccountDisabled,
            Self::PasswordExpired => Refusal::PasswordExpired,
            Self::NotIn(required) => Refusal::NotInRequiredGroup { required },
            Self::EmailNotVerified => Refusal::EmailNotVerified,
            Self::Denied(code) => Refusal::UpstreamDenied { code: code.to_owned() },
        })
    }

    pub fn refreshed(self) -> RefreshOutcome {
        let why = match self {
            Self::Welcome(person) => return RefreshOutcome::Current(person),
            Self::Disabled => return RefreshOutcome::Disabled,
            Self::NotIn(required) => format!("in none of {}", required.join(", ")),
            Self::PasswordExpired => "the password has expired".to_owned(),
            Self::EmailNotVerified => "the e-mail address is no longer verified".to_owned(),
            Self::Denied(code) => return refused_token(code),
        };
        RefreshOutcome::Missing { why }
    }
}

/// An upstream that lost its tokens says the same of everybody, so this alone ends nothing.
pub(crate) fn refused_token(code: &str) -> RefreshOutcome {
    RefreshOutcome::Missing { why: format!("the upstream refuses its token ({code})") }
}
