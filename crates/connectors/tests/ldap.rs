//! The LDAP connector against a real OpenLDAP server, and against servers that misbehave.
//!
//! Every test starts its own server. Without slapd the tests print that they did not run, and fail if
//! `COUNTERSIGN_REQUIRE_LDAP=1`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "all of this is test code; a broken set-up fails its test"
)]

#[path = "fakes/slapd.rs"]
mod slapd;
#[path = "../src/tree.rs"]
mod tree;

#[path = "ldap/cost.rs"]
mod cost;
#[path = "ldap/diagnose.rs"]
mod diagnose;
#[path = "ldap/failover.rs"]
mod failover;
#[path = "ldap/groups.rs"]
mod groups;
#[path = "ldap/hostile.rs"]
mod hostile;
#[path = "ldap/login.rs"]
mod login;
#[path = "ldap/refresh.rs"]
mod refresh;
#[path = "ldap/tls.rs"]
mod tls;

use countersign_config::Node;
use countersign_connectors::ldap::{UserBinds, read_counting};
use countersign_core::connector::{
    ConnectorError, LoginMethod, LoginOutcome, RefreshOutcome, RefreshRequest, Refusal, SignedIn,
};
use countersign_core::{Connector, ConnectorId, LoginScopes, Secret, Timestamp, Trace};

use slapd::Slapd;
use tree::{list, map, plain, text};

/// The connector's configuration in a test.
type Keys = Vec<(&'static str, Node)>;

const ALL: LoginScopes = LoginScopes { offline: true, groups: true };
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

/// A connector with an ordinary configuration, in which the given keys replace others or are added.
fn connector(keys: Keys, user_search: Keys) -> Connector {
    connector_counting(keys, user_search, UserBinds::default())
}

fn connector_counting(keys: Keys, user_search: Keys, binds: UserBinds) -> Connector {
    let mut search = vec![
        ("baseDN", text("ou=People,dc=example,dc=org")),
        ("filter", text("(objectClass=inetOrgPerson)")),
        ("username", list(vec![text("uid"), text("mail")])),
        ("idAttr", text("DN")),
        ("emailAttr", text("mail")),
        ("nameAttr", text("cn")),
        ("preferredUsernameAttr", text("UID")),
    ];
    replace(&mut search, user_search);
    let mut all = vec![
        ("insecureNoSSL", plain("true")),
        ("bindDN", text("cn=service,dc=example,dc=org")),
        ("bindPW", text("service-password")),
        ("userSearch", map(search)),
        ("groupSearch", groups_of(vec![matcher("DN", "member", None)])),
    ];
    replace(&mut all, keys);
    let (connector, problems) = tree::read(map(all), |section| {
        read_counting(ConnectorId::new("ldap"), "LDAP".to_owned(), section, binds)
    });
    connector.unwrap_or_else(|| panic!("{problems:?}"))
}

fn replace(entries: &mut Keys, changes: Keys) {
    for (key, value) in changes {
        entries.retain(|(name, _)| *name != key);
        entries.push((key, value));
    }
}

fn groups_of(matchers: Vec<Node>) -> Node {
    map(vec![
        ("baseDN", text("ou=Groups,dc=example,dc=org")),
        ("nameAttr", text("cn")),
        ("userMatchers", list(matchers)),
    ])
}

fn matcher(user: &str, group: &str, recursion: Option<&str>) -> Node {
    let mut keys = vec![("userAttr", text(user)), ("groupAttr", text(group))];
    keys.extend(recursion.map(|attribute| ("recursionGroupAttr", text(attribute))));
    map(keys)
}

/// The plain port of this directory.
fn at(slapd: &Slapd) -> (&'static str, Node) {
    ("host", text(format!("127.0.0.1:{}", slapd.port)))
}

async fn attempt(
    connector: &Connector,
    login: &str,
    password: &str,
    trace: &mut Trace,
) -> Result<LoginOutcome, ConnectorError> {
    let LoginMethod::Password(method) = &connector.login_method else { panic!("it is a password") };
    method.login(login, &Secret::new(password), ALL, trace).await
}

async fn sign_in(connector: &Connector, login: &str, password: &str) -> SignedIn {
    let mut trace = Trace::default();
    match attempt(connector, login, password, &mut trace).await {
        Ok(LoginOutcome::Accepted(signed_in)) => *signed_in,
        other => panic!("{login}: {other:?}\n{}", trace_text(&trace)),
    }
}

async fn refusal(connector: &Connector, login: &str, password: &str) -> Refusal {
    let mut trace = Trace::default();
    match attempt(connector, login, password, &mut trace).await {
        Ok(LoginOutcome::Refused(refusal)) => refusal,
        other => panic!("{login}: {other:?}\n{}", trace_text(&trace)),
    }
}

async fn cause(connector: &Connector, login: &str, password: &str) -> String {
    match attempt(connector, login, password, &mut Trace::default()).await {
        Err(unavailable) => unavailable.cause().to_owned(),
        other => panic!("{login}: {other:?}"),
    }
}

async fn ask_again(connector: &Connector, before: &SignedIn) -> RefreshOutcome {
    let refresh = connector.refresh.as_ref().expect("LDAP can be refreshed");
    let known = RefreshRequest {
        identity: &before.identity,
        upstream: before.upstream.as_ref(),
        login_scopes: ALL,
        now: NOW,
    };
    refresh.refresh(known, &mut Trace::default()).await.expect("the directory answers")
}

fn trace_text(trace: &Trace) -> String {
    let steps = trace.steps().iter().map(|step| format!("{:?} {}", step.kind, step.text));
    steps.collect::<Vec<_>>().join("\n")
}
