//! An administrator blocks a user: until the block ends or is lifted, sign-in and refresh are refused, and so are the
//! user's tokens at userinfo, introspection and the endpoints for clusters. By the API, the command line and the pages.

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::scenarios::login::device::{DEVICE_CODE, Device, types_code};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Client, Need, RelyingParty, Server, World,
};

const ADMINS: &str = "admin:\n  groups:\n    - {connector: local, group: admins}\n  clients: [ops]\n  \
     contact: helpdesk@example.com\noauth2:\n  skipApprovalScreen: true\nexpiry:\n  idTokens: 10m";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const WEBHOOK: &str = "bearer-token-of-the-api-server-71c1";
const REVIEW: &str = "/kubernetes/tokenreview/example-cluster";

fn world() -> World {
    configured(World::new())
}

fn configured(world: World) -> World {
    let cluster = Client::public("example-cluster")
        .with(&format!("kubernetes: {{webhook: {{secret: {WEBHOOK}}}}}"));
    world.client(Client::new("ops")).client(cluster).with(ADMINS)
}

fn bob() -> Value {
    json!({ "connector": "local", "user_id": "id-of-bob" })
}

fn blocked(reason: &str) -> Value {
    json!({ "connector": "local", "user_id": "id-of-bob", "reason": reason })
}

/// The tokens that Bob's client and his cluster have.
struct Held {
    app: RelyingParty,
    access: String,
    refresh: String,
    id_token: String,
}

impl Held {
    async fn of_bob(server: &Server, client: &str) -> Self {
        let app = server.relying_party(client);
        let request = app.auth_request("openid email groups offline_access");
        let auth_response = server.browser().logs_in(&request, BOB, BOB_PASSWORD).await;
        let response = app.redeems(&request, &auth_response).await;
        let (access, refresh) = (response.access_token().into(), response.refresh_token().into());
        Self { app, access, refresh, id_token: response.id_token().into() }
    }
}

async fn reviews(app: &RelyingParty, token: &str) -> Value {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token}});
    app.posts_json_as(WEBHOOK, REVIEW, &review).await.json["status"]["authenticated"].clone()
}

async fn signs_in(server: &Server, login: &str, password: &str) -> Browser {
    let mut browser = server.browser();
    browser.opens(server.url("/sign-in")).await;
    browser.signs_in(login, password).await;
    browser
}

#[tokio::test]
async fn a_blocked_user_is_refused_everywhere_and_sees_the_contact() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let held = Held::of_bob(&server, "example-app").await;
    let cluster = Held::of_bob(&server, "example-cluster").await;
    assert_eq!(reviews(&ops, &cluster.id_token).await, json!(true));
    let signed_in = signs_in(&server, BOB, BOB_PASSWORD).await;

    let preview = ops.calls_api("POST", "/blocked-users/preview", &token, bob()).await.json;
    assert_eq!((&preview["name"], &preview["sessions"]), (&json!("bob"), &json!(3)), "{preview}");
    assert_eq!(preview["grants"], 2);
    assert_eq!(held.app.userinfo(&held.access).await.status, 200, "a preview ends nothing");

    let mut request = blocked("stolen laptop");
    request["keep_sessions"] = json!("true");
    let response = ops.calls_api("POST", "/blocked-users", &token, request).await;
    assert_eq!(response.status, 200, "{}", response.json);
    assert_eq!(response.json["ended"]["sessions"], 0);
    assert!(response.json["ended"]["tokens_until"].is_string(), "{}", response.json);

    assert_eq!(held.app.userinfo(&held.access).await.status, 401);
    let introspected = held.app.posts("/token/introspect", &[("token", &held.access)]).await;
    assert_eq!(introspected.json, json!({ "active": false }));
    assert_eq!(held.app.refreshes(&held.refresh).await.error(), "invalid_grant");
    assert_eq!(reviews(&ops, &cluster.id_token).await, json!(false));
    let mut signed_in = signed_in;
    assert!(signed_in.opens(server.url("/")).await.link("Sign in").is_some(), "no single sign-on");

    let refused = signs_in(&server, BOB, BOB_PASSWORD).await;
    let page = refused.page();
    assert_eq!(page.status, 403, "{}", page.text());
    for text in ["This account is blocked", "helpdesk@example.com", "Reference"] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
    assert!(!page.text().contains("stolen laptop"), "the reason is for administrators");
    let wrong = signs_in(&server, BOB, "not his password").await;
    assert!(!wrong.page().text().contains("blocked"), "revealed only with the right password");
    assert_eq!(signs_in(&server, ALICE, ALICE_PASSWORD).await.page().status, 200, "nobody else");

    let unblocked = ops.calls_api("POST", "/blocked-users/unblock", &token, bob()).await;
    assert_eq!(unblocked.json, json!({ "unblocked": true }));
    assert_eq!(held.app.userinfo(&held.access).await.status, 200, "sessions were kept");
    assert_eq!(held.app.refreshes(&held.refresh).await.status, 200);
    assert_eq!(reviews(&ops, &cluster.id_token).await, json!(true));
    let again = ops.calls_api("POST", "/blocked-users/unblock", &token, bob()).await;
    assert_eq!(again.status, 404);
    for (kind, details) in
        [("user_blocked", json!("stolen laptop")), ("user_unblocked", Value::Null)]
    {
        let events =
            ops.calls_api("GET", &format!("/events?kind={kind}"), &token, Value::Null).await;
        let event = &events.json["events"][0];
        assert_eq!((&event["actor"], &event["user_name"]), (&json!("client:ops"), &json!("bob")));
        assert_eq!(event["details"]["reason"], details);
    }
}

/// Whatever a client presents: a password, a device code that he approved before, a subject token, a signed-in browser.
#[tokio::test]
async fn a_blocked_user_gets_no_tokens_by_the_other_grants() {
    let grants = format!(
        "oauth2:\n  skipApprovalScreen: true\n  passwordConnector: local\n  responseTypes: [code, id_token]\n  \
         grantTypes: [authorization_code, refresh_token, password, \"{DEVICE_CODE}\", \"{EXCHANGE}\"]"
    );
    let server = world().client(Client::public("cli")).with(&grants).start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let held = Held::of_bob(&server, "cli").await;
    let device = Device::requests(&server, "openid").await;
    let mut browser = signs_in(&server, BOB, BOB_PASSWORD).await;
    types_code(&mut browser, &server, &device.user_code).await;
    browser.clicks("It is mine").await;
    browser.approves().await;

    let mut request = blocked("stolen laptop");
    request["keep_sessions"] = json!("true");
    let response = ops.calls_api("POST", "/blocked-users", &token, request).await;
    assert_eq!(response.status, 200, "{}", response.json);
    let password = [
        ("grant_type", "password"),
        ("username", BOB),
        ("password", BOB_PASSWORD),
        ("scope", "openid"),
    ];
    let exchange = [
        ("grant_type", EXCHANGE),
        ("subject_token", held.access.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    for (fields, expected) in [(&password[..], "invalid_grant"), (&exchange, "invalid_request")] {
        let response = held.app.exchange(fields).await;
        assert_eq!((response.status, response.error()), (400, expected), "{fields:?}");
    }
    assert_eq!(device.polls().await.error(), "invalid_grant");
    let silent = [("response_type", "id_token"), ("prompt", "none")];
    browser.opens(held.app.auth_request_with("openid", &silent).url).await;
    assert_eq!(browser.auth_error(), "login_required");
}

#[tokio::test]
async fn a_block_ends_sessions_unless_they_are_kept_and_is_listed_with_its_reason() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let held = Held::of_bob(&server, "example-app").await;
    let response =
        ops.calls_api("POST", "/blocked-users", &token, blocked("left the company")).await;
    assert_eq!(
        (&response.json["ended"]["sessions"], &response.json["ended"]["grants"]),
        (&json!(1), &json!(1))
    );
    let list = ops.calls_api("GET", "/blocked-users", &token, Value::Null).await.json;
    let [bob_listed] = list["blocked_users"].as_array().unwrap().as_slice() else {
        panic!("{list}")
    };
    assert_eq!(bob_listed["name"], "bob");
    assert_eq!(bob_listed["reason"], "left the company");
    assert_eq!(bob_listed["blocked_by"], "client:ops");
    assert!(bob_listed.get("expires_at").is_none(), "{list}");
    let explained = ops.calls_api("GET", "/explain?user=bob", &token, Value::Null).await.json;
    assert_eq!(explained["people"][0]["blocked"]["reason"], "left the company");
    ops.calls_api("POST", "/blocked-users/unblock", &token, bob()).await;
    assert_eq!(held.app.refreshes(&held.refresh).await.error(), "invalid_grant", "it ended");
    assert_eq!(signs_in(&server, BOB, BOB_PASSWORD).await.page().status, 200);
}

/// A misspelt field, connector or end blocks nobody, and nobody locks themselves out.
#[tokio::test]
async fn what_blocks_nobody_is_an_error() {
    let server = world().start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let request = |name: &str, value: &str| {
        let mut request = blocked("a reason");
        request[name] = json!(value);
        request
    };
    for (body, field) in [
        (json!({ "connector": "local", "user_id": "id-of-bob" }), "reason"),
        (json!({ "user_id": "id-of-bob", "reason": "r" }), "connector"),
        (request("connector", "locl"), "connector"),
        (request("until", "2020-01-01T00:00:00Z"), "until"),
        (request("until", "tomorrow"), "until"),
        (request("keep_session", "true"), "keep_session"),
        (request("keep_sessions", "yes"), "keep_sessions"),
        (request("reason", &"x".repeat(501)), "reason"),
    ] {
        let response = ops.calls_api("POST", "/blocked-users", &token, body.clone()).await;
        assert_eq!(
            (response.status, response.json["field"].as_str()),
            (400, Some(field)),
            "{body}"
        );
    }
    let list = ops.calls_api("GET", "/blocked-users", &token, Value::Null).await.json;
    assert_eq!(list["blocked_users"], json!([]));
    let odd = ops.calls_api("GET", "/blocked-users?page=zz", &token, Value::Null).await;
    assert_eq!(odd.status, 400);

    // The user id that belongs to the login name is suggested.
    Held::of_bob(&server, "example-app").await;
    let typed = json!({ "connector": "local", "user_id": BOB });
    let preview = ops.calls_api("POST", "/blocked-users/preview", &token, typed).await.json;
    assert_eq!(preview["suggestions"], json!([{ "user_id": "id-of-bob", "name": "bob" }]));
    assert_eq!(preview["sessions"], 0);
}

#[tokio::test]
async fn a_block_ends_by_itself() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = configured(World::with_clock()).start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let mut request = blocked("for the afternoon");
    request["until"] = json!("8h");
    ops.calls_api("POST", "/blocked-users", &token, request).await;
    let refused = signs_in(&server, BOB, BOB_PASSWORD).await;
    assert!(refused.page().text().contains("Until "), "{}", refused.page().text());
    server.advance(Duration::from_secs(8 * 3600 + 1));
    assert_eq!(signs_in(&server, BOB, BOB_PASSWORD).await.page().status, 200);
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn users_are_blocked_listed_and_unblocked_on_the_command_line() {
    let server = world().start().await;
    let held = Held::of_bob(&server, "example-app").await;
    let person = ["id-of-bob", "--connector", "local", "--config", "CONFIG"];
    let block =
        [&["users", "block"][..], &person, &["--reason", "left", "--until", "720h"]].concat();
    let unasked = server.runs_command(&block, &[]);
    assert!(!unasked.status.success());
    let text = String::from_utf8_lossy(&unasked.stderr);
    for shown in ["bob", "sessions          1, which end", "nobody was blocked", "--yes"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert_eq!(held.app.userinfo(&held.access).await.status, 200);

    let done =
        json_of(&server.runs_command(&[&block[..], &["--yes"]].concat(), &[("USER", "carol")]));
    assert_eq!(done["ended"]["sessions"], 1);
    assert_eq!(done["blocked_user"]["blocked_by"], "machine:carol");
    let list = ["users", "list", "--config", "CONFIG"];
    assert_eq!(
        json_of(&server.runs_command(&list, &[]))["blocked_users"][0]["user_id"],
        "id-of-bob"
    );
    let table =
        server.runs_command(&[&list[..], &["--output", "table"]].concat(), &[("COLUMNS", "80")]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.starts_with("USER") && table.contains("id-of-bob"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert_eq!(signs_in(&server, BOB, BOB_PASSWORD).await.page().status, 403);
    let unblock = [&["users", "unblock"][..], &person].concat();
    assert_eq!(json_of(&server.runs_command(&unblock, &[])), json!({ "unblocked": true }));
    assert!(!server.runs_command(&unblock, &[]).status.success(), "there is no block any more");
    let empty = server.runs_command(&[&list[..], &["--output", "table"]].concat(), &[]);
    assert_eq!(String::from_utf8(empty.stdout).unwrap(), "Nobody is blocked.\n");
}

#[tokio::test]
async fn alice_blocks_bob_on_the_pages_and_lifts_it() {
    let server = world().start().await;
    let held = Held::of_bob(&server, "example-app").await;
    let mut alice = server.browser();
    alice.opens(server.url("/admin?user=bob%40example.com")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.clicks("bob").await;
    let page = alice.clicks("Block this person…").await;
    assert_eq!(page.all(".sums dd"), ["1", "1"], "{}", page.text());
    let form = page.form_with("reason").unwrap();
    let page = alice.submits(form).await;
    assert_eq!(page.status, 400, "a reason is missing: {}", page.text());
    assert_eq!(held.app.userinfo(&held.access).await.status, 200);
    let form =
        page.form_with("reason").unwrap().fill("reason", "stolen laptop").fill("until", "8h");
    let page = alice.submits(form).await;
    assert_eq!(page.url.path(), "/dex/admin/blocked-users", "{}", page.text());
    let flash = page.all("[role=status]").concat();
    assert!(flash.contains("bob is blocked") && flash.contains("One session has ended"), "{flash}");
    let rows = page.all("tbody tr");
    assert!(rows.len() == 1 && rows[0].contains("stolen laptop"), "{rows:?}");
    assert_eq!(held.app.userinfo(&held.access).await.status, 401);

    let form = page.form_with("user_id").filter(|form| form.is_post).unwrap();
    let page = alice.submits(form).await;
    assert!(page.text().contains("Nobody is blocked"), "{}", page.text());
    // Who lifted it, and from where, is in the audit log and in the log.
    let page = alice.opens(server.url("/admin/events?kind=user_unblocked")).await;
    let rows = page.all("tbody tr");
    assert!(rows.len() == 1 && rows[0].contains("Block lifted alice from 127."), "{rows:?}");
    server.waits_for_log(1, "user_unblocked").await;
    let log = server.log();
    let line = log.lines().find(|line| line.contains("user_unblocked")).expect("a line");
    assert!(
        line.contains("user:id-of-alice@local") && line.contains("\"address\":\"127."),
        "{line}"
    );
    // Blocking one's own account is refused.
    let own = "/admin/block?connector=local&user_id=id-of-alice";
    let page = alice.opens(server.url(own)).await;
    assert_eq!(page.status, 400);
    assert!(page.text().contains("your own account"), "{}", page.text());
}
