//! The TokenReview webhook: an API server asks about every token, and refuses as soon as the session has
//! ended (threats 53, 70, 155). Kubernetes' own webhook authenticator uses the file that the program prints;
//! its result is compared with that of Kubernetes' own OIDC authenticator for the same token.

use serde_json::{Value, json};

use crate::scenarios::operations::database_down::Database;
use crate::world::http::send_bytes;
use crate::world::{
    ALICE, ALICE_PASSWORD, ApiServer, BOB, BOB_PASSWORD, Client, Need, Server, SignedInClient,
    World, claims, refusal,
};

const CREDENTIAL: &str = "bearer-token-of-the-api-server-71c1";
const REVIEW: &str = "/kubernetes/tokenreview/kubernetes";
const SCOPES: &str = "openid email profile groups offline_access";
const BY_EMAIL: &str =
    "usernameClaim: email, usernamePrefix: 'oidc:', groupsClaim: groups, groupsPrefix: 'oidc:'";

fn cluster(id: &str, mapping: &str) -> Client {
    let comma = if mapping.is_empty() { "" } else { ", " };
    let webhook = format!("kubernetes: {{webhook: {{secret: {CREDENTIAL}{comma}{mapping}}}}}");
    Client::public(id).with(&webhook).with("trustedPeers: [example-app]")
}

/// Two clusters, and a dashboard that may request tokens for the first.
pub fn world() -> World {
    World::https()
        .client(cluster("kubernetes", BY_EMAIL))
        .client(Client::public("other-cluster"))
        .with("oauth2:\n  skipApprovalScreen: true")
}

pub async fn alices(server: &Server, client: &str) -> SignedInClient {
    SignedInClient::sign_in_alice(server, client, SCOPES).await
}

/// An API server with the file printed by `countersign kubernetes webhook-config`.
pub fn api_server(server: &Server, client: &str, version: &str) -> ApiServer {
    let authority = server.ca_file().display().to_string();
    let arguments = ["kubernetes", "webhook-config", "CONFIG", "--client", client];
    let output = server
        .runs_command(&[&arguments[..], &["--certificate-authority", &authority]].concat(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains(CREDENTIAL));
    let kubeconfig = server.file(&format!("{client}-{version}.kubeconfig"));
    std::fs::write(&kubeconfig, output.stdout).unwrap();
    let mut api = ApiServer::new();
    let webhook = json!({"op": "webhook", "id": "cluster", "kubeconfig": kubeconfig,
        "version": version, "cacheTTLSeconds": 0});
    api.executes(&webhook);
    api
}

fn review(token: &str) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["https://kubernetes.default.svc"]}})
}

#[tokio::test]
async fn kubernetes_gets_the_same_result_from_the_webhook_as_from_the_token() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let required = "usernameClaim: preferred_username, groupsClaim: groups, groupsPrefix: 'g-', \
                    requiredClaims: {name: alice}";
    let server = world()
        .client(cluster("by-email", BY_EMAIL))
        .client(cluster("by-default", ""))
        .client(cluster("bare", "usernameClaim: name, usernamePrefix: '-'"))
        .client(cluster("required", &required.replace("preferred_username", "name")))
        .start()
        .await;
    let flags = |client: &str, more: Value| {
        let mut all = json!({"op": "flags", "id": "cluster", "issuerURL": server.issuer(),
            "clientID": client, "caFile": server.ca_file()});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut api = ApiServer::new();
        api.executes(&all);
        api
    };
    for (client, more) in [
        (
            "by-email",
            json!({"usernameClaim": "email", "usernamePrefix": "oidc:", "groupsClaim": "groups",
                "groupsPrefix": "oidc:"}),
        ),
        ("by-default", json!({})),
        ("bare", json!({"usernameClaim": "name", "usernamePrefix": "-"})),
        (
            "required",
            json!({"usernameClaim": "name", "groupsClaim": "groups", "groupsPrefix": "g-",
                "requiredClaims": {"name": "alice"}}),
        ),
    ] {
        let token = alices(&server, client).await.id_token;
        let by_flags = flags(client, more.clone()).authenticates(&token);
        assert_eq!(by_flags["ok"], true, "{client}: {by_flags}");
        for version in ["v1", "v1beta1"] {
            let by_webhook = api_server(&server, client, version).authenticates(&token);
            assert_eq!(by_webhook, by_flags, "{client}, {version}");
        }
        let jti = &claims(&token)["jti"];
        let named = &by_flags["extra"]["authentication.kubernetes.io/credential-id"][0];
        assert_eq!(*named, format!("JTI={}", jti.as_str().unwrap()));
    }
    // Bob's name is not the required one: both refuse.
    let bobs = SignedInClient::sign_in((BOB, BOB_PASSWORD), &server, "required", SCOPES, &[])
        .await
        .id_token;
    let more = json!({"usernameClaim": "name", "requiredClaims": {"name": "alice"}});
    assert!(refusal(&flags("required", more).authenticates(&bobs)).contains("required claim"));
    let seen = api_server(&server, "required", "v1").authenticates(&bobs);
    assert!(refusal(&seen).contains("name"), "{seen}");
}

/// The main advantage over plain OIDC.
#[tokio::test]
async fn kubernetes_refuses_at_once_when_a_session_ends_and_accepts_other_sessions() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut api = api_server(&server, "kubernetes", "v1");
    let (one, other) = (alices(&server, "kubernetes").await, alices(&server, "kubernetes").await);
    assert_eq!(api.authenticates(&one.id_token)["username"], format!("oidc:{ALICE}"));
    assert_eq!(api.authenticates(&other.id_token)["ok"], true);

    one.revokes().await;
    let seen = api.authenticates(&one.id_token);
    assert!(refusal(&seen).contains("ended"), "{seen}");
    assert_eq!(api.authenticates(&other.id_token)["ok"], true);
}

/// Signing out ends grants without `offline_access`; kubectl's grant stays.
#[tokio::test]
async fn kubernetes_refuses_browser_tokens_and_accepts_kubectl_after_alice_signs_out() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut api = api_server(&server, "kubernetes", "v1");
    let (mut alice, app) = (server.browser(), server.relying_party("kubernetes"));
    let mut tokens = Vec::new();
    for scopes in ["openid email groups", SCOPES] {
        let request = app.auth_request(scopes);
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        tokens.push(app.redeems(&request, &auth_response).await.id_token().to_owned());
    }
    let sid = |token: &str| claims(token)["sid"].clone();
    assert_eq!(sid(&tokens[0]), sid(&tokens[1]), "both are of one session");
    assert!(tokens.iter().all(|token| api.authenticates(token)["ok"] == true));

    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").expect("a confirmation form");
    alice.submits(form).await;
    assert!(refusal(&api.authenticates(&tokens[0])).contains("ended"));
    assert_eq!(api.authenticates(&tokens[1])["ok"], true, "offline_access stays");
}

/// Threats 70 and 155: tokens for another audience, and tokens that are no ID tokens.
#[tokio::test]
async fn kubernetes_refuses_what_is_no_id_token_for_this_cluster() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut api = api_server(&server, "kubernetes", "v1");
    let alice = alices(&server, "kubernetes").await;
    assert_eq!(api.authenticates(&alice.id_token)["ok"], true, "she could");
    let (head, signature) = alice.id_token.rsplit_once('.').unwrap();
    for (what, token) in [
        ("another cluster's", alices(&server, "other-cluster").await.id_token),
        ("an application's", alices(&server, "example-app").await.id_token),
        ("an access token", alice.access_token.clone()),
        ("a refresh token", alice.refresh_token.clone()),
        ("a changed one", format!("{head}.{}", signature.chars().rev().collect::<String>())),
        ("nonsense", "x".repeat(1000)),
    ] {
        let seen = api.authenticates(&token);
        refusal(&seen);
        assert_eq!(seen["username"], Value::Null, "{what}: {seen}");
    }
    // A dashboard that requested this audience.
    let scopes = format!("{SCOPES} audience:server:client_id:kubernetes");
    let dashboard = SignedInClient::sign_in_alice(&server, "example-app", &scopes).await;
    assert_eq!(api.authenticates(&dashboard.id_token)["username"], format!("oidc:{ALICE}"));
}

/// Threat 53.
#[tokio::test]
async fn the_webhook_requires_its_own_credential() {
    let server = world().start().await;
    let alice = alices(&server, "kubernetes").await;
    let (app, body) = (&alice.app, review(&alice.id_token));
    let accepted = app.posts_json_as(CREDENTIAL, REVIEW, &body).await;
    assert_eq!((accepted.status, &accepted.json["status"]["authenticated"]), (200, &json!(true)));
    assert_eq!(accepted.json["apiVersion"], "authentication.k8s.io/v1");
    assert_eq!(accepted.json.get("spec"), None, "the token is not sent back");
    assert_eq!(accepted.json["status"].get("audiences"), None, "the API server's own");
    assert_eq!(accepted.page.header("cache-control"), Some("no-store"));

    let wrong = app.posts_json_as("a-guess-of-the-right-length-000", REVIEW, &body).await;
    assert_eq!((wrong.status, wrong.error()), (401, "invalid_token"));
    for (bearer, path) in [
        (CREDENTIAL, "/kubernetes/tokenreview/other-cluster"),
        (CREDENTIAL, "/kubernetes/tokenreview/nobody"),
        (alice.id_token.as_str(), REVIEW),
        (alice.access_token.as_str(), REVIEW),
    ] {
        let refused = app.posts_json_as(bearer, path, &body).await;
        assert_eq!((refused.status, &refused.page.body), (401, &wrong.page.body), "{path}");
        let challenge = refused.page.header("www-authenticate");
        assert_eq!(challenge, wrong.page.header("www-authenticate"), "{path}");
    }
    let nameless = app.posts(REVIEW, &[]).await;
    assert_eq!(nameless.status, 401);
    // Every refusal has an error, or the API server would cache it.
    let no = app.posts_json_as(CREDENTIAL, REVIEW, &review("x")).await;
    assert_eq!((no.status, &no.json["status"]["authenticated"]), (200, &json!(false)));
    assert!(no.json["status"]["error"].as_str().is_some_and(|reason| !reason.is_empty()));
}

#[tokio::test]
async fn an_invalid_token_review_gets_an_error_in_json() {
    let server = World::new().client(cluster("kubernetes", BY_EMAIL)).start().await;
    let app = server.relying_party("example-app");
    let with = |key: &str, value: Value| {
        let mut body = review("x");
        body[key] = value;
        body
    };
    for (body, status) in [
        (json!({}), 400),
        (with("apiVersion", json!("authentication.k8s.io/v9")), 400),
        (with("kind", json!("SubjectAccessReview")), 400),
        (with("spec", json!("x")), 400),
    ] {
        let response = app.posts_json_as(CREDENTIAL, REVIEW, &body).await;
        assert_eq!((response.status, response.error()), (status, "invalid_request"));
    }
    // The size limit applies before the body is read.
    let endless = format!(
        "POST /dex{REVIEW} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CREDENTIAL}\r\n\
         Content-Length: 200000000\r\n\r\n{}",
        "x".repeat(1000)
    );
    assert!(send_bytes(&server, endless).starts_with("HTTP/1.1 413"));
    let get = app.gets_as(CREDENTIAL, REVIEW).await;
    assert_eq!((get.status, get.error()), (405, "invalid_request"));
}

/// Neither authenticated nor refused, and nothing an API server caches.
#[tokio::test]
async fn without_the_database_the_webhook_returns_no_result() {
    if Need::Kubernetes.is_missing() || Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().over_https().client(cluster("kubernetes", BY_EMAIL));
    let database = Database::new(&world);
    let server = world.with("oauth2:\n  skipApprovalScreen: true").start().await;
    let alice = alices(&server, "kubernetes").await;
    let body = review(&alice.id_token);
    assert_eq!(alice.app.posts_json_as(CREDENTIAL, REVIEW, &body).await.status, 200);
    let mut api = api_server(&server, "kubernetes", "v1");
    database.closes();
    let response = alice.app.posts_json_as(CREDENTIAL, REVIEW, &body).await;
    assert_eq!((response.status, response.error()), (503, "temporarily_unavailable"));
    // With `Retry-After` the API server would wait and repeat.
    assert_eq!(response.page.header("retry-after"), None);
    let seen = api.authenticates(&alice.id_token);
    assert!(seen["ok"] == false && !seen["error"].as_str().unwrap().contains("ended"), "{seen}");

    database.opens();
    let started = std::time::Instant::now();
    while api.authenticates(&alice.id_token)["ok"] != true {
        assert!(started.elapsed() < std::time::Duration::from_mins(1), "{}", server.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn webhook_config_is_printed_for_a_client_with_a_webhook_only() {
    let server = world().start().await;
    for (client, reason) in
        [("nobody", "there is no client nobody"), ("example-app", "no kubernetes.webhook")]
    {
        let output = server
            .runs_command(&["kubernetes", "webhook-config", "CONFIG", "--client", client], &[]);
        assert!(!output.status.success() && output.stdout.is_empty());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(reason) && !stderr.contains(CREDENTIAL), "{stderr}");
    }
}
