//! Microsoft: the user and the groups of Graph, as Dex spells them.

use countersign_core::connector::{Fingerprint, Refusal};
use countersign_core::{Connector, LoginScopes};
use serde_json::json;

use crate::graph::{Fake, MEMBERS, NAMES, TOKEN, fake};
use crate::steps::{
    ALL, CALLBACK, Keys, accepted, broken, configured, current, handle_callback, login_url,
    missing, refresh, refused, replaced, sound,
};
use crate::tree::{list, plain, text};
use crate::web::Reply;

fn keys(fake: &Fake) -> Keys {
    vec![
        ("apiURL", text(&fake.web.url)),
        ("graphURL", text(format!("{}/", fake.web.url))),
        ("clientID", text("client")),
        ("clientSecret", text("secret")),
        ("redirectURI", text(CALLBACK)),
        ("tenant", text("contoso.example")),
        ("timeout", text("2s")),
    ]
}

fn connector(fake: &Fake, with: Keys) -> Connector {
    sound("microsoft", replaced(keys(fake), with))
}

async fn login(
    connector: &Connector,
    login_scopes: LoginScopes,
) -> Result<countersign_core::connector::LoginOutcome, countersign_core::connector::ConnectorError>
{
    let redirect = login_url(connector, login_scopes).await.unwrap();
    let query = [("code", "c"), ("state", "the-state")];
    let query: Vec<_> = query.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    handle_callback(connector, &redirect, &query, login_scopes).await.0
}

#[tokio::test]
async fn janes_identity_is_the_one_dex_would_return() {
    let fake = fake().await;
    let with = vec![("promptType", text("select_account")), ("domainHint", text("example.com"))];
    let connector = connector(&fake, with);
    let fingerprint = format!("microsoft:{}/contoso.example", fake.web.url);
    assert_eq!(connector.fingerprint, Fingerprint::Upstream(fingerprint));
    assert!(connector.refresh.as_ref().unwrap().needs_offline_login());
    let url = login_url(&connector, ALL).await.unwrap().url;
    assert_eq!(url.path(), "/contoso.example/oauth2/v2.0/authorize");
    for part in [
        "scope=user.read+directory.read.all+offline_access&",
        "prompt=select_account",
        "domain_hint=example.com",
        "code_challenge_method=S256",
    ] {
        assert!(url.as_str().contains(part), "{part} in {url}");
    }
    let jane = accepted(login(&connector, ALL).await);
    assert_eq!(jane.identity.user_id, "7f1c");
    assert_eq!(jane.identity.username, "Jane Doe");
    assert_eq!(jane.identity.preferred_username, "");
    assert_eq!(jane.identity.email, "Jane@Example.com");
    assert!(jane.identity.email_verified);
    assert_eq!(jane.upstream.unwrap().expose(), r#"{"refreshToken":"refresh-0"}"#);
    let url = login_url(&connector, LoginScopes::default()).await.unwrap().url;
    assert!(url.as_str().contains("scope=user.read&"), "{url}");
}

#[tokio::test]
async fn groups_are_named_as_dex_names_them() {
    let only = |names: &[&str]| ("groups", list(names.iter().map(|name| text(*name)).collect()));
    let listed = || ("useGroupsAsWhitelist", plain("true"));
    for (with, expected) in [
        (vec![], vec!["ID 0", "ID 2"]),
        (vec![("groupNameFormat", text("id"))], vec!["id-0", "id-1", "id-2"]),
        (vec![("onlySecurityGroups", plain("true"))], vec!["SEC 0", "SEC 1", "SEC 2"]),
        // Required groups permit the login, and the others are returned too …
        (vec![only(&["ID 2", "none"])], vec!["ID 0", "ID 2"]),
        // … unless they are an allowlist.
        (vec![only(&["ID 2", "none"]), listed()], vec!["ID 2"]),
        (vec![listed()], vec![]),
        (vec![("tenant", text("common"))], vec![]),
    ] {
        let fake = fake().await;
        let common = with.iter().any(|(key, _)| *key == "tenant");
        let connector = connector(&fake, with);
        if common {
            let url = login_url(&connector, ALL).await.unwrap().url;
            assert!(url.as_str().contains("scope=user.read+offline_access&"), "{url}");
            continue;
        }
        assert_eq!(accepted(login(&connector, ALL).await).identity.groups, expected);
    }
}

#[tokio::test]
async fn a_user_in_more_groups_than_a_token_holds_has_them_all() {
    let fake = fake().await;
    fake.directory.lock().unwrap().groups = 2501;
    let groups = accepted(login(&connector(&fake, vec![]), ALL).await).identity.groups;
    assert_eq!(groups.len(), 2500, "one of them has no name");
    assert_eq!(fake.web.requests(NAMES).len(), 3);
    fake.directory.lock().unwrap().groups = 10_001;
    assert!(broken(login(&connector(&fake, vec![]), ALL).await).contains("over 10000"));
}

#[tokio::test]
async fn names_and_addresses_come_from_the_configured_fields() {
    for (field, expected) in [
        ("name", "Jane Doe"),
        ("email", "jane@example.com"),
        ("mailNickname", "jane"),
        ("onPremisesSamAccountName", ""),
    ] {
        let fake = fake().await;
        let with =
            vec![("preferredUsernameField", text(field)), ("emailToLowercase", plain("true"))];
        let connector = connector(&fake, with);
        let jane = accepted(login(&connector, ALL).await);
        assert_eq!(jane.identity.preferred_username, expected);
        let again = current(refresh(&connector, &jane, ALL).await);
        assert_eq!(again.identity.email, "jane@example.com", "also at a refresh, unlike Dex");
    }
}

#[tokio::test]
async fn who_is_in_no_required_group_is_refused_and_at_a_refresh_missing() {
    let fake = fake().await;
    let connector = connector(&fake, vec![("groups", list(vec![text("ID 2")]))]);
    let jane = accepted(login(&connector, LoginScopes::default()).await);
    fake.directory.lock().unwrap().groups = 2;
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("ID 2"));
    let refusal = refused(login(&connector, ALL).await);
    assert_eq!(refusal, Refusal::NotInRequiredGroup { required: vec!["ID 2".to_owned()] });
}

#[tokio::test]
async fn a_client_may_prove_itself_by_a_file_that_is_read_each_time() {
    let fake = fake().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "stale").unwrap();
    let keys: Keys = keys(&fake).into_iter().filter(|(key, _)| *key != "clientSecret").collect();
    let with = vec![("clientAssertion", text(file.to_str().unwrap()))];
    let connector = sound("microsoft", replaced(keys, with));
    assert!(broken(login(&connector, ALL).await).contains("invalid_client"));
    std::fs::write(&file, "a.b.c\n").unwrap();
    accepted(login(&connector, ALL).await);
    std::fs::remove_file(&file).unwrap();
    assert!(broken(login(&connector, ALL).await).contains("clientAssertion"));
}

#[tokio::test]
async fn refusals_and_unexpected_responses_are_distinguished() {
    let fake = fake().await;
    let connector = connector(&fake, vec![]);
    let jane = accepted(login(&connector, ALL).await);
    for (path, reply, expected) in [
        (MEMBERS, Reply::Json(403, json!({ "error": { "code": "x" } })), "Directory.Read.All"),
        (MEMBERS, Reply::ok(json!({ "value": "admins" })), "JSON"),
        (
            MEMBERS,
            Reply::ok(json!({ "value": [], "@odata.nextLink": "https://evil.example.com/" })),
            "another host",
        ),
        (NAMES, Reply::Json(500, json!({})), "500"),
        ("/v1.0/me", Reply::ok(json!({ "displayName": "nobody" })), "JSON"),
        ("/v1.0/me", Reply::ok(json!({ "id": "" })), "lacks id"),
        (TOKEN, Reply::Json(500, json!({})), "500"),
    ] {
        fake.directory.lock().unwrap().broken = Some((path, reply));
        let cause = broken(refresh(&connector, &jane, ALL).await);
        assert!(cause.contains(expected), "{cause}");
    }
    let gone = Reply::Json(400, json!({ "error": "invalid_grant" }));
    fake.directory.lock().unwrap().broken = Some((TOKEN, gone));
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("invalid_grant"));
}

#[tokio::test]
async fn configuration_errors_are_reported() {
    let fake = fake().await;
    let wrong = vec![
        ("tenant", text("common")),
        ("groups", list(vec![text("staff")])),
        ("groupNameFormat", text("names")),
        ("preferredUsernameField", text("mail")),
        ("batchGroupLookups", plain("true")),
    ];
    let (connector, problems) = configured("microsoft", replaced(keys(&fake), wrong));
    assert!(connector.is_none());
    for expected in [
        "groups: lets everybody in",
        "groupNameFormat: found \"names\"",
        "preferredUsernameField: found \"mail\"",
        "batchGroupLookups: has no effect here",
    ] {
        assert!(problems.iter().any(|p| p.contains(expected)), "{expected} in {problems:?}");
    }
    let (_, problems) =
        configured("microsoft", replaced(keys(&fake), vec![("tenant", text("../x"))]));
    assert!(problems[0].contains("tenant: found \"../x\""), "{problems:?}");
}
