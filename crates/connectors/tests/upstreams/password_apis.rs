//! `keystone` and `atlassian-crowd`: passwords, groups, refresh, refusals.

use countersign_core::connector::{
    AccountDiagnosis, ConnectorError, LoginMethod, LoginOutcome, RefreshOutcome, Refusal,
};
use countersign_core::{Connector, Identity, LoginScopes, Secret, Trace};
use serde_json::json;

use crate::fake_user_apis::{ADMIN_PASSWORD, CLIENT, Fake, PASSWORD, SECRET, crowd, keystone};
use crate::steps::{
    ALL, Keys, accepted, broken, configured, current, missing, refresh, refused, replaced, sound,
};
use crate::tree::{list, plain, text};
use crate::web::Reply;

const NO_GROUPS: LoginScopes = LoginScopes { offline: true, groups: false };

fn keystone_keys(fake: &Fake) -> Keys {
    vec![
        ("keystoneHost", text(&fake.web.url)),
        ("keystoneUsername", text("admin")),
        ("keystonePassword", text(ADMIN_PASSWORD)),
    ]
}

fn crowd_keys(fake: &Fake) -> Keys {
    vec![
        ("baseURL", text(format!("{}/crowd", fake.web.url))),
        ("clientID", text(CLIENT)),
        ("clientSecret", text(SECRET)),
    ]
}

async fn login(
    connector: &Connector,
    name: &str,
    password: &str,
    scopes: LoginScopes,
) -> Result<LoginOutcome, ConnectorError> {
    let LoginMethod::Password(method) = &connector.login_method else { panic!("a password") };
    method.login(name, &Secret::new(password), scopes, &mut Trace::default()).await
}

async fn diagnose(connector: &Connector, name: &str) -> AccountDiagnosis {
    let LoginMethod::Password(method) = &connector.login_method else { panic!("a password") };
    method.diagnose(name, &mut Trace::default()).await.unwrap()
}

#[tokio::test]
async fn keystone_checks_a_password_and_returns_groups() {
    let fake = keystone().await;
    let connector = sound("keystone", keystone_keys(&fake));
    let LoginMethod::Password(method) = &connector.login_method else { panic!("a password") };
    assert_eq!(method.canonical(" Jane "), "jane");
    let person = accepted(login(&connector, "jane", PASSWORD, ALL).await);
    let expected = Identity {
        user_id: "a1b2".into(),
        username: "jane".into(),
        preferred_username: String::new(),
        email: "jane@example.com".into(),
        email_verified: true,
        groups: vec!["admins".into(), "Dev Team".into()],
    };
    assert_eq!(person.identity, expected);
    assert_eq!(current(refresh(&connector, &person, ALL).await).identity, expected);
    let without = accepted(login(&connector, "jane", PASSWORD, NO_GROUPS).await).identity;
    assert!(without.groups.is_empty());
    for (name, password) in [("jane", "wrong"), ("nobody", PASSWORD), ("", PASSWORD), ("jane", "")]
    {
        let refusal = refused(login(&connector, name, password, ALL).await);
        assert_eq!(refusal, Refusal::BadCredentials, "{name}");
    }
    let AccountDiagnosis::Found(found) = diagnose(&connector, "jane").await else { panic!("jane") };
    assert_eq!(*found, expected);
    assert!(matches!(diagnose(&connector, "nobody").await, AccountDiagnosis::Refused { .. }));
    fake.replies("/v3/users/a1b2", Reply::Json(404, json!({})));
    assert_eq!(missing(refresh(&connector, &person, ALL).await), "Keystone has no such user");
    let disabled = json!({ "user": { "id": "a1b2", "name": "jane", "enabled": false } });
    fake.replies("/v3/users/a1b2", Reply::ok(disabled));
    assert!(matches!(refresh(&connector, &person, ALL).await, Ok(RefreshOutcome::Disabled)));
    let wrong = vec![("keystonePassword", text("wrong"))];
    let wrong = sound("keystone", replaced(keystone_keys(&fake), wrong));
    assert!(broken(refresh(&wrong, &person, ALL).await).contains("keystonePassword"));
    fake.replies("/v3/auth/tokens", Reply::Json(503, json!({})));
    assert!(broken(login(&connector, "jane", PASSWORD, ALL).await).contains("503"));
}

#[tokio::test]
async fn crowd_checks_a_password_and_returns_groups() {
    let fake = crowd().await;
    let connector = sound("atlassian-crowd", crowd_keys(&fake));
    // The name goes into a query, so it is encoded.
    let person = accepted(login(&connector, "Jane D&E", PASSWORD, ALL).await);
    let expected = Identity {
        user_id: "32769:5d".into(),
        username: "jane d&e".into(),
        preferred_username: String::new(),
        email: "jane@example.com".into(),
        email_verified: true,
        groups: vec!["crowd-users".into(), "admins".into()],
    };
    assert_eq!(person.identity, expected);
    assert_eq!(current(refresh(&connector, &person, ALL).await).identity, expected);
    for (field, value) in [("key", "32769:5d"), ("name", "jane d&e"), ("email", "jane@example.com")]
    {
        let more = vec![("preferredUsernameField", text(field))];
        let connector = sound("atlassian-crowd", replaced(crowd_keys(&fake), more));
        let identity = accepted(login(&connector, "jane d&e", PASSWORD, ALL).await).identity;
        assert_eq!(identity.preferred_username, value);
    }
    let with_groups = |names: &[&str]| {
        let names = list(names.iter().map(|name| text(*name)).collect());
        sound("atlassian-crowd", replaced(crowd_keys(&fake), vec![("groups", names)]))
    };
    let some = accepted(login(&with_groups(&["admins"]), "jane d&e", PASSWORD, NO_GROUPS).await);
    assert_eq!(some.identity.groups, ["admins"]);
    let none = refused(login(&with_groups(&["x"]), "jane d&e", PASSWORD, ALL).await);
    assert!(matches!(none, Refusal::NotInRequiredGroup { .. }));
    let wrong = refused(login(&connector, "jane d&e", "wrong", ALL).await);
    assert_eq!(wrong, Refusal::BadCredentials);
    let AccountDiagnosis::Found(found) = diagnose(&connector, "jane d&e").await else {
        panic!("jane")
    };
    assert_eq!(found.groups, expected.groups);
    assert!(matches!(diagnose(&connector, "x").await, AccountDiagnosis::Refused { .. }));
    let stranger =
        sound("atlassian-crowd", replaced(crowd_keys(&fake), vec![("clientSecret", text("x"))]));
    assert!(broken(login(&stranger, "jane d&e", PASSWORD, ALL).await).contains("401"));
    for (reason, expected) in [
        ("INACTIVE_ACCOUNT", Refusal::AccountDisabled),
        ("EXPIRED_CREDENTIAL", Refusal::PasswordExpired),
    ] {
        let path = "/crowd/rest/usermanagement/1/authentication";
        fake.replies(path, Reply::Json(400, json!({ "reason": reason, "message": "" })));
        assert_eq!(refused(login(&connector, "jane d&e", PASSWORD, ALL).await), expected);
    }
    let user = "/crowd/rest/usermanagement/1/user";
    fake.replies(user, Reply::ok(json!({ "key": "other", "name": "jane d&e", "active": true })));
    assert!(missing(refresh(&connector, &person, ALL).await).contains("somebody else"));
    fake.replies(
        user,
        Reply::ok(json!({ "key": "32769:5d", "name": "jane d&e", "active": false })),
    );
    assert!(matches!(refresh(&connector, &person, ALL).await, Ok(RefreshOutcome::Disabled)));
    fake.replies(user, Reply::Json(404, json!({ "reason": "USER_NOT_FOUND" })));
    assert_eq!(missing(refresh(&connector, &person, ALL).await), "Crowd has no such user");
}

#[test]
fn what_they_cannot_do_without_is_named() {
    let problems = |kind: &str, keys: Keys| configured(kind, keys).1.join("\n");
    for (kind, keys, expected) in [
        ("keystone", vec![], "keystoneHost"),
        ("keystone", vec![("keystoneHost", text("host"))], "expected an https URL"),
        ("keystone", vec![("insecureSkipVerify", plain("true"))], "anybody"),
        ("atlassian-crowd", vec![], "baseURL"),
        ("atlassian-crowd", vec![("preferredUsernameField", text("id"))], "preferredUsernameField"),
    ] {
        let found = problems(kind, keys);
        assert!(found.contains(expected), "{kind}: {expected} in {found}");
    }
}
