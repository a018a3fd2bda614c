//! The administrator's API: who may ask, what is told, what ends, and that it really ends.

use serde_json::{Value, json};

use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, RelyingParty, Server, World};

pub const ADMINS: &str =
    "admin:\n  groups:\n    - {connector: local, group: admins}\n  clients: [ops]";

/// Alice is an administrator, Bob is not, `ops` is what administrators use.
fn world() -> World {
    World::new().client(Client::new("ops")).with(ADMINS)
}

/// A sign-in with a refresh token; returns access and refresh token.
async fn signs_in(server: &Server, who: (&str, &str)) -> (String, String) {
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid email groups offline_access");
    let auth_response = server.browser().logs_in(&request, who.0, who.1).await;
    let response = app.redeems(&request, &auth_response).await;
    (response.access_token().to_owned(), response.refresh_token().to_owned())
}

/// A token for the API in somebody's own name.
async fn own_name(server: &Server, who: (&str, &str)) -> String {
    let ops = server.relying_party("ops");
    let request = ops.auth_request("openid groups countersign:admin");
    let auth_response = server.browser().logs_in(&request, who.0, who.1).await;
    ops.redeems(&request, &auth_response).await.access_token().to_owned()
}

async fn sessions_of(ops: &RelyingParty, token: &str, query: &str) -> Vec<Value> {
    let response = ops.calls_api("GET", &format!("/sessions?{query}"), token, Value::Null).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    response.json["sessions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_administrator_ends_one_laptop_and_the_other_goes_on() {
    let server = world().start().await;
    let (app, ops) = (server.relying_party("example-app"), server.relying_party("ops"));
    let (lost_access, lost) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let (kept_access, kept) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let token = ops.client_credentials_token().await;

    let found = sessions_of(&ops, &token, "user=alice@example.com").await;
    assert_eq!(found.len(), 2);
    // Newest first: the lost laptop was there before.
    let id = found[1]["id"].as_str().unwrap();
    assert_eq!(found[1]["clients"], json!(["example-app"]));
    assert_eq!(found[1]["groups"], json!(["admins", "developers"]));

    let ended = ops.calls_api("DELETE", &format!("/sessions/{id}"), &token, Value::Null).await;
    assert_eq!((ended.status, &ended.json["grants"]), (200, &json!(1)), "{}", ended.page.body);
    assert!(ended.json["tokens_until"].as_str().unwrap().ends_with('Z'));
    assert!(ended.json["beyond"].as_str().unwrap().contains("Kubernetes"));

    assert_eq!(app.refreshes(&lost).await.error(), "invalid_grant");
    assert_eq!(app.userinfo(&lost_access).await.status, 401);
    let asked = app.posts("/token/introspect", &[("token", &lost_access)]).await;
    assert_eq!(asked.json, json!({ "active": false }));
    assert_eq!(app.userinfo(&kept_access).await.status, 200);
    assert_eq!(app.refreshes(&kept).await.status, 200);

    let shown = ops.calls_api("GET", &format!("/sessions/{id}"), &token, Value::Null).await;
    assert_eq!(shown.json["session"]["ended"]["by"], "client:ops");
    assert_eq!(shown.json["session"]["ended"]["why"], "administrator");
    let events = shown.json["events"].as_array().unwrap();
    assert!(events.iter().any(|e| e["kind"] == "session_ended" && e["actor"] == "client:ops"));
    let again = ops.calls_api("DELETE", &format!("/sessions/{id}"), &token, Value::Null).await;
    assert_eq!(
        (again.status, &again.json["type"]),
        (404, &"urn:countersign:problem:not-found".into())
    );
}

#[tokio::test]
async fn ending_many_is_previewed_and_ends_exactly_what_was_previewed() {
    let server = world().start().await;
    let (app, ops) = (server.relying_party("example-app"), server.relying_party("ops"));
    let (_, first) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let (_, second) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let (_, bobs) = signs_in(&server, (BOB, BOB_PASSWORD)).await;
    let token = ops.client_credentials_token().await;

    let developers = json!({ "group": "developers" });
    let preview = ops.calls_api("POST", "/sessions/preview", &token, developers.clone()).await;
    assert_eq!((&preview.json["sessions"], &preview.json["people"]), (&json!(2), &json!(1)));
    assert_eq!(preview.json["clients"], json!([{ "client": "example-app", "grants": 2 }]));
    assert_eq!(app.refreshes(&first).await.status, 200, "a preview ends nothing");

    let ended = ops.calls_api("POST", "/sessions/end", &token, developers).await;
    assert_eq!((&ended.json["sessions"], &ended.json["more"]), (&json!(2), &json!(false)));
    assert_eq!(app.refreshes(&second).await.error(), "invalid_grant");
    assert_eq!(app.refreshes(&bobs).await.status, 200);

    let events = ops.calls_api("GET", "/events?kind=sessions_ended", &token, Value::Null).await;
    assert_eq!(events.json["events"][0]["details"]["filter"]["group"], "developers");
    assert_eq!(events.json["events"][0]["actor"], "client:ops");
}

/// A misspelt or forgotten filter must not end everybody's sessions.
#[tokio::test]
async fn everything_ends_only_when_everything_is_said() {
    let server = world().start().await;
    let (app, ops) = (server.relying_party("example-app"), server.relying_party("ops"));
    let (_, refresh) = signs_in(&server, (BOB, BOB_PASSWORD)).await;
    let token = ops.client_credentials_token().await;
    for (body, field) in [
        (json!({}), "everything"),
        (json!({ "grup": "developers" }), "grup"),
        (json!({ "everything": "yes" }), "everything"),
        (json!({ "created_since": "yesterday" }), "created_since"),
        (json!({ "user": "x".repeat(1025) }), "user"),
        (json!({ "user": "a\u{0}b" }), "user"),
        (json!({ "state": "ended" }), "state"),
    ] {
        let response = ops.calls_api("POST", "/sessions/end", &token, body.clone()).await;
        assert_eq!(
            (response.status, response.json["field"].as_str()),
            (400, Some(field)),
            "{body}"
        );
        assert_eq!(response.page.header("content-type"), Some("application/problem+json"));
    }
    for body in [json!([]), json!({ "user": 5 }), json!({ "user": { "a": 1 } })] {
        let response = ops.calls_api("POST", "/sessions/end", &token, body.clone()).await;
        assert_eq!(response.status, 400, "{body}");
    }
    assert_eq!(app.refreshes(&refresh).await.status, 200);
    let response =
        ops.calls_api("POST", "/sessions/end", &token, json!({ "everything": "true" })).await;
    assert_eq!(response.json["sessions"], 1);
    assert_eq!(sessions_of(&ops, &token, "").await.len(), 0);
}

/// Threat 127: without a token, with a token that is for something else, with a person's who is nobody.
#[tokio::test]
async fn the_api_opens_to_administrators_alone() {
    let server = world().client(Client::public("cli")).start().await;
    let ops = server.relying_party("ops");
    let (access, refresh) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let bobs = own_name(&server, (BOB, BOB_PASSWORD)).await;
    let alices = own_name(&server, (ALICE, ALICE_PASSWORD)).await;

    let bare = ops.gets("/api/v1/sessions").await;
    assert_eq!((bare.status, bare.page.header("www-authenticate")), (401, Some("Bearer")));
    let get = async |token: &str| ops.calls_api("GET", "/sessions", token, Value::Null).await;
    assert_eq!(get("nonsense").await.status, 401);
    assert_eq!(get(&refresh).await.status, 401);
    // An administrator's token for another application says nothing here.
    assert_eq!(get(&access).await.status, 403);
    let refused = get(&bobs).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json["type"], "urn:countersign:problem:not-an-administrator");
    assert!(refused.page.header("www-authenticate").unwrap().contains("insufficient_scope"));
    assert_eq!(get(&alices).await.status, 200);
}

#[tokio::test]
async fn only_clients_of_admin_clients_get_the_scope() {
    let server = world().start().await;
    let app = server.relying_party("example-app");
    let credentials = [("grant_type", "client_credentials"), ("scope", "countersign:admin")];
    let response = app.exchange(&credentials).await;
    assert_eq!((response.status, response.error()), (400, "unauthorized_client"));
    let ops = server.relying_party("ops");
    // Threat 48.
    for scope in ["", "openid", "countersign:admin offline_access", "countersign:admin openid"] {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        assert_eq!(ops.exchange(&fields).await.error(), "invalid_scope", "{scope}");
    }
    let request = app.auth_request("openid countersign:admin");
    let mut alice = server.browser();
    alice.opens(&request.url).await;
    assert_eq!(alice.auth_error(), "invalid_scope");
}

/// Threat 48: a client's own token is nobody's, and opens nothing but the API.
#[tokio::test]
async fn a_clients_own_token_is_no_persons() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    assert_eq!(ops.userinfo(&token).await.status, 401);
    let told = ops.posts("/token/introspect", &[("token", &token)]).await;
    assert_eq!(told.json, json!({ "active": false }));
}

#[tokio::test]
async fn an_administrator_whose_session_ends_is_none_any_more() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let alices = own_name(&server, (ALICE, ALICE_PASSWORD)).await;
    let mine = sessions_of(&ops, &alices, "client=ops").await;
    let id = mine[0]["id"].as_str().unwrap();
    let ended = ops.calls_api("DELETE", &format!("/sessions/{id}"), &alices, Value::Null).await;
    assert_eq!(ended.status, 200);
    assert_eq!(ops.calls_api("GET", "/sessions", &alices, Value::Null).await.status, 401);
    // It is known who did it, and by which directory.
    let events = format!("/events?session={id}&kind=session_ended");
    let token = ops.client_credentials_token().await;
    let events = ops.calls_api("GET", &events, &token, Value::Null).await;
    assert_eq!(events.json["events"][0]["actor"], "user:id-of-alice@local");
}

/// Threat 129: ids and pages that nobody gave.
#[tokio::test]
async fn odd_ids_and_pages_are_the_callers_mistake() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let token = ops.client_credentials_token().await;
    let get = async |path: &str| ops.calls_api("GET", path, &token, Value::Null).await.status;
    for path in [
        "/sessions/..%2f..%2fkeys",
        "/sessions/'%20OR%201=1--",
        "/sessions/%00",
        "/sessions/%ff",
        &format!("/sessions/{}", "x".repeat(5000)),
    ] {
        assert!([400, 404].contains(&get(path).await), "{path}");
    }
    for query in [
        "page=x",
        "page=%27%20OR%201",
        "limit=0",
        "limit=2147483648",
        "limit=-1",
        "limit=x",
        "user=a&user=b",
        "state=dead",
        "seen_since=2026-99-99",
        "%ff=1",
    ] {
        assert_eq!(get(&format!("/sessions?{query}")).await, 400, "{query}");
        assert_eq!(get(&format!("/events?{query}")).await, 400, "{query}");
    }
    for text in ["%25", "_", "'", "\\", "%22", "%E2%80%AE"] {
        assert_eq!(get(&format!("/sessions?text={text}")).await, 200, "{text}");
    }
    assert_eq!(sessions_of(&ops, &token, "text=%25").await.len(), 0, "a % is no wildcard");
    assert_eq!(get("/nothing").await, 404);
    let wrong = ops.calls_api("PUT", "/sessions", &token, Value::Null).await;
    assert_eq!((wrong.status, wrong.json["status"].as_i64()), (405, Some(405)));
}

#[tokio::test]
async fn pages_follow_one_another_without_a_gap() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    for _ in 0..5 {
        signs_in(&server, (BOB, BOB_PASSWORD)).await;
    }
    let token = ops.client_credentials_token().await;
    let (mut seen, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        let path = format!("/sessions?{query}");
        let page = ops.calls_api("GET", &path, &token, Value::Null).await.json;
        seen.extend(page["sessions"].as_array().unwrap().iter().map(|s| s["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=2&page={next}");
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().map(Value::to_string).collect();
    assert_eq!((seen.len(), distinct.len()), (5, 5));
}

#[tokio::test]
async fn the_key_is_rotated_now_and_both_keys_are_published() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let rotated = ops.calls_api("POST", "/keys/rotate", &token, Value::Null).await;
    assert_eq!((&rotated.json["made"], &rotated.json["number"]), (&json!(true), &json!(2)));
    let again = ops.calls_api("POST", "/keys/rotate", &token, Value::Null).await;
    assert_eq!((&again.json["made"], &again.json["number"]), (&json!(false), &json!(2)));
    let keys = ops.calls_api("GET", "/keys", &token, Value::Null).await.json;
    let states: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|k| &k["state"]).collect();
    assert_eq!(states, ["next", "signing"]);
    assert_eq!(ops.gets("/keys").await.json["keys"].as_array().unwrap().len(), 2);
    assert!(!keys.to_string().contains("private"));
}

/// Threat 128: whatever is told of clients and connectors, no secret is.
#[tokio::test]
async fn no_view_tells_a_secret() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let token = ops.client_credentials_token().await;
    for path in [
        "/clients",
        "/connectors",
        "/sessions",
        "/events",
        "/keys",
        "/explain?user=alice@example.com&client=example-app",
    ] {
        let response = ops.calls_api("GET", path, &token, Value::Null).await;
        assert_eq!(response.status, 200, "{path}: {}", response.page.body);
        for secret in ["the-secret-of", "$2", "eyJ", "hash", "\"secret\"", "cookie"] {
            assert!(
                !response.page.body.contains(secret),
                "{path} tells {secret}: {}",
                response.page.body
            );
        }
    }
}

#[tokio::test]
async fn who_had_a_group_is_known_with_its_upstream_and_its_interval() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let (_, _) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let token = ops.client_credentials_token().await;
    let asked = "/memberships?group=developers&since=1h";
    let held = ops.calls_api("GET", asked, &token, Value::Null).await.json;
    let [membership] = held["memberships"].as_array().unwrap().as_slice() else { panic!("{held}") };
    assert_eq!(
        (&membership["user_id"], &membership["connector"]),
        (&json!("id-of-alice"), &json!("local"))
    );
    assert!(membership.get("until").is_none(), "{held}");
    let earlier = "/memberships?group=developers&since=2020-01-01&until=2020-01-02";
    let held = ops.calls_api("GET", earlier, &token, Value::Null).await.json;
    assert_eq!(held["memberships"], json!([]));
}
