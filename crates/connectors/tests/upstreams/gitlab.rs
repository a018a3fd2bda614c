//! GitLab: the identity, group paths and roles as Dex spells them, and refresh tokens that can be used once.

use countersign_core::connector::{Fingerprint, RefreshOutcome, Refusal};
use countersign_core::{Connector, LoginScopes, Secret};
use serde_json::{Value, json};

use crate::fake_gitlab::{Fake, OWNER, fake};
use crate::steps::{
    ALL, CALLBACK, Keys, accepted, broken, configured, current, handle_callback, login_url,
    missing, refresh, refused, replaced, sound,
};
use crate::tree::{list, plain, text};
use crate::web::Reply;

fn keys(fake: &Fake) -> Keys {
    vec![
        ("baseURL", text(format!("{}/", fake.web.url))),
        ("clientID", text("client")),
        ("clientSecret", text("secret")),
        ("redirectURI", text(CALLBACK)),
        ("timeout", text("1s")),
    ]
}

fn connector(fake: &Fake, with: Keys) -> Connector {
    sound("gitlab", replaced(keys(fake), with))
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
    let connector = connector(&fake, vec![]);
    assert_eq!(connector.fingerprint, Fingerprint::Upstream(format!("gitlab:{}", fake.web.url)));
    assert!(!connector.refresh.as_ref().unwrap().needs_offline_login());
    let url = login_url(&connector, ALL).await.unwrap().url;
    assert!(url.path() == "/oauth/authorize" && url.as_str().contains("scope=read_user+openid&"));
    let jane = accepted(login(&connector, ALL).await);
    assert_eq!(jane.identity.user_id, "42");
    assert_eq!(jane.identity.username, "Jane Doe");
    assert_eq!(jane.identity.preferred_username, "jane");
    assert_eq!(jane.identity.email, "jane@example.com");
    assert!(jane.identity.email_verified);
    assert_eq!(
        jane.upstream.unwrap().expose(),
        r#"{"accessToken":"access-1","refreshToken":"refresh-1"}"#
    );
    let without = accepted(login(&connector, LoginScopes::default()).await);
    assert!(without.identity.groups.is_empty());
    let url = login_url(&connector, LoginScopes::default()).await.unwrap().url;
    assert!(url.as_str().contains("scope=read_user&"), "{url}");
}

#[tokio::test]
async fn groups_are_paths_with_roles_beside_them_as_dex_spells_them() {
    let permissions = || ("getGroupsPermission", plain("true"));
    let inherited = || ("inheritedGroups", plain("true"));
    let only = |names: &[&str]| ("groups", list(names.iter().map(|name| text(*name)).collect()));
    for (with, expected) in [
        (vec![], vec!["ops", "ops/dev", "web"]),
        (
            vec![permissions()],
            vec!["ops", "ops/dev", "web", "ops:owner", "ops/dev:owner", "web:developer"],
        ),
        (vec![only(&["web", "none"])], vec!["web"]),
        (vec![only(&["ops:owner", "ops"]), permissions()], vec!["ops", "ops:owner"]),
        (vec![inherited()], vec!["ops", "ops/dev/deep", "opsy", "side", "shut", "odd"]),
        (
            vec![inherited(), permissions()],
            vec![
                "ops",
                "ops/dev/deep",
                "opsy",
                "side",
                "shut",
                "odd",
                "ops:owner",
                "ops/dev/deep:owner",
                "opsy:guest",
                "side:minimal_access",
            ],
        ),
    ] {
        let fake = fake().await;
        {
            let mut instance = fake.instance.lock().unwrap();
            let paths = ["ops", "ops/dev/deep", "opsy", "side", "shut", "odd"];
            instance.groups = paths.map(str::to_owned).into();
            instance.levels = vec![(2, 10), (3, 5), (5, 7)];
        }
        let jane = accepted(login(&connector(&fake, with), ALL).await);
        assert_eq!(jane.identity.groups, expected);
    }
}

#[tokio::test]
async fn all_pages_are_read_and_no_more() {
    let fake = fake().await;
    fake.instance.lock().unwrap().groups = (0..200).map(|n| format!("g{n}")).collect();
    let connector = connector(&fake, vec![("inheritedGroups", plain("true"))]);
    let url = login_url(&connector, ALL).await.unwrap().url;
    assert!(url.as_str().contains("scope=read_user+openid+read_api&"), "{url}");
    assert_eq!(accepted(login(&connector, ALL).await).identity.groups.len(), 200);
    assert_eq!(fake.web.requests("/api/v4/groups").len(), 3);
}

#[tokio::test]
async fn the_name_may_be_the_id_and_an_unconfirmed_address_is_not_verified() {
    let fake = fake().await;
    let connector = connector(&fake, vec![("useLoginAsID", plain("true"))]);
    fake.instance.lock().unwrap().user["name"] = "".into();
    let jane = accepted(login(&connector, ALL).await).identity;
    assert_eq!((jane.user_id.as_str(), jane.username.as_str()), ("jane", "jane@example.com"));
    fake.instance.lock().unwrap().user["confirmed_at"] = Value::Null;
    assert!(!accepted(login(&connector, ALL).await).identity.email_verified);
}

#[tokio::test]
async fn null_instead_of_a_list_of_groups_is_an_empty_list() {
    let fake = fake().await;
    let connector = connector(&fake, vec![("getGroupsPermission", plain("true"))]);
    {
        let mut instance = fake.instance.lock().unwrap();
        instance.info["groups"] = json!(["ops"]);
        instance.info[OWNER] = Value::Null;
    }
    assert_eq!(accepted(login(&connector, ALL).await).identity.groups, ["ops"]);
    fake.instance.lock().unwrap().info["groups"] = Value::Null;
    assert!(accepted(login(&connector, ALL).await).identity.groups.is_empty());
}

#[tokio::test]
async fn a_user_in_no_required_group_is_refused_whatever_scopes_were_requested() {
    let fake = fake().await;
    let connector = connector(&fake, vec![("groups", list(vec![text("board")]))]);
    for login_scopes in [ALL, LoginScopes::default()] {
        let required = vec!["board".to_owned()];
        let refusal = refused(login(&connector, login_scopes).await);
        assert_eq!(refusal, Refusal::NotInRequiredGroup { required });
    }
}

#[tokio::test]
async fn a_refresh_rereads_and_a_token_used_before_a_failure_is_kept() {
    let fake = fake().await;
    let connector = connector(&fake, vec![]);
    let jane = accepted(login(&connector, ALL).await);
    fake.instance.lock().unwrap().broken = Some(("/oauth/userinfo", Reply::Json(502, json!({}))));
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("502"));
    let refreshing = connector.refresh.as_ref().unwrap();
    let next = refreshing.successor(jane.upstream.as_ref().unwrap()).await.unwrap();
    assert!(next.expose().contains("refresh-2"), "it is stored with the session");
    {
        let mut instance = fake.instance.lock().unwrap();
        instance.broken = None;
        instance.info["groups"] = json!(["new"]);
    }
    let again = current(refresh(&connector, &jane, ALL).await);
    assert_eq!(again.identity.groups, ["new"]);
    assert!(again.upstream.as_ref().unwrap().expose().contains("refresh-2"));
    let third = current(refresh(&connector, &again, ALL).await);
    assert!(third.upstream.as_ref().unwrap().expose().contains("refresh-3"));
    // GitLab refuses a refresh token two generations old, and the connector remembers only the last response.
    let mut old = jane.clone();
    old.upstream = Some(Secret::new(r#"{"accessToken":"x","refreshToken":"refresh-0"}"#));
    assert!(missing(refresh(&connector, &old, ALL).await).contains("invalid_grant"));
}

#[tokio::test]
async fn a_blocked_account_ends_and_a_dead_access_token_is_missing() {
    let fake = fake().await;
    let connector = connector(&fake, vec![]);
    let mut jane = accepted(login(&connector, ALL).await);
    jane.upstream = Some(Secret::new(r#"{"accessToken":"an old one"}"#));
    current(refresh(&connector, &jane, ALL).await);
    fake.instance.lock().unwrap().user["state"] = "blocked".into();
    assert!(matches!(refresh(&connector, &jane, ALL).await, Ok(RefreshOutcome::Disabled)));
    assert_eq!(refused(login(&connector, ALL).await), Refusal::AccountDisabled);
    let forbidden = |message: &str| Reply::Json(403, json!({ "message": message }));
    let blocked = forbidden("403 Forbidden - Your account has been blocked.");
    fake.instance.lock().unwrap().broken = Some(("/api/v4/user", blocked));
    assert!(matches!(refresh(&connector, &jane, ALL).await, Ok(RefreshOutcome::Disabled)));
    fake.instance.lock().unwrap().broken = Some(("/api/v4/user", forbidden("403 Forbidden")));
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("403"));
    fake.instance.lock().unwrap().broken = None;
    jane.upstream = Some(Secret::new(r#"{"accessToken":"a dead one"}"#));
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("access token"));
    jane.upstream = None;
    crate::steps::not_possible(refresh(&connector, &jane, ALL).await);
}

#[tokio::test]
async fn unexpected_responses_and_configuration_errors_are_reported() {
    let fake = fake().await;
    let connector = connector(&fake, vec![("getGroupsPermission", plain("true"))]);
    for (path, reply) in [
        ("/api/v4/user", Reply::ok(json!({ "id": "42", "username": "jane" }))),
        ("/api/v4/user", Reply::ok(json!({ "username": "jane" }))),
        ("/oauth/userinfo", Reply::ok(json!({ "groups": "admins" }))),
        ("/oauth/userinfo", Reply::ok(json!({ "groups": ["a"], OWNER: true }))),
        ("/oauth/userinfo", Reply::Endless),
        ("/oauth/token", Reply::Redirect("/elsewhere".to_owned())),
    ] {
        fake.instance.lock().unwrap().broken = Some((path, reply));
        broken(login(&connector, ALL).await);
    }
    let wrong = vec![("rootCAData", text("bm8gUEVN")), ("baseURL", text("gitlab"))];
    let (_, problems) = configured("gitlab", replaced(keys(&fake), wrong));
    for expected in ["rootCAData: holds no certificate", "baseURL: found \"gitlab\""] {
        assert!(problems.iter().any(|p| p.contains(expected)), "{problems:?}");
    }
}
