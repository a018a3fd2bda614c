//! Dex's gRPC API, called by Dex's published Go client: every call, and its effect on users.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::scenarios::admin::api::ADMINS;
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, Client, DexClient, Need, RelyingParty, Server, SignedInClient,
    World, claims, dex_sub, verified,
};

const CAROL: &str = "carol@example.com";
const CAROL_PASSWORD: &str = "carol-counts-5-clouds";
const REDIRECT_URI: &str = "https://reports.example.com/callback";

fn world() -> World {
    World::new().with("oauth2:\n  skipApprovalScreen: true").with_grpc()
}

fn bcrypt(password: &str) -> String {
    STANDARD.encode(bcrypt::hash(password, 10).unwrap())
}

fn carol(password: &str) -> Value {
    json!({"password": {
        "email": "Carol@example.com", "hash": bcrypt(password), "username": "carol", "user_id": "carol-1",
    }})
}

fn reports() -> Value {
    json!({"client": {
        "id": "reports", "secret": "the-secret-of-reports-61616161", "name": "Reports", "redirect_uris": [REDIRECT_URI],
    }})
}

fn ids(list: &Value, member: &str) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list}"));
    list.iter().map(|entry| entry[member].as_str().unwrap().to_owned()).collect()
}

fn unknown(message: &str) -> (String, String) {
    ("Unknown".to_owned(), message.to_owned())
}

#[tokio::test]
async fn grpc_a_created_client_is_used_at_once_and_refused_once_deleted() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut dex = DexClient::of(&server);
    let created = dex.calls("CreateClient", reports());
    assert_eq!(created["already_exists"], false);
    assert_eq!(created["client"]["secret"], "the-secret-of-reports-61616161");
    assert_eq!(dex.calls("CreateClient", reports())["already_exists"], true);

    let app = server.relying_party_with("reports", "the-secret-of-reports-61616161", REDIRECT_URI);
    let request = app.auth_request("openid email offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(claims(tokens.id_token())["aud"], "reports");

    let change =
        json!({"id": "reports", "name": "Monthly reports", "trusted_peers": ["example-app"]});
    assert_eq!(dex.calls("UpdateClient", change)["not_found"], false);
    let client = dex.calls("GetClient", json!({"id": "reports"}))["client"].clone();
    assert_eq!(client["name"], "Monthly reports");
    assert_eq!(client["redirect_uris"], json!([REDIRECT_URI]), "what is empty is kept");
    assert_eq!(client["secret"], "the-secret-of-reports-61616161");
    let clients = dex.calls("ListClients", json!({}))["clients"].clone();
    assert_eq!(ids(&clients, "id"), ["example-app", "reports"]);
    assert_eq!(clients[1].get("secret"), None);

    assert_eq!(dex.calls("DeleteClient", json!({"id": "reports"}))["not_found"], false);
    assert_eq!(dex.calls("DeleteClient", json!({"id": "reports"}))["not_found"], true);
    assert_eq!(app.refreshes(tokens.refresh_token()).await.error(), "invalid_client");
    assert_eq!(dex.is_refused("GetClient", json!({"id": "reports"})), unknown("not found"));
    let update = json!({"id": "reports", "name": "gone"});
    assert_eq!(dex.calls("UpdateClient", update)["not_found"], true);
    // The audit log.
    let events = server.runs_command(&["events", "--config", "CONFIG", "--output", "json"], &[]);
    let events = String::from_utf8(events.stdout).unwrap();
    for kind in ["stored_object_created", "stored_object_changed", "stored_object_deleted"] {
        assert!(events.contains(kind), "{kind}: {events}");
    }
}

#[tokio::test]
async fn grpc_the_server_chooses_the_id_and_secret_of_a_client() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut dex = DexClient::of(&server);
    let request = json!({"client": {"name": "Chosen", "redirect_uris": [REDIRECT_URI]}});
    let client = dex.calls("CreateClient", request)["client"].clone();
    let (id, secret) = (client["id"].as_str().unwrap(), client["secret"].as_str().unwrap());
    assert_eq!((id.len(), secret.len()), (32, 43));
    let app = server.relying_party_with(id, secret, REDIRECT_URI);
    let request = app.auth_request("openid");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(app.redeems(&request, &auth_response).await.status, 200);
    // A public client has no secret.
    let public = json!({"client": {"id": "cli", "name": "CLI", "public": true}});
    assert_eq!(dex.calls("CreateClient", public)["client"]["secret"], "");
}

#[tokio::test]
async fn grpc_clients_and_users_of_the_file_are_read_only() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut dex = DexClient::of(&server);
    let (client, user) = (json!({"id": "example-app"}), json!({"email": "Alice@Example.com"}));
    let shown = dex.calls("GetClient", client.clone())["client"].clone();
    assert_eq!(shown["secret"], "the-secret-of-example-app-61616161");
    let create = json!({"client": {"id": "example-app", "name": "mine", "secret": "s"}});
    let (change, rename) = (
        json!({"id": "example-app", "name": "mine"}),
        json!({"email": ALICE, "new_username": "mallory"}),
    );
    let password = json!({"password": {
        "email": ALICE, "hash": bcrypt("mallory-knows-it"), "username": "x", "user_id": "x",
    }});
    for (method, request, message) in [
        ("CreateClient", create, "static clients: read-only cannot create client"),
        ("UpdateClient", change, "static clients: read-only cannot update client"),
        ("DeleteClient", client, "static clients: read-only cannot delete client"),
        ("CreatePassword", password, "static passwords: read-only cannot create password"),
        ("UpdatePassword", rename, "static passwords: read-only cannot update password"),
        ("DeletePassword", user, "static passwords: read-only cannot delete password"),
    ] {
        assert_eq!(dex.is_refused(method, request), unknown(message), "{method}");
    }
    let passwords = dex.calls("ListPasswords", json!({}))["passwords"].clone();
    assert_eq!(ids(&passwords, "email"), [ALICE, BOB]);
}

#[tokio::test]
async fn grpc_a_created_user_signs_in_until_the_password_changes_or_the_user_is_deleted() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut dex = DexClient::of(&server);
    assert_eq!(dex.calls("CreatePassword", carol(CAROL_PASSWORD))["already_exists"], false);
    assert_eq!(dex.calls("CreatePassword", carol(CAROL_PASSWORD))["already_exists"], true);
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid email profile offline_access");
    let auth_response = server.browser().logs_in(&request, CAROL, CAROL_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    let claims = verified(tokens.id_token(), &app.gets("/keys").await.json);
    assert_eq!(claims["sub"], dex_sub("carol-1", "local"));
    assert_eq!((&claims["name"], &claims["email_verified"]), (&json!("carol"), &json!(true)));
    let passwords = dex.calls("ListPasswords", json!({}))["passwords"].clone();
    assert_eq!(passwords[2]["user_id"], "carol-1");
    assert_eq!(passwords[2]["hash"], "", "no hash leaves the server");

    let newer = json!({"email": CAROL, "new_hash": bcrypt("carol-counts-6-clouds"), "new_username": "caro"});
    assert_eq!(dex.calls("UpdatePassword", newer)["not_found"], false);
    assert_eq!(app.refreshes(tokens.refresh_token()).await.error(), "invalid_grant");
    let request = app.auth_request("openid profile offline_access");
    let auth_response = server.browser().logs_in(&request, CAROL, "carol-counts-6-clouds").await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(crate::world::claims(tokens.id_token())["name"], "caro");

    assert_eq!(dex.calls("DeletePassword", json!({"email": CAROL}))["not_found"], false);
    assert_eq!(dex.calls("DeletePassword", json!({"email": CAROL}))["not_found"], true);
    assert_eq!(
        dex.calls("UpdatePassword", json!({"email": CAROL, "new_username": "x"}))["not_found"],
        true
    );
    assert_eq!(app.refreshes(tokens.refresh_token()).await.error(), "invalid_grant");
}

#[tokio::test]
async fn grpc_what_could_not_be_used_is_refused() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut dex = DexClient::of(&server);
    let client = |uri: &str| json!({"client": {"id": "c", "secret": "s", "redirect_uris": [uri]}});
    let user = |hash: &str, id: &str| json!({"password": {"email": CAROL, "hash": STANDARD.encode(hash), "user_id": id}});
    let weak = bcrypt::hash(CAROL_PASSWORD, 5).unwrap();
    for (method, request, part) in [
        ("CreateClient", client("javascript:alert(1)"), "would run instead of visit"),
        ("CreateClient", client("https://app.example.com/#x"), "no fragment"),
        ("CreateClient", json!({}), "no client supplied"),
        ("UpdateClient", json!({}), "no client ID"),
        ("CreatePassword", user("secret", "carol-1"), "neither a bcrypt nor an argon2id hash"),
        ("CreatePassword", user(&weak, "carol-1"), "bcrypt cost 5"),
        ("CreatePassword", user(&weak, ""), "no user ID"),
        ("UpdatePassword", json!({"email": CAROL}), "nothing to update"),
        ("VerifyPassword", json!({"email": ALICE}), "no password"),
        ("ListRefresh", json!({"user_id": "alice"}), "claim sub"),
        ("ListConnectors", json!({}), "DEX_API_CONNECTORS_CRUD"),
    ] {
        let (code, message) = dex.is_refused(method, request);
        assert_eq!(code, "Unknown", "{method}: {message}");
        assert!(message.contains(part), "{method}: {message}");
    }
}

/// The limits are those of the login page: ten wrong passwords for an account (docs/operations.md).
#[tokio::test]
async fn grpc_passwords_are_verified_within_the_limits_of_a_login() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut dex = DexClient::of(&server);
    let verify = |email: &str, password: &str| json!({"email": email, "password": password});
    let right = dex.calls("VerifyPassword", verify(ALICE, ALICE_PASSWORD));
    assert_eq!(right, json!({"verified": true, "not_found": false}));
    let nobody = dex.calls("VerifyPassword", verify(CAROL, CAROL_PASSWORD));
    assert_eq!(nobody, json!({"verified": false, "not_found": true}));
    for _ in 0..10 {
        let wrong = dex.calls("VerifyPassword", verify(BOB, "a guess"));
        assert_eq!(wrong, json!({"verified": false, "not_found": false}));
    }
    let (code, _) = dex.is_refused("VerifyPassword", verify(BOB, "another guess"));
    assert_eq!(code, "ResourceExhausted");
    server.waits_for_log(1, "too many attempts for this account").await;
}

#[tokio::test]
async fn grpc_refresh_tokens_of_a_person_are_listed_and_revoked() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut dex = DexClient::of(&server);
    let laptop =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    let desktop =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    let sub = claims(&laptop.id_token)["sub"].as_str().unwrap().to_owned();
    let listed = dex.calls("ListRefresh", json!({"user_id": sub}))["refresh_tokens"].clone();
    assert_eq!(ids(&listed, "client_id"), ["example-app", "example-app"]);
    for token in listed.as_array().unwrap() {
        let seconds = |member: &str| token[member].as_str().unwrap().parse::<i64>().unwrap();
        assert!(
            seconds("created_at") > 1_700_000_000 && seconds("last_used") >= seconds("created_at")
        );
    }
    let other = json!({"user_id": sub, "client_id": "another"});
    assert_eq!(dex.calls("RevokeRefresh", other)["not_found"], true);
    let revoke = json!({"user_id": sub, "client_id": "example-app"});
    assert_eq!(dex.calls("RevokeRefresh", revoke.clone())["not_found"], false);
    assert_eq!(dex.calls("RevokeRefresh", revoke)["not_found"], true);
    let app: RelyingParty = server.relying_party("example-app");
    for token in [&laptop.refresh_token, &desktop.refresh_token] {
        assert_eq!(app.refreshes(token).await.error(), "invalid_grant");
    }
    let listed = dex.calls("ListRefresh", json!({"user_id": sub}));
    assert_eq!(listed["refresh_tokens"], json!([]));
}

#[tokio::test]
async fn grpc_connectors_are_managed_where_the_environment_allows_it() {
    if Need::Grpc.is_missing() {
        return;
    }
    let world = world().env("DEX_API_CONNECTORS_CRUD", "true");
    let server = world.client(Client::new("ops")).with(ADMINS).start().await;
    let mut dex = DexClient::of(&server);
    let connector = |config: &str| {
        json!({"connector": {
            "id": "mock", "type": "mockPassword", "name": "Mock", "config": STANDARD.encode(config),
        }})
    };
    let config = r#"{"username": "kilgore", "password": "an-upstream-secret"}"#;
    let (_, message) = dex.is_refused("CreateConnector", connector(r#"{"username": "kilgore"}"#));
    assert!(message.contains("password"), "{message}");
    assert_eq!(dex.calls("CreateConnector", connector(config))["already_exists"], false);
    assert_eq!(dex.calls("CreateConnector", connector(config))["already_exists"], true);
    let listed = dex.calls("ListConnectors", json!({}))["connectors"].clone();
    assert_eq!(ids(&listed, "id"), ["local", "mock"]);
    assert_eq!(listed[1]["config"], STANDARD.encode(config));

    let app = server.relying_party("example-app");
    let mut mock_user = server.browser();
    mock_user.opens(&app.auth_request("openid").url).await;
    mock_user.clicks("Mock").await;
    mock_user.signs_in("kilgore", "an-upstream-secret").await;
    mock_user.auth_response();

    // The connector is not in the configuration file, so a reload ends no session of it.
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let plan = ops.calls_api("GET", "/configuration/plan", &token, Value::Null).await;
    assert_eq!(plan.json["ending"], json!([]), "{}", plan.json);

    let rename = json!({"id": "mock", "new_name": "Practice"});
    assert_eq!(dex.calls("UpdateConnector", rename)["not_found"], false);
    let mut other = server.browser();
    other.opens(&app.auth_request("openid").url).await;
    assert!(other.page().text().contains("Practice"), "{}", other.page().text());
    assert_eq!(dex.calls("DeleteConnector", json!({"id": "mock"}))["not_found"], false);
    assert_eq!(dex.calls("DeleteConnector", json!({"id": "mock"}))["not_found"], true);
    let (code, message) = dex.is_refused("DeleteConnector", json!({"id": "local"}));
    assert_eq!((code, message), unknown("static connectors: read-only cannot delete connector"));
}

#[tokio::test]
async fn grpc_version_and_discovery_are_those_of_the_server() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut dex = DexClient::of(&server);
    let version = dex.calls("GetVersion", json!({}));
    assert_eq!(
        (&version["api"], version["server"].as_str().unwrap().split(' ').next()),
        (&json!(3), Some("countersign"))
    );
    let published =
        server.relying_party("example-app").gets("/.well-known/openid-configuration").await;
    let discovery = dex.calls("GetDiscovery", json!({}));
    for (member, value) in discovery.as_object().unwrap() {
        assert_eq!(*value, published.json[member], "{member}");
    }
    assert_eq!(discovery.as_object().unwrap().len(), 15);
}

/// `grpc.tlsClientCA`, as in Dex: no certificate, no call.
#[tokio::test]
async fn grpc_clients_without_a_certificate_are_refused() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = World::https().with_grpc().start().await;
    assert_eq!(DexClient::of(&server).calls("GetVersion", json!({}))["api"], 3);
    let mut stranger = DexClient::without_certificate(&server);
    let (code, _) = stranger.is_refused("ListClients", json!({}));
    assert_eq!(code, "Unavailable", "the connection fails");
}

#[tokio::test]
async fn grpc_a_client_created_at_one_replica_is_known_to_all() {
    if Need::Grpc.is_missing() || Need::Postgres.is_missing() {
        return;
    }
    let approval = "oauth2:\n  skipApprovalScreen: true";
    let one = World::with_postgres().with(approval).with_grpc().start().await;
    let other: Server = one.replica().await;
    assert_eq!(DexClient::of(&one).calls("CreateClient", reports())["already_exists"], false);
    // Lists read the database.
    let clients = DexClient::of(&other).calls("ListClients", json!({}))["clients"].clone();
    assert_eq!(ids(&clients, "id"), ["example-app", "reports"]);
    let mut app = one.relying_party_with("reports", "the-secret-of-reports-61616161", REDIRECT_URI);
    app.via_replica(&other);
    let request = app.auth_request("openid");
    let mut alice = one.browser();
    alice.via_replica(&other);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(app.redeems(&request, &auth_response).await.status, 200);
}
