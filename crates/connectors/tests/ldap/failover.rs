//! Several hosts, kept connections, and broken connections.

use std::time::{Duration, Instant};

use countersign_core::Trace;

use crate::hostile::Impostor;
use crate::slapd::{PASSWORD, Slapd};
use crate::tree::{plain, text};
use crate::{at, attempt, cause, connector, refusal, sign_in, trace_text};

#[tokio::test]
async fn a_dead_host_is_skipped_and_then_tried_last() {
    let Some(slapd) = Slapd::start() else { return };
    let silent = Impostor::silent().await;
    let hosts = format!("127.0.0.1:1, 127.0.0.1:{}, 127.0.0.1:{}", silent.port, slapd.port);
    let keys = vec![("host", text(hosts)), ("timeout", plain("3s"))];
    let ldap = connector(keys, vec![]);
    sign_in(&ldap, "jane", PASSWORD).await;
    let begun = Instant::now();
    let mut trace = Trace::default();
    attempt(&ldap, "joe", PASSWORD, &mut trace).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    assert!(
        trace_text(&trace).contains(&format!("a bound connection to 127.0.0.1:{}", slapd.port))
    );
}

#[tokio::test]
async fn the_service_connection_is_kept_and_nobody_inherits_an_identity() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    for name in ["jane", "joe", "nobody", "jane"] {
        let password = if name == "joe" { "wrong" } else { PASSWORD };
        let _ = attempt(&ldap, name, password, &mut Trace::default()).await.unwrap();
    }
    let log = slapd.log();
    let service_binds = log.matches("BIND dn=\"cn=service,dc=example,dc=org\" method=").count();
    assert_eq!(service_binds, 1, "one connection served all four");
    let service = log.lines().find(|line| line.contains("BIND dn=\"cn=service")).unwrap();
    let connection = service.split_whitespace().find(|word| word.starts_with("conn=")).unwrap();
    let on_it = |line: &&str| line.split_whitespace().any(|word| word == connection);
    assert!(!log.lines().filter(on_it).any(|line| line.contains("BIND dn=\"uid=")));
    assert_eq!(
        log.lines().filter(on_it).filter(|line| line.contains("SRCH base=\"ou=P")).count(),
        4
    );
}

#[tokio::test]
async fn a_connection_that_broke_while_it_was_kept_is_replaced() {
    let (Some(mut first), Some(second)) = (Slapd::start(), Slapd::start()) else { return };
    let hosts = format!("127.0.0.1:{}, 127.0.0.1:{}", first.port, second.port);
    let ldap = connector(vec![("host", text(hosts))], vec![]);
    sign_in(&ldap, "jane", PASSWORD).await;
    first.stop();
    sign_in(&ldap, "jane", PASSWORD).await;
    assert!(second.log().contains("BIND dn=\"uid=jane"));
}

#[tokio::test]
async fn a_directory_that_recovers_is_used_again() {
    let Some(mut slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    sign_in(&ldap, "jane", PASSWORD).await;
    slapd.stop();
    cause(&ldap, "jane", PASSWORD).await;
    slapd.start_again();
    sign_in(&ldap, "jane", PASSWORD).await;
}

#[tokio::test]
async fn many_logins_at_once_share_the_pool() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd), ("poolSize", plain("2"))], vec![]);
    let logins: Vec<_> = (0..20)
        .map(|_| {
            let ldap = ldap.clone();
            tokio::spawn(async move { sign_in(&ldap, "jane", PASSWORD).await })
        })
        .collect();
    for login in logins {
        assert_eq!(login.await.unwrap().identity.username, "Jane Doe");
    }
    let log = slapd.log();
    assert!(log.matches("BIND dn=\"cn=service,dc=example,dc=org\" method=").count() <= 2);
    refusal(&ldap, "joe", "wrong").await;
}
