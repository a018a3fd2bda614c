//! Two simulated upstreams for trials and tests. Their user is Dex's.
//!
//! They authenticate no one and must not be in a production configuration.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::connector::{
    AccountDiagnosis, CallbackState, ConnectorError, Fingerprint, LoginMethod, LoginOutcome,
    LoginRedirect, PasswordLogin, RedirectLogin, Refresh, RefreshOutcome, RefreshRequest, Refusal,
    SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace, ids};

const CODE: &str = "code";

pub(crate) fn callback(id: ConnectorId, name: String, config: Option<Section<'_>>) -> Connector {
    if let Some(section) = config {
        section.finish();
    }
    Connector {
        id,
        kind: "mockCallback",
        name,
        login_method: LoginMethod::Redirect(Arc::new(MockCallback)),
        refresh: Some(Arc::new(MockRefresh(mock_identity))),
        fingerprint: Fingerprint::Upstream("mockCallback".to_owned()),
    }
}

pub(crate) fn password(id: ConnectorId, name: String, config: Section<'_>) -> Option<Connector> {
    let username = config.required_text("username");
    let password = config.required_text("password").map(Secret::new);
    config.finish();
    let login = MockPassword { username: username?, password: password? };
    Some(Connector {
        id,
        kind: "mockPassword",
        name,
        login_method: LoginMethod::Password(Arc::new(login)),
        refresh: Some(Arc::new(MockRefresh(without_groups))),
        fingerprint: Fingerprint::Upstream("mockPassword".to_owned()),
    })
}

/// Groups are returned whether or not they are requested, as in Dex.
fn mock_identity() -> SignedIn {
    let identity = Identity {
        user_id: "0-385-28089-0".to_owned(),
        username: "Kilgore Trout".to_owned(),
        preferred_username: String::new(),
        email: "kilgore@kilgore.trout".to_owned(),
        email_verified: true,
        groups: vec!["authors".to_owned()],
    };
    SignedIn { identity, upstream: None, fingerprint: None }
}

struct MockCallback;

#[async_trait]
impl RedirectLogin for MockCallback {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
    ) -> Result<LoginRedirect, ConnectorError> {
        let random = ids::random_id().map_err(|e| ConnectorError::Unavailable {
            upstream: "mockCallback".to_owned(),
            cause: e.to_string(),
        })?;
        let code = format!("mock-{random}");
        let mut url = upstream_login.callback.clone();
        url.query_pairs_mut().append_pair("state", &upstream_login.state).append_pair(CODE, &code);
        Ok(LoginRedirect { url, callback_state: CallbackState(vec![(CODE.to_owned(), code)]) })
    }

    async fn handle_callback(
        &self,
        _upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError> {
        let param = |key: &str| query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        if let Some(error) = param("error") {
            trace.response(format!("error={error}"));
            return Ok(LoginOutcome::Refused(Refusal::UpstreamDenied { code: error.to_owned() }));
        }
        let expected = callback_state.0.iter().find(|(k, _)| k == CODE).map(|(_, v)| v.as_str());
        if expected.is_none() || param(CODE) != expected {
            trace.response("a code that was not issued for this login");
            let code = "invalid_grant".to_owned();
            return Ok(LoginOutcome::Refused(Refusal::UpstreamDenied { code }));
        }
        trace.response("the code issued for this login");
        Ok(LoginOutcome::Accepted(Box::new(mock_identity())))
    }
}

/// Dex's mockPassword returns the same user without groups.
fn without_groups() -> SignedIn {
    let mut person = mock_identity();
    person.identity.groups.clear();
    person
}

struct MockPassword {
    username: String,
    password: Secret,
}

#[async_trait]
impl PasswordLogin for MockPassword {
    fn prompt(&self) -> &'static str {
        "Username"
    }

    fn canonical(&self, login: &str) -> String {
        login.trim().to_lowercase()
    }

    async fn diagnose(
        &self,
        login: &str,
        trace: &mut Trace,
    ) -> Result<AccountDiagnosis, ConnectorError> {
        // Case-sensitive, as at a login.
        if login != self.username {
            trace.response("not the configured username");
            return Ok(AccountDiagnosis::Refused { reason: format!("{login:?} is nobody here") });
        }
        trace.response("the configured username; whatever it is, the person is Dex's");
        Ok(AccountDiagnosis::Found(Box::new(without_groups().identity)))
    }

    async fn login(
        &self,
        login: &str,
        password: &Secret,
        _login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError> {
        // Both are always compared, so that the duration does not reveal which was wrong.
        let known = Secret::new(login).matches(&self.username);
        if known & self.password.matches(password.expose()) {
            trace.response("username and password are the configured ones");
            return Ok(LoginOutcome::Accepted(Box::new(without_groups())));
        }
        trace.response("username or password are not the configured ones");
        Ok(LoginOutcome::Refused(Refusal::BadCredentials))
    }
}

struct MockRefresh(fn() -> SignedIn);

#[async_trait]
impl Refresh for MockRefresh {
    async fn refresh(
        &self,
        _: RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError> {
        trace.response("the same person as ever");
        Ok(RefreshOutcome::Current(Box::new((self.0)())))
    }

    fn needs_no_request(&self) -> bool {
        true
    }
}
