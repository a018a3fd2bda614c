//! The administrator's API: authentication, listing, ending sessions, keys.

use serde_json::{Value, json};

use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, RelyingParty, Server, World};

pub const ADMINS: &str =
    "admin:\n  groups:\n    - {connector: local, group: admins}\n  clients: [ops]";

/// Alice is an administrator, Bob is not, `ops` is the client of administrators.
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

/// An access token for the API that acts for this person.
async fn admin_token_of(server: &Server, who: (&str, &str)) -> String {
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
async fn an_administrator_ends_one_session_and_the_other_stays_live() {
    let server = world().start().await;
    let (app, ops) = (server.relying_party("example-app"), server.relying_party("ops"));
    let (ended_access, ended_refresh) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let (other_access, other_refresh) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let token = ops.client_credentials_token().await;

    let found = sessions_of(&ops, &token, "user=alice@example.com").await;
    assert_eq!(found.len(), 2);
    // Newest first.
    let id = found[1]["id"].as_str().unwrap();
    assert_eq!(found[1]["clients"], json!(["example-app"]));
    assert_eq!(found[1]["groups"], json!(["admins", "developers"]));

    let ended = ops.calls_api("DELETE", &format!("/sessions/{id}"), &token, Value::Null).await;
    assert_eq!((ended.status, &ended.json["grants"]), (200, &json!(1)), "{}", ended.page.body);
    assert!(ended.json["tokens_until"].as_str().unwrap().ends_with('Z'));
    assert!(ended.json["beyond"].as_str().unwrap().contains("Kubernetes"));

    assert_eq!(app.refreshes(&ended_refresh).await.error(), "invalid_grant");
    assert_eq!(app.userinfo(&ended_access).await.status, 401);
    let introspected = app.posts("/token/introspect", &[("token", &ended_access)]).await;
    assert_eq!(introspected.json, json!({ "active": false }));
    assert_eq!(app.userinfo(&other_access).await.status, 200);
    assert_eq!(app.refreshes(&other_refresh).await.status, 200);

    let shown = ops.calls_api("GET", &format!("/sessions/{id}"), &token, Value::Null).await;
    assert_eq!(shown.json["session"]["ended"]["by"], "client:ops");
    assert_eq!(shown.json["session"]["ended"]["reason"], "administrator");
    let events = shown.json["events"].as_array().unwrap();
    assert!(events.iter().any(|e| e["kind"] == "session_ended" && e["actor"] == "client:ops"));
    let again = ops.calls_api("DELETE", &format!("/sessions/{id}"), &token, Value::Null).await;
    assert_eq!(
        (again.status, &again.json["type"]),
        (404, &"urn:countersign:problem:not-found".into())
    );
}

#[tokio::test]
async fn ending_many_sessions_ends_exactly_those_of_the_preview() {
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

/// A misspelt or missing filter must not end all sessions.
#[tokio::test]
async fn all_sessions_end_only_with_an_explicit_everything() {
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

/// Threat 127: no token, a token for another audience, a token of somebody who is no administrator.
#[tokio::test]
async fn the_api_refuses_everybody_but_administrators() {
    let server = world().client(Client::public("cli")).start().await;
    let ops = server.relying_party("ops");
    let (access, refresh) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let bobs = admin_token_of(&server, (BOB, BOB_PASSWORD)).await;
    let alices = admin_token_of(&server, (ALICE, ALICE_PASSWORD)).await;

    let bare = ops.gets("/api/v1/sessions").await;
    assert_eq!((bare.status, bare.page.header("www-authenticate")), (401, Some("Bearer")));
    let get = async |token: &str| ops.calls_api("GET", "/sessions", token, Value::Null).await;
    assert_eq!(get("nonsense").await.status, 401);
    assert_eq!(get(&refresh).await.status, 401);
    // An access token for another client is refused, also an administrator's.
    assert_eq!(get(&access).await.status, 403);
    let refused = get(&bobs).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json["type"], "urn:countersign:problem:not-an-administrator");
    assert!(refused.page.header("www-authenticate").unwrap().contains("insufficient_scope"));
    assert_eq!(get(&alices).await.status, 200);
}

#[tokio::test]
async fn the_admin_scope_is_granted_only_to_clients_in_admin_clients() {
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

/// Threat 48: a token of the client credentials grant identifies no person, and is accepted by the API only.
#[tokio::test]
async fn a_client_credentials_token_is_refused_outside_the_api() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    assert_eq!(ops.userinfo(&token).await.status, 401);
    let introspected = ops.posts("/token/introspect", &[("token", &token)]).await;
    assert_eq!(introspected.json, json!({ "active": false }));
}

#[tokio::test]
async fn an_administrators_token_is_refused_after_her_session_ended() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let alices = admin_token_of(&server, (ALICE, ALICE_PASSWORD)).await;
    let mine = sessions_of(&ops, &alices, "client=ops").await;
    let id = mine[0]["id"].as_str().unwrap();
    let ended = ops.calls_api("DELETE", &format!("/sessions/{id}"), &alices, Value::Null).await;
    assert_eq!(ended.status, 200);
    assert_eq!(ops.calls_api("GET", "/sessions", &alices, Value::Null).await.status, 401);
    // The event names the administrator and her connector.
    let events = format!("/events?session={id}&kind=session_ended");
    let token = ops.client_credentials_token().await;
    let events = ops.calls_api("GET", &events, &token, Value::Null).await;
    assert_eq!(events.json["events"][0]["actor"], "user:id-of-alice@local");
}

/// Threat 129: ids and page cursors that we did not issue.
#[tokio::test]
async fn malformed_ids_and_queries_get_400_or_404() {
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
async fn pages_of_a_list_are_complete_and_without_duplicates() {
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
async fn rotating_the_key_publishes_the_next_key_beside_the_current_one() {
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

/// Threat 128.
#[tokio::test]
async fn no_api_response_contains_a_secret() {
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
                "{path} contains {secret}: {}",
                response.page.body
            );
        }
    }
}

#[tokio::test]
async fn memberships_name_the_person_the_connector_and_the_interval() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let (_, _) = signs_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let token = ops.client_credentials_token().await;
    let query = "/memberships?group=developers&since=1h";
    let found = ops.calls_api("GET", query, &token, Value::Null).await.json;
    let [membership] = found["memberships"].as_array().unwrap().as_slice() else {
        panic!("{found}")
    };
    assert_eq!(
        (&membership["user_id"], &membership["connector"]),
        (&json!("id-of-alice"), &json!("local"))
    );
    assert!(membership.get("until").is_none(), "{found}");
    let earlier = "/memberships?group=developers&since=2020-01-01&until=2020-01-02";
    let found = ops.calls_api("GET", earlier, &token, Value::Null).await.json;
    assert_eq!(found["memberships"], json!([]));
}
