//! Distributed groups: Alice's token says where her groups are, and the cluster asks at every look
//! (threats 53, 70, 155). The verdicts are by Kubernetes' own OIDC authenticator.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scenarios::connectors::ldap;
use crate::scenarios::operations::database_down::Database;
use crate::world::{
    ALICE, ApiServer, Client, Need, Person, Server, SignedInClient, World, claims, refusal, slapd,
    verified,
};

const GROUPS: &str = "/kubernetes/groups";
pub const SCOPES: &str = "openid email groups offline_access";

/// A cluster that wants distributed groups, a dashboard that may ask for its tokens.
pub fn on(world: World) -> World {
    let cluster = Client::public("kubernetes").with("kubernetes: {groups: distributed}");
    world
        .client(cluster.with("trustedPeers: [example-app]"))
        .with("oauth2:\n  skipApprovalScreen: true")
}

impl SignedInClient {
    /// What the cluster asks with, in the ID token.
    fn handle(&self) -> String {
        handle_in(&self.id_token)
    }

    /// What stands at the endpoint for its bearer.
    async fn groups(&self) -> Result<Value, u16> {
        let response = self.app.gets_as(&self.handle(), GROUPS).await;
        match response.status {
            200 => Ok(claims(&response.page.body)["groups"].clone()),
            status => Err(status),
        }
    }
}

fn handle_in(token: &str) -> String {
    let said = claims(token);
    let source = said["_claim_names"]["groups"].as_str().expect("where the groups are");
    let source = &said["_claim_sources"][source];
    assert!(source["endpoint"].as_str().unwrap().ends_with(GROUPS), "{source}");
    source["access_token"].as_str().unwrap().to_owned()
}

/// An API server of which this token is the first. Its verifier for distributed claims is made when it
/// is first needed, so the very first request fails, once.
pub fn api_server(server: &Server, first: &str) -> ApiServer {
    let mut api = ApiServer::trusting(server, "kubernetes");
    let seen = api.authenticates(first);
    assert!(refusal(&seen).contains("verifier not initialized"), "{seen}");
    let begun = Instant::now();
    while api.authenticates(first)["ok"] != true {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", api.authenticates(first));
        std::thread::sleep(Duration::from_millis(20));
    }
    api
}

#[tokio::test]
async fn kubernetes_asks_for_the_groups_and_hears_no_once_the_session_has_ended() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = on(World::https()).start().await;
    let (one, other) = (
        SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await,
        SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await,
    );
    assert_eq!(claims(&one.id_token).get("groups"), None);
    let mut api = api_server(&server, &one.id_token);
    let seen = api.authenticates(&one.id_token);
    assert_eq!(seen["username"], format!("oidc:{ALICE}"));
    assert_eq!(seen["groups"], json!(["oidc:admins", "oidc:developers"]), "{seen}");

    one.revokes().await;
    let seen = api.authenticates(&one.id_token);
    assert!(refusal(&seen).contains("401"), "{seen}");
    assert_eq!(api.authenticates(&other.id_token)["ok"], true, "the other laptop goes on");
}

/// No API server lets itself be told to remember less, nor does this one remember more.
#[tokio::test]
async fn kubernetes_lets_nobody_in_longer_than_its_cache_of_ten_seconds() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = on(World::https()).start().await;
    let alice = SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await;
    let mut api = ApiServer::new();
    api.executes(
        &json!({"op": "flags", "id": "cluster", "issuerURL": server.issuer(), "cache": true,
        "clientID": "kubernetes", "caFile": server.ca_file(), "groupsClaim": "groups"}),
    );
    let begun = Instant::now();
    while api.authenticates(&alice.id_token)["ok"] != true {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    alice.revokes().await;
    assert_eq!(alice.groups().await, Err(401));
    let begun = Instant::now();
    while api.authenticates(&alice.id_token)["ok"] == true {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is let in for ever");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// An API server looks at no `typ`: what it would take in the place of an ID token says the same.
#[tokio::test]
async fn kubernetes_is_not_talked_round_with_an_access_token_or_one_without_groups() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = on(World::https()).start().await;
    let alice = SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await;
    let bare =
        SignedInClient::sign_in_alice(&server, "kubernetes", "openid email offline_access").await;
    let scopes = format!("{SCOPES} audience:server:client_id:kubernetes");
    let dashboard = SignedInClient::sign_in_alice(&server, "example-app", &scopes).await;
    let mut api = api_server(&server, &alice.id_token);
    let tokens = [&alice.access_token, &bare.id_token, &bare.access_token, &dashboard.id_token];
    let seen = tokens.map(|token| api.authenticates(token)["groups"].clone());
    let groups = json!(["oidc:admins", "oidc:developers"]);
    assert_eq!(seen, [groups.clone(), json!([]), json!([]), groups]);

    for laptop in [&alice, &bare, &dashboard] {
        laptop.revokes().await;
    }
    for token in tokens {
        refusal(&api.authenticates(token));
    }
}

/// For the cluster the answer itself is nobody, and for us it is no token of any kind.
#[tokio::test]
async fn kubernetes_takes_the_answer_about_groups_for_nobody() {
    let server = on(World::https()).start().await;
    let alice = SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await;
    let response = alice.app.gets_as(&alice.handle(), GROUPS).await;
    assert_eq!(response.page.header("content-type"), Some("application/jwt"));
    assert_eq!(response.page.header("cache-control"), Some("no-store"));
    let jwt = &response.page.body;
    let told = verified(jwt, &alice.app.gets("/keys").await.json);
    let names: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["iss", "aud", "exp", "iat", "groups"], "{told}");
    assert_eq!(told["aud"], "kubernetes");
    assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 60);

    assert_eq!(alice.app.userinfo(jwt).await.status, 401);
    let app = server.relying_party("example-app");
    assert_eq!(app.posts("/token/introspect", &[("token", jwt)]).await.json["active"], false);
    if Need::Kubernetes.is_missing() {
        return;
    }
    let mut api = api_server(&server, &alice.id_token);
    assert!(refusal(&api.authenticates(jwt)).contains("username"));
    let mut by_subject = ApiServer::new();
    by_subject.executes(&json!({"op": "flags", "id": "cluster", "issuerURL": server.issuer(),
        "clientID": "kubernetes", "caFile": server.ca_file()}));
    assert!(refusal(&by_subject.authenticates(jwt)).contains("sub"));
}

/// Threats 53 and 70.
#[tokio::test]
async fn the_handle_is_good_for_the_groups_and_nothing_else() {
    let server = on(World::new()).start().await;
    let alice = SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await;
    let handle = alice.handle();
    assert_eq!(alice.groups().await, Ok(json!(["admins", "developers"])));
    assert_eq!(alice.app.userinfo(&handle).await.status, 401);
    assert_eq!(alice.app.refreshes(&handle).await.error(), "invalid_grant");
    let app = server.relying_party("example-app");
    assert_eq!(app.posts("/token/introspect", &[("token", &handle)]).await.json["active"], false);
    assert_eq!(alice.app.posts("/revoke", &[("token", &handle)]).await.status, 200);
    assert_eq!(alice.groups().await, Ok(json!(["admins", "developers"])), "it revoked nothing");

    let (rest, mac) = handle.rsplit_once('.').unwrap();
    let changed = format!("{rest}.{}", mac.chars().rev().collect::<String>());
    for bearer in [&alice.id_token, &alice.access_token, &alice.refresh_token, &changed] {
        let response = alice.app.gets_as(bearer, GROUPS).await;
        assert_eq!((response.status, response.error()), (401, "invalid_token"));
    }
    assert_eq!(alice.app.gets(GROUPS).await.status, 401);
    // Where tokens are read and not asked about, groups are told as ever.
    let told = alice.app.userinfo(&alice.access_token).await;
    assert_eq!(told.json["groups"], json!(["admins", "developers"]));
    let own = SignedInClient::sign_in_alice(&server, "example-app", SCOPES).await;
    assert_eq!(claims(&own.id_token)["groups"], json!(["admins", "developers"]));
}

#[tokio::test]
async fn the_handle_dies_with_its_token() {
    if Need::Clock.is_missing() {
        return;
    }
    let world = on(World::with_clock()).with("expiry:\n  idTokens: 10m");
    let server = world.start().await;
    let alice = SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await;
    server.advance(Duration::from_secs(9 * 60 + 30));
    let response = alice.app.gets_as(&alice.handle(), GROUPS).await;
    assert_eq!(claims(&response.page.body)["exp"], claims(&alice.id_token)["exp"], "no longer");
    server.advance(Duration::from_secs(35));
    assert_eq!(alice.groups().await, Err(401));
}

#[tokio::test]
async fn a_person_in_five_hundred_groups_has_a_small_token() {
    let groups: Vec<String> =
        (0..500).map(|n| format!("cn=team-{n:03},ou=Groups,dc=example,dc=org")).collect();
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let person = Person::new("carol@example.com", "carol-joins-500-teams").groups(&names);
    let server = on(World::new().person(person)).start().await;
    let who = ("carol@example.com", "carol-joins-500-teams");
    let carol = SignedInClient::sign_in(who, &server, "kubernetes", SCOPES, &[]).await;
    assert!(carol.id_token.len() < 1500, "{} bytes", carol.id_token.len());
    assert_eq!(carol.groups().await.unwrap().as_array().unwrap().len(), 500);
}

/// The directory is asked again as for any login, and no token has to be renewed for it.
#[tokio::test]
async fn kubernetes_sees_a_change_of_groups_in_the_directory_with_the_token_it_has() {
    if Need::Kubernetes.is_missing() || Need::Clock.is_missing() {
        return;
    }
    let Some(directory) = slapd::Slapd::start() else { return };
    let world = on(World::with_clock().over_https()).with("expiry:\n  idTokens: 1h");
    let server = world.with(&ldap::connector(&directory)).start().await;
    let (who, by_ldap) = (("jane", slapd::PASSWORD), [("connector_id", "ldap")]);
    let jane = SignedInClient::sign_in(who, &server, "kubernetes", SCOPES, &by_ldap).await;
    let mut api = api_server(&server, &jane.id_token);
    let before = json!(["oidc:admins", "oidc:developers", "oidc:staff", "oidc:everybody"]);
    assert_eq!(api.authenticates(&jane.id_token)["groups"], before);

    directory.modify(
        "dn: cn=developers,ou=Groups,dc=example,dc=org\nchangetype: modify\ndelete: member\n\
         member: uid=jane,ou=People,dc=example,dc=org\n",
    );
    assert_eq!(api.authenticates(&jane.id_token)["groups"], before, "it is still fresh");
    server.advance(Duration::from_secs(5 * 60 + 5));
    let seen = api.authenticates(&jane.id_token);
    let groups = seen["groups"].as_array().unwrap_or_else(|| panic!("{seen}"));
    assert!(!groups.contains(&json!("oidc:developers")), "{seen}");
    assert!(groups.contains(&json!("oidc:admins")), "{seen}");
    // What was heard is kept: the next refresh and the audit log know it too.
    let told = jane.app.userinfo(&jane.access_token).await;
    assert!(!told.json["groups"].as_array().unwrap().contains(&json!("developers")), "{told:?}");

    // A directory that does not answer is no reason to believe yesterday's groups.
    drop(directory);
    server.advance(Duration::from_secs(5 * 60 + 5));
    assert_eq!(jane.groups().await, Err(503));
    refusal(&api.authenticates(&jane.id_token));
}

#[tokio::test]
async fn without_its_database_no_groups_are_told() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = on(World::with_postgres());
    let database = Database::of(&world);
    let server = world.start().await;
    let alice = SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await;
    assert_eq!(alice.groups().await, Ok(json!(["admins", "developers"])));
    database.closes();
    let response = alice.app.gets_as(&alice.handle(), GROUPS).await;
    assert_eq!((response.status, response.error()), (503, "temporarily_unavailable"));
    assert!(response.page.header("retry-after").is_some());
}
