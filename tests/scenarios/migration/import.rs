//! `countersign import dex`: no user is logged out. Each data set was written by a real Dex; tokens.json has the tokens
//! that its clients had at that time.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use super::data_sets::{DataSet, imported, list, text};
use crate::world::{
    MYSQL_PASSWORD, Need, Server, World, claims, new_database, new_mysql_database, verified,
};

/// All tokens that clients have are accepted after the import.
async fn clients_see_no_difference(server: &Server, data: &DataSet) {
    let keys = server.relying_party("web-one").gets("/keys").await.json;
    let kids: Vec<&str> = list(&keys["keys"]).map(|key| text(&key["kid"])).collect();
    for key in list(&data.tokens["jwks"]["keys"]) {
        assert!(kids.contains(&text(&key["kid"])), "{key} is not among {kids:?}");
    }
    for grant in data.grants() {
        let (name, app) = (text(&grant["name"]), text(&grant["client_id"]));
        if name == "alice-web-mfa" {
            continue;
        }
        let app = server.relying_party(app);
        for token in list(&grant["id_tokens"]) {
            let claims = verified(text(&token["token"]), &keys);
            assert_eq!(claims["sub"], grant["sub"], "{name}");
        }
        for token in list(&grant["access_tokens"]) {
            let info = app.userinfo(text(&token["token"])).await;
            assert_eq!((info.status, &info.json["sub"]), (200, &grant["sub"]), "{name}");
        }
        for token in list(&grant["refresh_tokens"]) {
            refresh(server, grant, token).await;
        }
    }
}

/// The data lists older refresh tokens of a grant first, so this also shows that a refused one does not end the grant.
async fn refresh(server: &Server, grant: &Value, token: &Value) {
    let name = text(&grant["name"]);
    let app = server.relying_party(text(&grant["client_id"]));
    let held = text(&token["token"]);
    if token["must_work_after_takeover"] != true {
        let refused = app.refreshes(held).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_grant"), "{name} {token}");
        return;
    }
    // Another client that presents the token is refused, and the grant stays live.
    let other = if app.id == "web-two" { "web-one" } else { "web-two" };
    let stolen = server.relying_party(other).refreshes(held).await;
    assert_eq!((stolen.status, stolen.error()), (400, "invalid_grant"), "{name}");
    let response = app.refreshes(held).await;
    assert_eq!(response.status, 200, "{name}: {}", response.page.text());
    let (now, then) = (claims(response.id_token()), &grant["claims"]);
    let same = ["sub", "aud", "azp", "nonce", "email", "email_verified", "name", "groups"];
    for claim in same.iter().chain(&["preferred_username", "federated_claims"]) {
        assert_eq!(now[*claim], then[*claim], "{name}: {claim}");
    }
    let next = response.refresh_token();
    assert_ne!(next, held, "{name}: it rotates into ours");
    assert_eq!(app.refreshes(next).await.status, 200, "{name}: the next refresh");
}

/// Users sign in with the passwords and connectors that were only in Dex's storage.
async fn people_sign_in(server: &Server, data: &DataSet) {
    let app = server.relying_party("dyn-app");
    let dave = list(&data.tokens["users"]).find(|user| user["key"] == "dave").unwrap();
    for (connector, login, password) in [
        ("local", text(&dave["email"]), text(&dave["password"])),
        ("dyn-pw", "eve", "eve-Passw0rd"),
    ] {
        let mut browser = server.browser();
        let scopes = "openid email profile offline_access";
        let request = app.auth_request_with(scopes, &[("connector_id", connector)]);
        let arrival = browser.logs_in(&request, login, password).await;
        let response = app.redeems(&request, &arrival).await;
        let name = if connector == "local" { "dave-dyn-app" } else { "eve-dyn-app" };
        let then = &data.grant(name)["claims"];
        assert_eq!(claims(response.id_token())["sub"], then["sub"], "{login}");
    }
    let web = server.relying_party("web-two");
    let mut alice = server.browser();
    let request = web.auth_request_with("openid email", &[("connector_id", "local")]);
    let arrival = alice.logs_in(&request, "ALICE@example.com", "alice-Passw0rd").await;
    assert_eq!(web.redeems(&request, &arrival).await.status, 200);
}

async fn nobody_notices_the_import(data: &DataSet, world: World, from: &str) {
    let server = imported(data.world(world), from).await;
    clients_see_no_difference(&server, data).await;
    people_sign_in(&server, data).await;
}

async fn is_imported(name: &str, file: &str) {
    let data = DataSet::named(name);
    let from = data.file(file);
    let before = std::fs::read(&from).unwrap();
    nobody_notices_the_import(&data, World::empty(), from.to_str().unwrap()).await;
    assert_eq!(std::fs::read(&from).unwrap(), before, "Dex's own data is as it was");
}

#[tokio::test]
async fn a_dex_on_sqlite_is_imported() {
    is_imported("sqlite3", "dex.db").await;
}

#[tokio::test]
async fn a_dex_with_the_ent_storage_is_imported() {
    is_imported("sqlite3-ent", "dex.db").await;
}

#[tokio::test]
async fn a_dex_of_the_main_branch_is_imported() {
    is_imported("sqlite3-head", "dex.db").await;
}

#[tokio::test]
async fn a_dex_on_mysql_is_imported_from_a_dump() {
    is_imported("mysql", "dex-hex.sql").await;
    is_imported("mysql", "dex.sql").await;
}

#[tokio::test]
async fn a_dex_on_postgresql_is_imported_from_a_dump() {
    is_imported("postgres", "dex.sql").await;
}

#[tokio::test]
async fn a_dex_on_kubernetes_is_imported_from_the_output_of_kubectl() {
    is_imported("kubernetes", "dex.json").await;
}

#[tokio::test]
async fn a_dex_on_etcd_is_imported_from_the_output_of_etcdctl() {
    is_imported("etcd", "dex.json").await;
}

/// The account of the URL has no right but SELECT.
#[tokio::test]
async fn mysql_a_dex_is_imported_from_its_server() {
    if Need::MySql.is_missing() {
        return;
    }
    let data = DataSet::named("mysql");
    let database = new_mysql_database(&data.file("dex.sql"));
    nobody_notices_the_import(&data, World::empty(), database.as_str()).await;
}

#[tokio::test]
async fn mysql_a_dex_is_imported_from_the_server_that_its_configuration_file_names() {
    if Need::MySql.is_missing() {
        return;
    }
    let data = DataSet::named("mysql");
    let database = new_mysql_database(&data.file("dex.sql"));
    let world = World::empty();
    let file = world.dir().join("dex.yaml");
    let yaml = format!(
        "issuer: http://127.0.0.1:5556/dex\nstorage:\n  type: mysql\n  config:\n    host: {}\n    port: {}\n    \
         database: {}\n    user: {}\n    password: {}\n    maxOpenConns: 5\n    params: {{charset: utf8mb4}}\n    \
         ssl: {{mode: 'false'}}\nweb:\n  http: 127.0.0.1:5556\n",
        database.host_str().unwrap(),
        database.port().unwrap_or(3306),
        database.path().trim_start_matches('/'),
        database.username(),
        MYSQL_PASSWORD,
    );
    std::fs::write(&file, yaml).unwrap();
    nobody_notices_the_import(&data, world, file.to_str().unwrap()).await;
}

#[tokio::test]
async fn mysql_a_server_that_refuses_is_named_without_the_password() {
    if Need::MySql.is_missing() {
        return;
    }
    let data = DataSet::named("mysql");
    let database = new_mysql_database(&data.file("dex.sql"));
    let world = data.world(World::empty());
    let mut other_password = database.clone();
    other_password.set_password(Some("wrong-Passw0rd")).unwrap();
    // The default is a verified certificate, as in Dex, and this server has none.
    let mut with_tls = database.clone();
    with_tls.set_query(None);
    for from in [other_password, with_tls] {
        let arguments = ["import", "dex", "--from", from.as_str(), "--config", "CONFIG", "--yes"];
        let refused = world.runs_before_start(&arguments);
        let printed = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success());
        let name = database.username();
        assert!(printed.contains(&format!("cannot use the database {name} on ")), "{printed}");
        assert!(!printed.contains("Passw0rd") && !printed.contains("0nly"), "{printed}");
    }
}

/// A database as Dex left it.
fn dex_on_postgres() -> (DataSet, Url) {
    let (data, database) = (DataSet::named("postgres"), new_database());
    let loaded = std::process::Command::new("psql")
        .args([database.as_str(), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--file"])
        .arg(data.file("dex.sql"))
        .output()
        .unwrap();
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    (data, database)
}

async fn is_imported_into_its_own_database(world: World, data: &DataSet, from: &str) {
    let printed = world.clone().refuses_to_start().await;
    assert!(
        printed.contains("is Dex's") && printed.contains("countersign import dex"),
        "{printed}"
    );
    let arguments = ["import", "dex", "--from", from, "--config", "CONFIG", "--yes"];
    let done = world.runs_before_start(&arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let server = world.start().await;
    clients_see_no_difference(&server, data).await;
    people_sign_in(&server, data).await;
}

#[tokio::test]
async fn postgres_a_dex_is_imported_into_its_own_database() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (data, database) = dex_on_postgres();
    let world = data.world(World::on_postgres(database.clone()));
    is_imported_into_its_own_database(world, &data, database.as_str()).await;
}

/// In `storage.config.hosts` and in `--from`.
#[tokio::test]
async fn postgres_a_dex_is_imported_though_the_first_of_its_servers_is_down() {
    const DOWN: &str = "127.0.0.1:1";
    if Need::Postgres.is_missing() {
        return;
    }
    let (data, database) = dex_on_postgres();
    let up = format!("{}:{}", database.host_str().unwrap(), database.port().unwrap_or(5432));
    let storage = format!(
        "storage:\n  type: postgres\n  config:\n    hosts: ['{DOWN}', '{up}']\n    database: {}\n    user: {}\n    \
         ssl: {{mode: disable}}",
        database.path().trim_start_matches('/'),
        database.username()
    );
    let from = database.as_str().replace(&format!("@{up}"), &format!("@{DOWN},{up}"));
    assert_ne!(from, database.as_str());
    let world = data.world(World::on_postgres(database)).with(&storage);
    is_imported_into_its_own_database(world, &data, &from).await;
}

#[tokio::test]
async fn a_preview_names_what_would_be_done_and_writes_nothing() {
    let data = DataSet::named("sqlite3-head");
    let world = data.world(World::empty());
    let from = data.file("dex.db");
    let from = from.to_str().unwrap();
    let arguments = ["import", "dex", "--from", from, "--config", "CONFIG", "--dry-run"];
    let preview = world.runs_before_start(&arguments);
    let printed = String::from_utf8(preview.stdout).unwrap();
    for line in [
        "SQL tables of Dex (migration 23)",
        "1 signing key, which signs on until its next rotation",
        "alice at local: ",
        "Kilgore Trout at mock: ",
        "1 second factors",
        "browser sessions",
        "Nothing was written",
    ] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
    assert!(!world.dir().join("countersign.db").exists(), "no database was made");
    // Without a terminal there can be no confirmation.
    let refused = world.runs_before_start(&["import", "dex", "--from", from, "--config", "CONFIG"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("add --yes"));
    assert!(!world.dir().join("countersign.db").exists(), "no database was made");
}

/// The rule for redirect URIs is that of the configuration file and of the gRPC API.
#[tokio::test]
async fn a_client_with_a_redirect_uri_of_an_executed_scheme_is_not_imported() {
    let data = DataSet::named("kubernetes");
    let world = data.world(World::empty());
    let dump = std::fs::read_to_string(data.file("dex.json")).unwrap();
    let from = world.dir().join("dex.json");
    std::fs::write(&from, dump.replace("http://127.0.0.1:5555/dynpub", "javascript:alert(1)"))
        .unwrap();
    let from = from.to_str().unwrap();
    let arguments = ["import", "dex", "--from", from, "--config", "CONFIG", "--dry-run"];
    let printed = String::from_utf8(world.runs_before_start(&arguments).stdout).unwrap();
    assert!(
        printed.contains("\"javascript:alert(1)\": whose scheme a browser would run"),
        "{printed}"
    );
}

#[tokio::test]
async fn an_import_can_be_repeated_and_what_was_rotated_since_is_named() {
    let data = DataSet::named("sqlite3");
    let from = data.file("dex.db");
    let from = from.to_str().unwrap();
    let mut server = imported(data.world(World::empty()), from).await;
    let app = server.relying_party("web-one");
    let response = app.refreshes(data.current_token("alice-web-one")).await;
    assert_eq!(response.status, 200);
    server.stop().await;
    let again =
        server.runs_command(&["import", "dex", "--from", from, "--config", "CONFIG", "--yes"], &[]);
    let printed = String::from_utf8(again.stdout).unwrap();
    assert!(printed.contains("Taken over:\n  nothing"), "{printed}");
    let rotated = server.runs_command(&["import", "rotated", "--config", "CONFIG"], &[]);
    assert_eq!(String::from_utf8(rotated.stdout).unwrap(), "web-one: 1\n");
    server.restart().await;
    assert_eq!(app.refreshes(response.refresh_token()).await.status, 200);
}

#[tokio::test]
async fn a_rotated_token_of_dex_that_comes_back_late_ends_its_grant() {
    if Need::Clock.is_missing() {
        return;
    }
    let data = DataSet::named("sqlite3");
    let world = data.world(World::empty().with_own_clock());
    let from = data.file("dex.db");
    let server = imported(world, from.to_str().unwrap()).await;
    let app = server.relying_party("web-one");
    let held = data.current_token("mock-web-one");
    let next = app.refreshes(held).await;
    assert_eq!(next.status, 200);
    server.advance(Duration::from_mins(1));
    assert_eq!(app.refreshes(held).await.error(), "invalid_grant");
    assert_eq!(app.refreshes(next.refresh_token()).await.error(), "invalid_grant");
    // Another user's grant stays live.
    assert_eq!(app.refreshes(data.current_token("alice-web-one")).await.status, 200);
}

#[tokio::test]
async fn an_administrator_ends_what_came_from_dex() {
    let data = DataSet::named("sqlite3");
    let from = data.file("dex.db");
    let server = imported(data.world(World::empty()), from.to_str().unwrap()).await;
    let (app, grant) = (server.relying_party("web-one"), data.grant("bob-web-one"));
    let access = text(&list(&grant["access_tokens"]).last().unwrap()["token"]);
    assert_eq!(app.userinfo(access).await.status, 200);
    let arguments = ["sessions", "end", "--user", "7", "--yes", "--config", "CONFIG"];
    let ended = server.runs_command(&arguments, &[]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(app.userinfo(access).await.status, 401);
    assert_eq!(app.refreshes(data.current_token("bob-web-one")).await.error(), "invalid_grant");
}

/// Dex's default lifetimes: ID tokens are valid for a day, and the keys that signed them are published as long.
#[tokio::test]
async fn dexs_keys_are_published_until_its_tokens_have_expired() {
    if Need::Clock.is_missing() {
        return;
    }
    let data = DataSet::named("sqlite3-short");
    let world = data.world(World::empty().with_own_clock().starting_at(1_795_773_600));
    let from = data.file("dex.db");
    let server = imported(world, from.to_str().unwrap()).await;
    let app = server.relying_party("web-one");
    let kids = |keys: &Value| -> Vec<String> {
        list(&keys["keys"]).map(|key| text(&key["kid"]).to_owned()).collect()
    };
    let retired = text(&list(&data.tokens["jwks_before_rotation"]["keys"]).next().unwrap()["kid"]);
    let keys = app.gets("/keys").await.json;
    assert!(kids(&keys).iter().any(|kid| kid == retired));
    server.advance(Duration::from_hours(25));
    let mut server = server;
    server.restart().await;
    let keys = app.gets("/keys").await.json;
    assert!(!kids(&keys).iter().any(|kid| kid == retired), "{keys}");
    let refreshed = app.refreshes(data.current_token("alice-web-one")).await;
    assert_eq!(refreshed.status, 200, "refresh tokens have no end in Dex's default");
}
