//! An administrator drops a leaked signing key: its tokens are refused, another key signs, sessions go on.

use serde_json::{Value, json};

use crate::world::{ALICE, ALICE_PASSWORD, Client, RelyingParty, Server, World, verified};

const ADMINS: &str = "admin:\n  groups:\n    - {connector: local, group: admins}\n  clients: [ops]\n\
    oauth2:\n  skipApprovalScreen: true";

async fn signed_in(server: &Server) -> (RelyingParty, String, String) {
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid email groups offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let (access, refresh) =
        (response.access_token().to_owned(), response.refresh_token().to_owned());
    (app, access, refresh)
}

async fn kids(app: &RelyingParty) -> Vec<String> {
    let keys = app.gets("/keys").await.json;
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().into()).collect()
}

#[tokio::test]
async fn a_dropped_key_verifies_nothing_and_a_new_one_signs_at_once() {
    let server = World::new().client(Client::new("ops")).with(ADMINS).start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let (app, access, refresh) = signed_in(&server).await;
    let leaked = kids(&app).await;

    let preview = ops.calls_api("GET", "/keys/1", &token, Value::Null).await.json;
    assert_eq!(preview["key"]["kid"], leaked[0]);
    assert!(
        preview["tokens_until"].is_string() && preview.get("signing_kid").is_none(),
        "{preview}"
    );
    assert!(preview["beyond"].as_str().unwrap().contains("API server"), "{preview}");
    assert_eq!(app.userinfo(&access).await.status, 200, "a preview drops nothing");
    assert_eq!(ops.calls_api("GET", "/keys/7", &token, Value::Null).await.status, 404);
    assert_eq!(ops.calls_api("DELETE", "/keys/x", &token, Value::Null).await.status, 404);

    let dropped = ops.calls_api("DELETE", "/keys/1", &token, Value::Null).await.json;
    assert_eq!((&dropped["number"], &dropped["made"]), (&json!(1), &json!(true)), "{dropped}");
    let now = kids(&app).await;
    assert_eq!(now, [dropped["signing_kid"].as_str().unwrap()]);
    assert_ne!(now, leaked);

    assert_eq!(app.userinfo(&access).await.status, 401);
    let introspected = app.posts("/token/introspect", &[("token", &access)]).await;
    assert_eq!(introspected.json, json!({ "active": false }));
    assert_eq!(
        ops.calls_api("GET", "/keys", &token, Value::Null).await.status,
        401,
        "that token, too"
    );
    // Only the key has leaked, so the session stays live.
    let response = app.refreshes(&refresh).await;
    verified(response.id_token(), &app.gets("/keys").await.json);
    let token = ops.client_credentials_token().await;
    let events = ops.calls_api("GET", "/events?kind=key_dropped", &token, Value::Null).await.json;
    assert_eq!(events["events"][0]["actor"], "client:ops");
    assert_eq!(events["events"][0]["details"]["kid"], leaked[0]);
}

#[tokio::test]
async fn a_published_key_takes_over_and_a_drop_is_previewed_on_the_command_line() {
    let server = World::new().client(Client::new("ops")).with(ADMINS).start().await;
    let app = server.relying_party("example-app");
    let run = |arguments: &[&str]| {
        server.runs_command(&[arguments, &["--config", "CONFIG"]].concat(), &[])
    };
    assert!(run(&["keys", "rotate"]).status.success());
    let unasked = run(&["keys", "drop", "1"]);
    let text = String::from_utf8_lossy(&unasked.stderr).into_owned();
    assert!(!unasked.status.success() && text.contains("no key was dropped"), "{text}");
    for shown in ["1 (signing)", "tokens refused", "signs afterwards", "API server"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let dropped = run(&["keys", "drop", "1", "--yes"]);
    let dropped: Value = serde_json::from_slice(&dropped.stdout).unwrap();
    assert_eq!(dropped["made"], json!(false), "{dropped}");
    let again = run(&["keys", "drop", "1", "--yes"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is no signing key 1"));
    let list: Value = serde_json::from_slice(&run(&["keys", "list"]).stdout).unwrap();
    assert_eq!((&list[0]["number"], &list[0]["state"]), (&json!(2), &json!("signing")), "{list}");
    drop(app);
}

#[tokio::test]
async fn alice_drops_a_key_on_its_page() {
    let server = World::new().client(Client::new("ops")).with(ADMINS).start().await;
    let (app, access, _) = signed_in(&server).await;
    let mut alice = server.browser();
    alice.opens(server.url("/admin/keys")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let page = alice.clicks("Drop…").await;
    for shown in ["Drop key 1", "a new key signs", "API server", "refresh tokens go on"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    assert_eq!(app.userinfo(&access).await.status, 200);
    let form = page.forms().into_iter().find(|form| form.is_post).unwrap();
    let page = alice.submits(form).await;
    assert!(page.text().contains("Key 1 was dropped"), "{}", page.text());
    assert_eq!(app.userinfo(&access).await.status, 401);
    assert_eq!(alice.get(server.url("/admin/keys/1")).await.status, 404);
}
