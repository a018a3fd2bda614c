//! The duration of an attempt must not reveal whether the account exists: every attempt makes exactly one bind.

use countersign_connectors::ldap::UserBinds;
use countersign_core::Trace;
use countersign_core::connector::Refusal;

use crate::hostile::Impostor;
use crate::slapd::{PASSWORD, Slapd};
use crate::tree::{plain, text};
use crate::{at, attempt, cause, connector, connector_counting, refusal, sign_in, trace_text};

/// The number of binds that the server logged, except those of the service user.
fn binds_seen(slapd: &Slapd) -> usize {
    let log = slapd.log();
    let binds = log.lines().filter(|line| line.contains(" BIND dn=") && line.contains(" method="));
    binds.filter(|line| !line.contains("dn=\"cn=service,")).count()
}

#[tokio::test]
async fn every_attempt_costs_exactly_one_bind_on_a_connection_of_its_own() {
    let Some(slapd) = Slapd::start() else { return };
    let binds = UserBinds::default();
    let ldap = connector_counting(vec![at(&slapd)], vec![], binds.clone());
    for (name, password, expected) in [
        ("nobody", PASSWORD, Refusal::BadCredentials),
        ("jane", "wrong", Refusal::BadCredentials),
        ("twin", PASSWORD, Refusal::BadCredentials),
        ("off", PASSWORD, Refusal::AccountDisabled),
        ("off", "wrong", Refusal::BadCredentials),
        ("locked", PASSWORD, Refusal::AccountLocked),
        ("expired", PASSWORD, Refusal::PasswordExpired),
    ] {
        let before = (binds.count(), binds_seen(&slapd));
        assert_eq!(refusal(&ldap, name, password).await, expected, "{name}");
        let after = (binds.count(), binds_seen(&slapd));
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{name} {password}");
    }
    sign_in(&ldap, "jane", PASSWORD).await;
    assert_eq!(binds.count(), 8);
    let connections = slapd.log().matches(" ACCEPT from ").count();
    // Each listener was connected to once when the server started; one connection is the service user's.
    assert_eq!(connections, 2 + 1 + 8);
    refusal(&ldap, "jane", "").await;
    refusal(&ldap, "nobody", "").await;
    assert_eq!(binds.count(), 8, "an empty password costs nothing for any user");
}

#[tokio::test]
async fn the_dummy_bind_locks_no_account_and_never_sends_the_typed_password() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    for _ in 0..5 {
        refusal(&ldap, "twin", "typed-by-somebody").await;
    }
    let mut trace = Trace::default();
    attempt(&ldap, "nobody", "typed-by-somebody", &mut trace).await.unwrap();
    let steps = trace_text(&trace);
    assert!(steps.contains("as cn=countersign-nobody-"), "{steps}");
    assert!(steps.contains("to take as long as a wrong password"), "{steps}");
    assert!(!steps.contains("typed-by-somebody"), "{steps}");
    assert_eq!(sign_in(&ldap, "twin1@example.org", PASSWORD).await.identity.username, "Twin One");
    let log = slapd.log();
    let nobody = "dn=\"cn=countersign-nobody-4e1c9b52d07a6f83,ou=People,dc=example,dc=org\"";
    assert_eq!(log.matches(nobody).count(), 6, "{log}");
}

#[tokio::test]
async fn a_server_that_accepts_the_dummy_bind_admits_no_user() {
    let found_none = b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00".to_vec();
    let bind_response = Impostor::bound();
    let impostor = Impostor::saying(vec![bind_response, found_none]).await;
    let host = ("host", text(format!("127.0.0.1:{}", impostor.port)));
    let ldap = connector(vec![host, ("timeout", plain("2s"))], vec![]);
    assert_eq!(refusal(&ldap, "nobody", "bar").await, Refusal::BadCredentials);
}

#[tokio::test]
async fn a_server_that_refuses_such_binds_is_the_administrators_matter_for_every_name() {
    let found_none = b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00".to_vec();
    let demands_tls = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x0d\x04\x00\x04\x00".to_vec();
    let first = vec![Impostor::bound(), found_none];
    let impostor = Impostor::saying_by_turns(vec![first, vec![demands_tls]]).await;
    let host = ("host", text(format!("127.0.0.1:{}", impostor.port)));
    let ldap = connector(vec![host, ("timeout", plain("2s"))], vec![]);
    assert!(cause(&ldap, "nobody", "bar").await.contains("it demands TLS"));
}
