//! Requests of other web sites, and of people and clients that are no administrators (threats K 120 to 123, L
//! 127).

use reqwest::Method;
use serde_json::{Value, json};

use crate::scenarios::admin::api::ADMINS;
use crate::world::http::{bare_client, send, send_bytes};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Client, Server, SignedInClient, World,
    claims,
};

pub const CREDENTIAL: &str = "bearer-token-of-the-api-server-71c1";
const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const UPSTREAM: &str = "connectors:\n- type: mockCallback\n  id: mock\n  name: Mock\n";
const SCOPES: &str = "openid email groups offline_access";

/// An API, a client with a TokenReview webhook, one with distributed groups, and an upstream.
pub fn world() -> World {
    let webhook = format!("kubernetes: {{webhook: {{secret: {CREDENTIAL}}}}}");
    World::new()
        .with(SKIP)
        .with(UPSTREAM)
        .with(ADMINS)
        .client(Client::new("ops"))
        .client(Client::public("webhook").with(&webhook))
        .client(Client::public("groups").with("kubernetes: {groups: distributed}"))
}

async fn signed_in(server: &Server, who: (&str, &str)) -> Browser {
    let mut browser = server.browser();
    browser.opens(server.url("/sign-in")).await;
    if browser.page().form_with("password").is_none() {
        browser.clicks("Email").await;
    }
    browser.signs_in(who.0, who.1).await;
    browser
}

pub async fn sign_in_at(server: &Server, who: (&str, &str), client: &str) -> SignedInClient {
    SignedInClient::sign_in(who, server, client, SCOPES, &[("connector_id", "local")]).await
}

fn cookies_of(browser: &Browser) -> String {
    let all = browser.cookies().iter().map(|c| format!("{}={}", c.name, c.value));
    all.collect::<Vec<_>>().join("; ")
}

/// L 127: what another site's page, or a host name rebound to the server, can make her browser send.
#[tokio::test]
async fn requests_from_another_site_are_refused_by_the_api() {
    let server = world().start().await;
    let (ops, bobs) = (
        server.relying_party("ops"),
        sign_in_at(&server, (BOB, BOB_PASSWORD), "example-app").await,
    );
    let token = ops.client_credentials_token().await;
    let everything = "{\"everything\": \"true\"}";
    let found = ops.calls_api("GET", "/sessions", &token, Value::Null).await.json;
    let id = found["sessions"][0]["id"].as_str().unwrap();
    let cookies = cookies_of(&signed_in(&server, (ALICE, ALICE_PASSWORD)).await);
    for (method, path) in [
        (Method::POST, "/sessions/end".to_owned()),
        (Method::POST, "/sessions/preview".to_owned()),
        (Method::DELETE, format!("/sessions/{id}")),
        (Method::POST, "/keys/rotate".to_owned()),
        (Method::GET, "/sessions".to_owned()),
        (Method::GET, format!("/sessions?access_token={token}")),
        (Method::POST, format!("/sessions/end?access_token={token}")),
    ] {
        for (name, value) in [
            ("origin", "https://evil.example.com".to_owned()),
            ("host", "evil.example.com:5556".to_owned()),
            ("origin", server.origin()),
            ("authorization", "Basic b3BzOm9wcw==".to_owned()),
            ("authorization", format!("Token {token}")),
        ] {
            for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json"] {
                let url = server.url(&format!("/api/v1{path}"));
                let request = bare_client().request(method.clone(), url).header("cookie", &cookies);
                let request = request.header("content-type", kind).header(name, &value);
                let page = send(request.body(everything)).await;
                assert_eq!(page.status, 401, "{method} {path:.20} {name}: {value:.20}");
                assert!(page.header("set-cookie").is_none() && !page.body.contains(id));
            }
        }
    }
    let form = [("access_token", token.as_str()), ("everything", "true")];
    let posted = send(bare_client().post(server.url("/api/v1/sessions/end")).form(&form)).await;
    assert_eq!(posted.status, 401);
    assert_eq!(bobs.app.refreshes(&bobs.refresh_token).await.status, 200, "no session ended");
    let keys = ops.calls_api("GET", "/keys", &token, Value::Null).await.json;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "nothing was rotated");
}

/// L 127: administrators are named by connector and group; clients without a secret get no token.
#[tokio::test]
async fn a_group_of_the_same_name_at_another_connector_grants_no_administration() {
    let admins = |connector: &str| {
        format!(
            "admin:\n  groups:\n    - {{connector: {connector}, group: authors}}\n  clients: [ops, cli]"
        )
    };
    let world = world().client(Client::public("cli"));
    let get = async |server: &Server, token: &str| {
        let ops = server.relying_party("ops");
        ops.calls_api("GET", "/sessions", token, Value::Null).await.status
    };
    let mut server = world.clone().with(&admins("mock")).start().await;
    let (mut user, ops) = (server.browser(), server.relying_party("ops"));
    let request =
        ops.auth_request_with("openid groups countersign:admin", &[("connector_id", "mock")]);
    let auth_response = user.logs_in(&request, "", "").await;
    let tokens = ops.redeems(&request, &auth_response).await;
    assert_eq!(claims(tokens.id_token())["groups"], json!(["authors"]));
    assert_eq!(get(&server, tokens.access_token()).await, 200);
    // D 48: a client without a secret is not authenticated.
    let credentials = [("grant_type", "client_credentials"), ("scope", "countersign:admin")];
    let refused = server.relying_party("cli").exchange(&credentials).await;
    assert!(refused.status >= 400 && refused.json["access_token"].is_null(), "{refused:?}");
    let own = ops.client_credentials_token().await;
    assert_eq!(get(&server, &own).await, 200);
    server.stop().await;

    // The same groups at another connector, and a client that is no longer in `admin.clients`.
    let server = world.clone().with(&admins("local")).start().await;
    assert_eq!(get(&server, tokens.access_token()).await, 403);
    drop(server);
    let nobody =
        "admin:\n  groups:\n    - {connector: mock, group: authors}\n  clients: [example-app]";
    let server = world.with(nobody).start().await;
    assert_eq!(get(&server, tokens.access_token()).await, 403);
    assert_eq!(get(&server, &own).await, 403);
}

/// K 123: `allowedOrigins` applies to endpoints for clients only. K 120: an unknown Host is not repeated.
#[tokio::test]
async fn cors_does_not_apply_to_the_api_the_cluster_endpoints_and_pages() {
    let paths = [
        "/api/v1/sessions",
        "/api/v1/openapi.json",
        "/kubernetes/groups",
        "/kubernetes/tokenreview/webhook",
        "/sessions",
        "/groups",
        "/sign-in",
        "/revoke-me",
    ];
    let world = world();
    let http_at = world.origin().replace("http://", "");
    let origin = "https://app.example.com";
    let web = format!("web:\n  http: {http_at}\n  allowedOrigins: ['*', '{origin}']");
    let server = world.with(&web).start().await;
    let cookies = cookies_of(&signed_in(&server, (ALICE, ALICE_PASSWORD)).await);
    for path in paths {
        for method in [Method::OPTIONS, Method::GET, Method::POST] {
            let request =
                bare_client().request(method.clone(), server.url(path)).header("origin", origin);
            let page = send(request.header("access-control-request-method", "POST")).await;
            let allowed = page.header("access-control-allow-origin");
            assert_eq!(allowed, None, "{method} {path}");
        }
        let request = format!(
            "GET /dex{path} HTTP/1.1\r\nHost: evil.example.com\r\nX-Forwarded-Host: \
             evil.example.com\r\nCookie: {cookies}\r\nConnection: close\r\n\r\n"
        );
        let response = send_bytes(&server, request);
        assert!(
            response.starts_with("HTTP/1.1 ") && !response.starts_with("HTTP/1.1 5"),
            "{response}"
        );
        assert!(!response.contains("evil"), "{path}: {response}");
    }
}

/// K 121 and 122, for pages with buttons that end sessions.
#[tokio::test]
async fn account_pages_cannot_be_framed_and_run_no_inline_code() {
    let server = world().start().await;
    sign_in_at(&server, (ALICE, ALICE_PASSWORD), "example-app").await;
    let mut alice = signed_in(&server, (ALICE, ALICE_PASSWORD)).await;
    let session = alice.opens(server.url("/")).await.attributes(".place a", "href").remove(0);
    for path in ["/dex/", "/dex/sessions", "/dex/groups", &session, "/dex/sessions/nobody"] {
        let page = alice.get(format!("{}{path}", server.origin())).await;
        let policy = page.header("content-security-policy").unwrap();
        for directive in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(directive), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.header("x-frame-options"), Some("DENY"), "{path}");
        let opener_policy = page.header("cross-origin-opener-policy");
        assert_eq!(opener_policy, Some("same-origin"), "{path}");
        assert!(page.all("script, style, [style], iframe, [onclick]").is_empty(), "{path}");
    }
}
