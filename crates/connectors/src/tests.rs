use countersign_config::Node;
use countersign_core::connector::{
    AccountDiagnosis, Fingerprint, LoginMethod, LoginOutcome, RefreshOutcome, RefreshRequest,
    Refusal, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, LoginScopes, Secret, Timestamp, Trace};

use crate::tree::{map, text};
use crate::{check_kind, kinds, read, tree};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn read_one(kind: &str, config: Node) -> (Option<Connector>, Vec<String>) {
    tree::read(config, |section| read(kind, ConnectorId::new("x"), "X".into(), Some(section)))
}

#[test]
fn an_unknown_connector_type_is_reported_with_the_nearest_known_one() {
    let (connector, problems) = read_one("ldab", map(vec![]));
    assert!(connector.is_none());
    assert!(problems[0].ends_with("did you mean ldap?"), "{problems:?}");
}

/// All connector types of Dex.
#[test]
fn every_type_of_dex_is_known() {
    for kind in [
        "atlassian-crowd",
        "authproxy",
        "bitbucket-cloud",
        "gitea",
        "github",
        "gitlab",
        "google",
        "keystone",
        "ldap",
        "linkedin",
        "microsoft",
        "mockCallback",
        "mockPassword",
        "oauth",
        "oidc",
        "openshift",
        "saml",
        "samlExperimental",
    ] {
        assert_eq!(check_kind(kind, true), Ok(()));
        // An empty section is refused because of its missing keys, without a panic.
        let (connector, problems) = read_one(kind, map(vec![]));
        assert!(connector.is_some() == (kind == "mockCallback"), "{kind}: {problems:?}");
    }
    assert!(kinds().contains(&"gitea"));
}

#[test]
fn a_connector_type_that_needs_a_config_is_refused_without_one() {
    assert_eq!(check_kind("ldap", false), Err("ldap needs a config".to_owned()));
    assert_eq!(check_kind("mockCallback", false), Ok(()));
    assert!(read("ldap", ConnectorId::new("x"), "X".into(), None).is_none());
    assert!(read("mockCallback", ConnectorId::new("x"), "X".into(), None).is_some());
}

fn upstream_login() -> UpstreamLogin {
    UpstreamLogin {
        callback: url::Url::parse("https://id.example.com/dex/callback").unwrap(),
        state: "a-state".into(),
        login_scopes: LoginScopes::default(),
        again: false,
        now: NOW,
    }
}

#[tokio::test]
async fn the_mock_user_signs_in() {
    let connector = read("mockCallback", ConnectorId::new("mock"), "Mock".into(), None).unwrap();
    let LoginMethod::Redirect(method) = &connector.login_method else { panic!("it is a redirect") };
    let redirect = method.login_url(&upstream_login()).await.unwrap();
    assert_eq!(redirect.url.path(), "/dex/callback");
    let query: Vec<(String, String)> = redirect.url.query_pairs().into_owned().collect();
    assert_eq!(query[0], ("state".into(), "a-state".into()));
    assert!(query[1].1.starts_with("mock-"));

    let mut trace = Trace::default();
    let back = method
        .handle_callback(&upstream_login(), &redirect.callback_state, &query, &mut trace)
        .await
        .unwrap();
    let LoginOutcome::Accepted(signed_in) = back else { panic!("{back:?}") };
    assert_eq!(signed_in.identity.user_id, "0-385-28089-0");
    assert_eq!(signed_in.identity.groups, ["authors"]);

    let refresh = connector.refresh.unwrap();
    assert!(refresh.needs_no_request());
    let known = RefreshRequest {
        identity: &signed_in.identity,
        upstream: None,
        login_scopes: LoginScopes::default(),
        now: NOW,
    };
    let again = refresh.refresh(known, &mut trace).await.unwrap();
    let RefreshOutcome::Current(again) = again else { panic!("{again:?}") };
    assert_eq!(again.identity, signed_in.identity);
}

#[tokio::test]
async fn a_code_of_another_upstream_login_or_an_error_is_refused() {
    let connector = read("mockCallback", ConnectorId::new("mock"), "Mock".into(), None).unwrap();
    let LoginMethod::Redirect(method) = &connector.login_method else { panic!("it is a redirect") };
    let redirect = method.login_url(&upstream_login()).await.unwrap();
    for (query, expected) in [
        (vec![("code", "mock-other")], "invalid_grant"),
        (vec![], "invalid_grant"),
        (vec![("error", "access_denied")], "access_denied"),
    ] {
        let query: Vec<_> = query.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        let back = method
            .handle_callback(
                &upstream_login(),
                &redirect.callback_state,
                &query,
                &mut Trace::default(),
            )
            .await;
        let Ok(LoginOutcome::Refused(Refusal::UpstreamDenied { code })) = back else {
            panic!("{back:?}")
        };
        assert_eq!(code, expected);
    }
}

#[tokio::test]
async fn the_mock_password_opens_for_its_two_words_only() {
    let config = map(vec![("username", text("kilgore")), ("password", text("trout"))]);
    let (connector, problems) = read_one("mockPassword", config);
    assert!(problems.is_empty(), "{problems:?}");
    let connector = connector.unwrap();
    assert_eq!(connector.fingerprint, Fingerprint::Upstream("mockPassword".into()));
    let LoginMethod::Password(method) = connector.login_method else { panic!("it is a password") };
    assert_eq!(method.prompt(), "Username");
    for (name, password, is_accepted) in [
        ("kilgore", "trout", true),
        ("kilgore", "Trout", false),
        ("Kilgore", "trout", false),
        ("", "", false),
    ] {
        let login = method
            .login(name, &Secret::new(password), LoginScopes::default(), &mut Trace::default())
            .await;
        assert_eq!(
            matches!(login, Ok(LoginOutcome::Accepted(_))),
            is_accepted,
            "{name} {password}"
        );
    }
    let diagnosis = method.diagnose("kilgore", &mut Trace::default()).await;
    let Ok(AccountDiagnosis::Found(identity)) = diagnosis else { panic!("{diagnosis:?}") };
    assert_eq!(identity.username, "Kilgore Trout");
    let diagnosis = method.diagnose("Kilgore", &mut Trace::default()).await;
    assert!(matches!(diagnosis, Ok(AccountDiagnosis::Refused { .. })), "{diagnosis:?}");
}

#[test]
fn the_mock_password_needs_both_words() {
    let (connector, problems) = read_one("mockPassword", map(vec![("pasword", text("x"))]));
    assert!(connector.is_none());
    assert_eq!(
        problems,
        [
            "0:3: password: is missing",
            "0:3: username: is missing",
            "1:1: pasword: is not a known key, did you mean password?"
        ]
    );
}
