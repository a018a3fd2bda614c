//! Distributed groups (Core 5.6.2): the ID token refers to an endpoint for the groups, which the API server
//! requests at each authentication (threats 53, 70, 155). Kubernetes' own OIDC authenticator decides.

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

/// A cluster with distributed groups, and a dashboard that may request its tokens.
pub fn on(world: World) -> World {
    let cluster = Client::public("kubernetes").with("kubernetes: {groups: distributed}");
    world
        .client(cluster.with("trustedPeers: [example-app]"))
        .with("oauth2:\n  skipApprovalScreen: true")
}

impl SignedInClient {
    /// The access token for the groups endpoint, from the ID token.
    fn handle(&self) -> String {
        handle_in(&self.id_token)
    }

    /// The response of the groups endpoint to this token.
    async fn groups(&self) -> Result<Value, u16> {
        let response = self.app.gets_as(&self.handle(), GROUPS).await;
        match response.status {
            200 => Ok(claims(&response.page.body)["groups"].clone()),
            status => Err(status),
        }
    }
}

fn handle_in(token: &str) -> String {
    let claims = claims(token);
    let source = claims["_claim_names"]["groups"].as_str().expect("a claim source");
    let source = &claims["_claim_sources"][source];
    assert!(source["endpoint"].as_str().unwrap().ends_with(GROUPS), "{source}");
    source["access_token"].as_str().unwrap().to_owned()
}

/// An API server that has accepted this token. Its verifier for distributed claims is initialized by the
/// first request, which fails.
pub fn api_server(server: &Server, first: &str) -> ApiServer {
    let mut api = ApiServer::trusting(server, "kubernetes");
    let seen = api.authenticates(first);
    assert!(refusal(&seen).contains("verifier not initialized"), "{seen}");
    let started = Instant::now();
    while api.authenticates(first)["ok"] != true {
        assert!(started.elapsed() < Duration::from_mins(1), "{}", api.authenticates(first));
        std::thread::sleep(Duration::from_millis(20));
    }
    api
}

#[tokio::test]
async fn kubernetes_requests_the_groups_and_refuses_once_the_session_has_ended() {
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
    assert_eq!(api.authenticates(&other.id_token)["ok"], true, "the other session stays live");
}

/// The API server caches for ten seconds; we cannot shorten that, and must not prolong it.
#[tokio::test]
async fn kubernetes_accepts_an_ended_session_no_longer_than_its_cache_of_ten_seconds() {
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
    let started = Instant::now();
    while api.authenticates(&alice.id_token)["ok"] != true {
        assert!(started.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    alice.revokes().await;
    assert_eq!(alice.groups().await, Err(401));
    let started = Instant::now();
    while api.authenticates(&alice.id_token)["ok"] == true {
        assert!(started.elapsed() < Duration::from_mins(1), "it is accepted for ever");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// An API server does not check `typ`, so other tokens must refer to the groups endpoint too.
#[tokio::test]
async fn kubernetes_gains_nothing_from_an_access_token_or_a_token_without_groups() {
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

    for client in [&alice, &bare, &dashboard] {
        client.revokes().await;
    }
    for token in tokens {
        refusal(&api.authenticates(token));
    }
}

/// The response of the groups endpoint is a JWT, which neither the cluster nor we accept as a token.
#[tokio::test]
async fn kubernetes_does_not_authenticate_the_response_of_the_groups_endpoint() {
    let server = on(World::https()).start().await;
    let alice = SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await;
    let response = alice.app.gets_as(&alice.handle(), GROUPS).await;
    assert_eq!(response.page.header("content-type"), Some("application/jwt"));
    assert_eq!(response.page.header("cache-control"), Some("no-store"));
    let jwt = &response.page.body;
    let groups = verified(jwt, &alice.app.gets("/keys").await.json);
    let names: Vec<_> = groups.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["iss", "aud", "exp", "iat", "groups"], "{groups}");
    assert_eq!(groups["aud"], "kubernetes");
    assert_eq!(groups["exp"].as_i64().unwrap() - groups["iat"].as_i64().unwrap(), 60);

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
async fn the_groups_access_token_is_accepted_by_the_groups_endpoint_only() {
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
    // Userinfo contains the groups as usual.
    let userinfo = alice.app.userinfo(&alice.access_token).await;
    assert_eq!(userinfo.json["groups"], json!(["admins", "developers"]));
    let own = SignedInClient::sign_in_alice(&server, "example-app", SCOPES).await;
    assert_eq!(claims(&own.id_token)["groups"], json!(["admins", "developers"]));
}

#[tokio::test]
async fn the_groups_access_token_expires_with_the_id_token() {
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
async fn a_person_in_five_hundred_groups_gets_a_small_token() {
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

/// The upstream is revalidated as for a refresh; no token has to be renewed.
#[tokio::test]
async fn kubernetes_sees_changed_groups_with_the_existing_token() {
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
    assert_eq!(api.authenticates(&jane.id_token)["groups"], before, "the snapshot is fresh");
    server.advance(Duration::from_secs(5 * 60 + 5));
    let seen = api.authenticates(&jane.id_token);
    let groups = seen["groups"].as_array().unwrap_or_else(|| panic!("{seen}"));
    assert!(!groups.contains(&json!("oidc:developers")), "{seen}");
    assert!(groups.contains(&json!("oidc:admins")), "{seen}");
    // The result is stored: userinfo, refresh and audit log have it.
    let userinfo = jane.app.userinfo(&jane.access_token).await;
    assert!(
        !userinfo.json["groups"].as_array().unwrap().contains(&json!("developers")),
        "{userinfo:?}"
    );

    // If the directory is down, the old groups are not returned.
    drop(directory);
    server.advance(Duration::from_secs(5 * 60 + 5));
    assert_eq!(jane.groups().await, Err(503));
    refusal(&api.authenticates(&jane.id_token));
}

#[tokio::test]
async fn without_the_database_no_groups_are_returned() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = on(World::with_postgres());
    let database = Database::new(&world);
    let server = world.start().await;
    let alice = SignedInClient::sign_in_alice(&server, "kubernetes", SCOPES).await;
    assert_eq!(alice.groups().await, Ok(json!(["admins", "developers"])));
    database.closes();
    let response = alice.app.gets_as(&alice.handle(), GROUPS).await;
    assert_eq!((response.status, response.error()), (503, "temporarily_unavailable"));
    assert!(response.page.header("retry-after").is_some());
}
