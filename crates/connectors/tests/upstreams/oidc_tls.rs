//! Threats 100 and 105: the upstream is authenticated by its certificate.

use crate::oidc::{connector, keys, login};
use crate::provider::Provider;
use base64::Engine;

use crate::steps::{ALL, accepted, broken, configured, login_url, replaced};
use crate::tree::{list, plain, text};
use crate::web::Shown;

#[tokio::test]
async fn threat_105_only_a_certificate_of_the_configured_authority_is_accepted() {
    let (provider, pem) = Provider::start_tls(Shown::SelfSigned).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &pem).unwrap();
    let inline = base64::engine::general_purpose::STANDARD.encode(&pem);
    for root in [file.to_str().unwrap(), pem.as_str(), inline.as_str()] {
        let trusting = connector(&provider, vec![("rootCAs", list(vec![text(root)]))]);
        accepted(login(&provider, &trusting).await);
    }
    let cause = broken(login_url(&connector(&provider, vec![]), ALL).await);
    assert!(cause.contains("certificate") || cause.contains("UnknownIssuer"), "{cause}");
    let (_, other) = Provider::start_tls(Shown::SelfSigned).await;
    let wrong = connector(&provider, vec![("rootCAs", list(vec![text(other)]))]);
    assert!(login_url(&wrong, ALL).await.is_err());
}

#[tokio::test]
async fn threat_100_an_expired_certificate_is_refused_and_reported() {
    let (provider, pem) = Provider::start_tls(Shown::Expired).await;
    let connector = connector(&provider, vec![("rootCAs", list(vec![text(pem)]))]);
    let cause = broken(login_url(&connector, ALL).await);
    assert!(cause.to_lowercase().contains("expired"), "{cause}");
}

#[tokio::test]
async fn threat_105_skipping_the_check_is_for_one_connector_and_warned_of() {
    let (provider, _) = Provider::start_tls(Shown::Expired).await;
    let skipping = replaced(keys(&provider), vec![("insecureSkipVerify", plain("true"))]);
    let (careless, problems) = configured("oidc", skipping);
    assert!(
        problems.iter().any(|p| p.contains("insecureSkipVerify: lets anybody")),
        "{problems:?}"
    );
    accepted(login(&provider, &careless.unwrap()).await);
    assert!(
        login_url(&connector(&provider, vec![]), ALL).await.is_err(),
        "the next one is careful"
    );
}
