//! Steps shared by the tests: a connector with an ordinary configuration, a login, a refresh.

use countersign_config::Node;
use countersign_connectors::read;
use countersign_core::connector::{
    ConnectorError, LoginMethod, LoginOutcome, LoginRedirect, RefreshOutcome, RefreshRequest,
    Refusal, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, LoginScopes, Timestamp, Trace};
use url::Url;

use crate::tree::{self, map};

/// The connector's configuration in a test.
pub type Keys = Vec<(&'static str, Node)>;

pub const CALLBACK: &str = "https://id.example.com/dex/callback";
pub const ALL: LoginScopes = LoginScopes { offline: true, groups: true };

/// The connector, unless it cannot be used, and every problem with its configuration.
pub fn configured(kind: &str, keys: Keys) -> (Option<Connector>, Vec<String>) {
    tree::read(map(keys), |section| {
        read(kind, ConnectorId::new("up"), "Up".to_owned(), Some(section))
    })
}

pub fn sound(kind: &str, keys: Keys) -> Connector {
    let (connector, problems) = configured(kind, keys);
    connector.unwrap_or_else(|| panic!("{problems:#?}"))
}

/// The keys of `with` replace or extend those of `keys`.
pub fn replaced(mut keys: Keys, with: Keys) -> Keys {
    for (name, node) in with {
        keys.retain(|(other, _)| *other != name);
        keys.push((name, node));
    }
    keys
}

/// The current time, because the fakes sign tokens with it.
pub fn now() -> Timestamp {
    Timestamp::from_secs(crate::provider::now().cast_signed())
}

pub fn upstream_login(login_scopes: LoginScopes) -> UpstreamLogin {
    let callback = Url::parse(CALLBACK).unwrap();
    UpstreamLogin {
        callback,
        state: "the-state".to_owned(),
        login_scopes,
        again: false,
        now: now(),
    }
}

pub async fn login_url(
    connector: &Connector,
    login_scopes: LoginScopes,
) -> Result<LoginRedirect, ConnectorError> {
    let LoginMethod::Redirect(method) = &connector.login_method else { panic!("it is a redirect") };
    method.login_url(&upstream_login(login_scopes)).await
}

/// Handles this callback; returns the outcome and the trace.
pub async fn handle_callback(
    connector: &Connector,
    redirect: &LoginRedirect,
    query: &[(String, String)],
    login_scopes: LoginScopes,
) -> (Result<LoginOutcome, ConnectorError>, Trace) {
    let LoginMethod::Redirect(method) = &connector.login_method else { panic!("it is a redirect") };
    let mut trace = Trace::default();
    let login = method
        .handle_callback(&upstream_login(login_scopes), &redirect.callback_state, query, &mut trace)
        .await;
    (login, trace)
}

pub async fn refresh(
    connector: &Connector,
    person: &SignedIn,
    login_scopes: LoginScopes,
) -> Result<RefreshOutcome, ConnectorError> {
    let upstream = person.upstream.as_ref();
    let known = RefreshRequest { identity: &person.identity, upstream, login_scopes, now: now() };
    connector.refresh.as_ref().unwrap().refresh(known, &mut Trace::default()).await
}

pub fn accepted(login: Result<LoginOutcome, ConnectorError>) -> SignedIn {
    match login {
        Ok(LoginOutcome::Accepted(person)) => *person,
        other => panic!("{other:?}"),
    }
}

pub fn refused(login: Result<LoginOutcome, ConnectorError>) -> Refusal {
    match login {
        Ok(LoginOutcome::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// The cause of the error, as logged for the administrator.
pub fn broken<T: std::fmt::Debug>(response: Result<T, ConnectorError>) -> String {
    let down = response.unwrap_err();
    assert!(down.to_string().starts_with("up is "), "{down}");
    down.cause().to_owned()
}

pub fn current(refreshed: Result<RefreshOutcome, ConnectorError>) -> SignedIn {
    match refreshed {
        Ok(RefreshOutcome::Current(person)) => *person,
        other => panic!("{other:?}"),
    }
}

pub fn missing(refreshed: Result<RefreshOutcome, ConnectorError>) -> String {
    match refreshed {
        Ok(RefreshOutcome::Missing { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

/// Asserts that the session cannot be revalidated, because the upstream returned no token for it.
pub fn not_possible(refreshed: Result<RefreshOutcome, ConnectorError>) {
    assert!(matches!(refreshed, Ok(RefreshOutcome::NotPossible)), "{refreshed:?}");
}

pub fn trace_text(trace: &Trace) -> String {
    trace.steps().iter().map(|step| format!("{:?} {}\n", step.kind, step.text)).collect()
}
