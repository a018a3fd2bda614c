//! `gitea`, `bitbucket-cloud`, `openshift` and `oauth`: the identity, groups as Dex spells them, refresh, refusals.

use countersign_core::connector::{RefreshOutcome, Refusal};
use countersign_core::{Connector, Identity, LoginScopes};
use serde_json::json;

use crate::fake_user_apis::{CLIENT, Fake, SECRET, bitbucket, gitea, oauth, openshift};
use crate::steps::{
    ALL, Keys, accepted, broken, configured, current, handle_callback, login_url, missing, refresh,
    refused, replaced, sound,
};
use crate::tree::{list, map, plain, text};
use crate::web::Reply;

const NO_GROUPS: LoginScopes = LoginScopes { offline: true, groups: false };

fn keys(more: Keys) -> Keys {
    replaced(vec![("clientID", text(CLIENT)), ("clientSecret", text(SECRET))], more)
}

fn texts(names: &[&str]) -> countersign_config::Node {
    list(names.iter().map(|name| text(*name)).collect())
}

fn gitea_at(fake: &Fake, more: Keys) -> Connector {
    sound("gitea", keys(replaced(vec![("baseURL", text(&fake.web.url))], more)))
}

fn bitbucket_at(fake: &Fake, more: Keys) -> Connector {
    let urls = map(vec![("web", text(&fake.web.url)), ("api", text(&fake.web.url))]);
    sound("bitbucket-cloud", keys(replaced(vec![("apiURLs", urls)], more)))
}

fn openshift_at(fake: &Fake, more: Keys) -> Connector {
    sound("openshift", keys(replaced(vec![("issuer", text(&fake.web.url))], more)))
}

fn oauth_keys(fake: &Fake) -> Keys {
    let at = |path: &str| text(format!("{}{path}", fake.web.url));
    keys(vec![
        ("authorizationURL", at("/authorize")),
        ("tokenURL", at("/token")),
        ("userInfoURL", at("/me")),
        ("scopes", texts(&["profile", "email"])),
    ])
}

async fn login(
    connector: &Connector,
    scopes: LoginScopes,
) -> Result<countersign_core::connector::LoginOutcome, countersign_core::connector::ConnectorError>
{
    let redirect = login_url(connector, scopes).await.unwrap();
    let query = [("code".to_owned(), "c".to_owned()), ("state".to_owned(), "the-state".to_owned())];
    handle_callback(connector, &redirect, &query, scopes).await.0
}

async fn groups(connector: &Connector, scopes: LoginScopes) -> Vec<String> {
    accepted(login(connector, scopes).await).identity.groups
}

#[tokio::test]
async fn gitea_returns_organizations_and_teams() {
    let fake = gitea().await;
    let all = || vec![("loadAllGroups", plain("true"))];
    let connector = gitea_at(&fake, all());
    let redirect = login_url(&connector, ALL).await.unwrap();
    assert!(redirect.url.query_pairs().all(|(name, _)| name != "scope"), "{}", redirect.url);
    // Also without the scope `groups`, as in Dex.
    let person = accepted(login(&connector, NO_GROUPS).await);
    let expected = Identity {
        user_id: "7".into(),
        username: "Jane Doe".into(),
        preferred_username: "jane".into(),
        email: "jane@example.com".into(),
        email_verified: true,
        groups: ["acme", "acme:Owners", "acme:dev", "shop", "shop:web"].map(String::from).to_vec(),
    };
    assert_eq!(person.identity, expected);
    assert_eq!(current(refresh(&connector, &person, NO_GROUPS).await).identity, expected);
    assert_eq!(groups(&gitea_at(&fake, vec![]), ALL).await, Vec::<String>::new());
    let by_login = gitea_at(&fake, vec![("useLoginAsID", plain("true"))]);
    assert_eq!(accepted(login(&by_login, ALL).await).identity.user_id, "jane");
    let org = |name: &str, teams: &[&str]| {
        let entry = map(vec![("name", text(name)), ("teams", texts(teams))]);
        gitea_at(&fake, vec![("orgs", list(vec![entry]))])
    };
    assert_eq!(groups(&org("acme", &["dev"]), ALL).await, ["acme", "acme:dev"]);
    assert_eq!(groups(&org("shop", &[]), ALL).await, ["shop"]);
    let Refusal::NotInRequiredGroup { required } = refused(login(&org("other", &[]), ALL).await)
    else {
        panic!("not a member")
    };
    assert_eq!(required, ["other"]);
    fake.replies("/api/v1/user", Reply::Json(401, json!({})));
    assert_eq!(missing(refresh(&connector, &person, ALL).await), "Gitea refuses its access token");
    fake.replies(
        "/login/oauth/access_token",
        Reply::Json(400, json!({ "error": "invalid_grant" })),
    );
    assert!(missing(refresh(&connector, &person, ALL).await).contains("invalid_grant"));
    fake.replies("/login/oauth/access_token", Reply::Json(502, json!({})));
    assert!(broken(refresh(&connector, &person, ALL).await).contains("502"));
}

#[tokio::test]
async fn bitbucket_returns_workspaces_over_several_pages() {
    let fake = bitbucket().await;
    let connector = bitbucket_at(&fake, vec![]);
    let redirect = login_url(&connector, ALL).await.unwrap();
    let scope = redirect.url.query_pairs().find(|(name, _)| name == "scope").unwrap().1;
    assert_eq!(scope, "account email team");
    let person = accepted(login(&connector, ALL).await);
    let expected = Identity {
        user_id: "{b0c0}".into(),
        username: "jane".into(),
        preferred_username: String::new(),
        email: "jane@example.com".into(),
        email_verified: true,
        groups: vec!["acme".into(), "shop".into()],
    };
    assert_eq!(person.identity, expected);
    assert_eq!(current(refresh(&connector, &person, ALL).await).identity, expected);
    assert!(groups(&connector, NO_GROUPS).await.is_empty());
    let with = bitbucket_at(&fake, vec![("getWorkspacePermissions", plain("true"))]);
    assert_eq!(groups(&with, ALL).await, ["acme", "acme:owner", "shop", "shop:member"]);
    let only = bitbucket_at(&fake, vec![("teams", texts(&["shop", "x"]))]);
    assert_eq!(groups(&only, NO_GROUPS).await, ["shop"]);
    let none = bitbucket_at(&fake, vec![("teams", texts(&["x"]))]);
    assert!(matches!(refused(login(&none, ALL).await), Refusal::NotInRequiredGroup { .. }));
    let unconfirmed = json!({ "values": [{ "email": "jane@example.com", "is_primary": true, "is_confirmed": false }] });
    fake.replies("/2.0/user/emails", Reply::ok(unconfirmed));
    assert!(broken(login(&connector, ALL).await).contains("no confirmed primary"));
}

/// Issue 9, item 5: null in a member that may be absent is no reason to refuse a login.
#[tokio::test]
async fn null_counts_as_absent() {
    let fake = gitea().await;
    let connector = gitea_at(&fake, vec![("loadAllGroups", plain("true"))]);
    let user = json!({ "id": 7, "login": "jane", "full_name": null, "email": null });
    fake.replies("/api/v1/user", Reply::ok(user));
    let jane = accepted(login(&connector, ALL).await).identity;
    assert_eq!((jane.preferred_username.as_str(), jane.email.as_str()), ("jane", ""));
    assert!(!jane.email_verified && !jane.groups.is_empty());

    let fake = bitbucket().await;
    let connector = bitbucket_at(&fake, vec![]);
    fake.replies("/2.0/user", Reply::ok(json!({ "uuid": "{b0c0}", "username": null })));
    assert_eq!(accepted(login(&connector, ALL).await).identity.user_id, "{b0c0}");
}

#[tokio::test]
async fn openshift_returns_the_groups_of_the_user() {
    let fake = openshift().await;
    let connector = openshift_at(&fake, vec![]);
    let redirect = login_url(&connector, ALL).await.unwrap();
    assert_eq!(redirect.url.path(), "/oauth/authorize");
    let person = accepted(login(&connector, ALL).await);
    let expected = Identity {
        user_id: "5f0f".into(),
        username: "jane".into(),
        preferred_username: "jane".into(),
        email: "jane".into(),
        email_verified: false,
        groups: vec!["admins".into(), "system:authenticated".into()],
    };
    assert_eq!(person.identity, expected);
    assert_eq!(current(refresh(&connector, &person, ALL).await).identity, expected);
    let some = openshift_at(&fake, vec![("groups", texts(&["admins", "x"]))]);
    assert_eq!(groups(&some, ALL).await, ["admins", "system:authenticated"]);
    let none = openshift_at(&fake, vec![("groups", texts(&["x"]))]);
    assert!(matches!(refused(login(&none, ALL).await), Refusal::NotInRequiredGroup { .. }));
    let nobody = json!({ "metadata": { "name": "kube:admin" }, "groups": null });
    fake.replies("/apis/user.openshift.io/v1/users/~", Reply::ok(nobody));
    assert!(broken(login(&connector, ALL).await).contains("no uid"));
    // Metadata whose endpoints are at the metadata service of a cloud is refused.
    let metadata = json!({ "authorization_endpoint": "http://169.254.169.254/", "token_endpoint": "http://169.254.169.254/" });
    fake.replies("/.well-known/oauth-authorization-server", Reply::ok(metadata));
    let error = login_url(&openshift_at(&fake, vec![]), ALL).await;
    assert!(broken(error).contains("local link"));
}

#[tokio::test]
async fn oauth_reads_configured_claims_and_spells_numbers_as_dex_does() {
    let fake = oauth().await;
    let connector = sound("oauth", oauth_keys(&fake));
    let redirect = login_url(&connector, ALL).await.unwrap();
    let scope = redirect.url.query_pairs().find(|(name, _)| name == "scope").unwrap().1;
    assert_eq!(scope, "profile email");
    let person = accepted(login(&connector, ALL).await);
    let expected = Identity {
        user_id: "1.234567e+06".into(),
        username: "jane".into(),
        preferred_username: "j".into(),
        email: "jane@example.com".into(),
        email_verified: true,
        groups: vec!["admins".into(), "dev".into(), "of_token".into()],
    };
    assert_eq!(person.identity, expected);
    assert!(connector.refresh.is_none() && person.upstream.is_none());
    assert!(groups(&connector, NO_GROUPS).await.is_empty());
    let mapping = map(vec![("userNameKey", text("email")), ("groupsKey", text("roles"))]);
    let mapped = vec![("userIDKey", text("preferred_username")), ("claimMapping", mapping)];
    let mapped = sound("oauth", replaced(oauth_keys(&fake), mapped));
    let identity = accepted(login(&mapped, ALL).await).identity;
    assert_eq!((identity.user_id.as_str(), identity.username.as_str()), ("j", "jane@example.com"));
    assert!(identity.groups.is_empty());
    let absent = sound("oauth", replaced(oauth_keys(&fake), vec![("userIDKey", text("sub"))]));
    assert!(broken(login(&absent, ALL).await).contains("\"sub\" (userIDKey) is missing"));
}

#[tokio::test]
async fn what_they_cannot_do_without_is_named() {
    let problems = |kind: &str, keys: Keys| configured(kind, keys).1.join("\n");
    for (kind, keys, expected) in [
        ("gitea", vec![], "clientID"),
        ("gitea", keys(vec![("baseURL", text("gitea"))]), "expected an https URL"),
        ("gitea", keys(vec![("orgs", list(vec![map(vec![])]))]), "orgs[0].name"),
        ("bitbucket-cloud", keys(vec![("team", text("x"))]), "teams"),
        ("openshift", keys(vec![]), "issuer"),
        (
            "openshift",
            keys(vec![("issuer", text("https://x")), ("insecureCA", plain("true"))]),
            "anybody",
        ),
        ("oauth", keys(vec![]), "authorizationURL"),
        (
            "oauth",
            keys(vec![("claimMapping", map(vec![("userKey", text("x"))]))]),
            "claimMapping.userKey",
        ),
    ] {
        let found = problems(kind, keys);
        assert!(found.contains(expected), "{kind}: {expected} in {found}");
    }
    let fake = gitea().await;
    let connector = gitea_at(&fake, vec![]);
    let unknown = countersign_core::connector::SignedIn {
        identity: Identity::default(),
        upstream: None,
        fingerprint: None,
    };
    assert!(matches!(refresh(&connector, &unknown, ALL).await, Ok(RefreshOutcome::NotPossible)));
}
