//! GitHub's configuration: errors, each kind of GitHub server, and the diagnosis.

use countersign_core::Trace;
use countersign_core::connector::{Fingerprint, LoginMethod};

use crate::fake_github::GitHub;
use crate::github::{connector, keys};
use crate::steps::{ALL, Keys, broken, configured, login_url, now, replaced, sound, trace_text};
use crate::tree::{list, map, plain, text};

#[tokio::test]
async fn a_diagnosis_reports_whether_github_accepts_the_client() {
    let fake = GitHub::start().await;
    let diagnose = async |with: Keys| {
        let connector = connector(&fake, with);
        let LoginMethod::Redirect(method) = &connector.login_method else { panic!() };
        let mut trace = Trace::default();
        (method.diagnose(None, now(), &mut trace).await, trace_text(&trace))
    };
    let (diagnosis, trace) = diagnose(vec![]).await;
    assert_eq!(diagnosis.unwrap(), None);
    assert!(trace.contains("accepts the client id and secret"), "{trace}");
    let (diagnosis, _) = diagnose(vec![("clientSecret", text("another"))]).await;
    let reason = broken(diagnosis);
    assert!(reason.contains("incorrect_client_credentials"), "{reason}");
}

#[tokio::test]
async fn configuration_errors_are_reported() {
    let fake = GitHub::start().await;
    let org = |name: &str| map(vec![("name", text(name))]);
    let wrong = vec![
        ("hostName", text("https://github.example.com/")),
        ("rootCA", text("/nowhere/ca.pem")),
        ("teamNameField", text("title")),
        ("preferredEmailDomain", text("jane@example.com")),
        ("orgs", list(vec![org("Acme Inc."), map(vec![("team", text("x"))])])),
    ];
    let (_, problems) = configured("github", replaced(keys(&fake), wrong));
    for expected in [
        "hostName: found \"https://github.example.com/\"",
        "rootCA: cannot read /nowhere/ca.pem",
        "teamNameField: found \"title\"",
        "preferredEmailDomain: found",
        "orgs[0].name: found \"Acme Inc.\"",
        "orgs[1].name: is missing",
        "orgs[1].team: is not a known key",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:#?}");
    }
    let both = vec![("org", text("acme")), ("orgs", list(vec![org("acme")]))];
    let (connector, problems) = configured("github", replaced(keys(&fake), both));
    assert!(connector.is_none() && problems[0].contains("together with"), "{problems:?}");
    let legacy = vec![("org", text("acme")), ("loadAllGroups", plain("true"))];
    let (connector, problems) = configured("github", replaced(keys(&fake), legacy));
    assert!(connector.is_some() && problems.len() == 2, "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("lets everybody in")), "{problems:?}");

    // The URLs of each kind of GitHub server.
    for (host, web) in [
        ("", "https://github.com"),
        ("octo.ghe.com", "https://octo.ghe.com"),
        ("GitHub.example.com:8443", "https://github.example.com:8443"),
    ] {
        let mut keys = replaced(keys(&fake), vec![("hostName", text(host))]);
        keys.retain(|(name, _)| *name != "apiURLs");
        let connector = sound("github", keys);
        assert_eq!(connector.fingerprint, Fingerprint::Upstream(format!("github:{web}")));
        let url = login_url(&connector, ALL).await.unwrap().url;
        assert!(url.as_str().starts_with(&format!("{web}/login/oauth/authorize?")), "{url}");
    }
}
