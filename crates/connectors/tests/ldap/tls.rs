//! Certificates, StartTLS, and what is never sent in clear text.

use countersign_config::Node;

use crate::slapd::{Certificate, PASSWORD, Slapd};
use crate::tree::{plain, text};
use crate::{cause, connector, refusal, sign_in};

fn secured(slapd: &Slapd, host: String) -> Vec<(&'static str, Node)> {
    vec![
        ("host", text(host)),
        ("insecureNoSSL", plain("false")),
        ("rootCA", text(slapd.file("ca.pem").display().to_string())),
    ]
}

fn start_tls(slapd: &Slapd) -> Vec<(&'static str, Node)> {
    let mut keys = secured(slapd, format!("localhost:{}", slapd.port));
    keys.push(("startTLS", plain("true")));
    keys
}

#[tokio::test]
async fn tls_and_start_tls_to_names_and_addresses() {
    let Some(slapd) = Slapd::start() else { return };
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let keys = secured(&slapd, format!("{host}:{}", slapd.tls_port));
        sign_in(&connector(keys, vec![]), "jane", PASSWORD).await;
    }
    let ldap = connector(start_tls(&slapd), vec![]);
    sign_in(&ldap, "jane", PASSWORD).await;
    assert_eq!(
        refusal(&ldap, "jane", "wrong").await,
        countersign_core::connector::Refusal::BadCredentials
    );
}

#[tokio::test]
async fn a_self_signed_ca_certificate_is_accepted_if_it_is_configured_itself() {
    let Some(slapd) = Slapd::start_with(Certificate::SelfSignedCa, "") else { return };
    let Some(other) = Slapd::start_with(Certificate::SelfSignedCa, "") else { return };
    let keys = secured(&slapd, format!("localhost:{}", slapd.tls_port));
    sign_in(&connector(keys, vec![]), "jane", PASSWORD).await;
    sign_in(&connector(start_tls(&slapd), vec![]), "jane", PASSWORD).await;
    let keys = secured(&other, format!("localhost:{}", slapd.tls_port));
    let cause = cause(&connector(keys, vec![]), "jane", PASSWORD).await;
    assert!(cause.contains("the server's certificate is not acceptable"), "{cause}");
}

#[tokio::test]
async fn bad_certificates_are_refused_with_the_reason_and_nothing_is_sent() {
    for (certificate, host, reason) in [
        (Certificate::Expired, "localhost", "it has expired"),
        (Certificate::OtherHost, "localhost", "it is not for localhost"),
        (Certificate::SelfSignedCaExpired, "localhost", "it has expired"),
        (Certificate::SelfSignedCaOtherHost, "localhost", "it is not for localhost"),
    ] {
        let Some(slapd) = Slapd::start_with(certificate, "") else { return };
        let tls = secured(&slapd, format!("{host}:{}", slapd.tls_port));
        for keys in [tls, start_tls(&slapd)] {
            let cause = cause(&connector(keys, vec![]), "jane", PASSWORD).await;
            assert!(cause.contains(reason), "{certificate:?}: {cause}");
        }
        assert!(!slapd.log().contains("BIND"), "{certificate:?}");
    }
}

#[tokio::test]
async fn a_server_that_demands_a_certificate_is_shown_ours() {
    let Some(slapd) = Slapd::start_with(Certificate::FromCaDemandingOne, "") else { return };
    let mut keys = secured(&slapd, format!("localhost:{}", slapd.tls_port));
    cause(&connector(keys.clone(), vec![]), "jane", PASSWORD).await;
    for (key, file) in [("clientCert", "client.pem"), ("clientKey", "client.key")] {
        keys.push((key, text(slapd.file(file).display().to_string())));
    }
    sign_in(&connector(keys, vec![]), "jane", PASSWORD).await;
}

#[tokio::test]
async fn an_unknown_ca_is_refused_unless_verification_is_switched_off() {
    let Some(slapd) = Slapd::start() else { return };
    let Some(other) = Slapd::start() else { return };
    let host = || format!("localhost:{}", slapd.tls_port);
    let cause = cause(&connector(secured(&other, host()), vec![]), "jane", PASSWORD).await;
    assert!(cause.contains("it is signed by a CA that has only its name in common"), "{cause}");
    let mut keys = secured(&other, host());
    keys.push(("insecureSkipVerify", plain("true")));
    sign_in(&connector(keys, vec![]), "jane", PASSWORD).await;
}

#[tokio::test]
async fn tls_to_a_plain_port_is_explained() {
    let Some(slapd) = Slapd::start() else { return };
    let keys = secured(&slapd, format!("localhost:{}", slapd.port));
    let cause = cause(&connector(keys, vec![]), "jane", PASSWORD).await;
    assert!(cause.contains("localhost"), "{cause}");
    assert!(!slapd.log().contains("BIND"));
}
