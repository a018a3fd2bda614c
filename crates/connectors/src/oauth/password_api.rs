//! Login with name and password at an upstream with an HTTP API: everything except the API's own requests.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::connector::{
    AccountDiagnosis, ConnectorError, Fingerprint, LoginMethod, LoginOutcome, PasswordLogin,
    Refresh, RefreshOutcome, RefreshRequest, Refusal,
};
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace};

use super::upstream::check_identity;
use super::{UpstreamError, UpstreamOutcome, within};
use crate::attempt_name::attempt_name;

#[async_trait]
pub(crate) trait PasswordApi: Send + Sync {
    fn prompt(&self) -> &str;

    /// `None`: unknown user or wrong password.
    async fn login(
        &self,
        login: &str,
        password: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<Option<UpstreamOutcome>, UpstreamError>;

    /// The account without its password, with groups. `None`: there is no account of this name.
    async fn find(
        &self,
        login: &str,
        trace: &mut Trace,
    ) -> Result<Option<UpstreamOutcome>, UpstreamError>;

    async fn refresh(
        &self,
        request: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError>;
}

/// Implements the connector traits for a [`PasswordApi`].
pub(crate) struct PasswordConnector<A> {
    id: ConnectorId,
    api: A,
}

impl<A: PasswordApi + 'static> PasswordConnector<A> {
    pub fn connector(
        kind: &'static str,
        id: ConnectorId,
        name: String,
        fingerprint: String,
        api: A,
    ) -> Connector {
        let connector = Arc::new(Self { id: id.clone(), api });
        Connector {
            id,
            kind,
            name,
            login_method: LoginMethod::Password(connector.clone()),
            refresh: Some(connector),
            fingerprint: Fingerprint::Upstream(fingerprint),
        }
    }
}

#[async_trait]
impl<A: PasswordApi> PasswordLogin for PasswordConnector<A> {
    fn prompt(&self) -> &str {
        self.api.prompt()
    }

    /// These upstreams compare names case-insensitively.
    fn canonical(&self, login: &str) -> String {
        attempt_name(login)
    }

    async fn diagnose(
        &self,
        login: &str,
        trace: &mut Trace,
    ) -> Result<AccountDiagnosis, ConnectorError> {
        let found = within(self.api.find(login, trace)).await;
        Ok(match found.map_err(|failure| failure.into_connector_error(&self.id, trace))? {
            Some(UpstreamOutcome::Accepted(person)) => {
                AccountDiagnosis::Found(Box::new(person.identity))
            }
            Some(UpstreamOutcome::Disabled) => refused("the account is disabled"),
            Some(UpstreamOutcome::NotIn(required)) => {
                refused(&format!("in none of {}", required.join(", ")))
            }
            Some(
                UpstreamOutcome::PasswordExpired
                | UpstreamOutcome::EmailNotVerified
                | UpstreamOutcome::Denied(_),
            ) => refused("the upstream refuses it"),
            None => refused("there is no user of this name"),
        })
    }

    async fn login(
        &self,
        login: &str,
        password: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError> {
        let is_unusable = |text: &str| text.is_empty() || text.contains('\0');
        if is_unusable(login) || is_unusable(password.expose()) {
            trace.note("refused before any request: name or password is empty or contains a NUL");
            return Ok(LoginOutcome::Refused(Refusal::BadCredentials));
        }
        let outcome = within(self.api.login(login, password, login_scopes, trace)).await;
        let outcome = outcome.and_then(|outcome| match &outcome {
            Some(UpstreamOutcome::Accepted(person)) => check_identity(person).map(|()| outcome),
            _ => Ok(outcome),
        });
        match outcome.map_err(|failure| failure.into_connector_error(&self.id, trace))? {
            Some(outcome) => Ok(outcome.login()),
            None => Ok(LoginOutcome::Refused(Refusal::BadCredentials)),
        }
    }
}

#[async_trait]
impl<A: PasswordApi> Refresh for PasswordConnector<A> {
    async fn refresh(
        &self,
        request: RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError> {
        let outcome = within(self.api.refresh(&request, trace)).await;
        let outcome = outcome.and_then(|outcome| match &outcome {
            RefreshOutcome::Current(person) => check_identity(person).map(|()| outcome),
            _ => Ok(outcome),
        });
        outcome.map_err(|failure| failure.into_connector_error(&self.id, trace))
    }
}

fn refused(reason: &str) -> AccountDiagnosis {
    AccountDiagnosis::Refused { reason: reason.to_owned() }
}

/// An accepted identity without refresh data: these upstreams are refreshed with our own credentials.
pub(crate) fn accepted(identity: Identity) -> UpstreamOutcome {
    UpstreamOutcome::Accepted(Box::new(countersign_core::connector::SignedIn {
        identity,
        upstream: None,
        fingerprint: None,
    }))
}
